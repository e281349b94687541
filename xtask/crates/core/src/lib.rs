//! What every task stands on: trees of files, git, docker, output, and the contract.

pub mod cli;
pub mod commands;
pub mod docker;
pub mod fault;
pub mod finding;
pub mod git;
pub mod interrupt;
pub mod layout;
pub mod lock;
pub mod outcome;
pub mod output;
pub mod process;
pub mod progress;
pub mod secret;
pub mod sglang;
pub mod suggest;
pub mod tool_repo;
pub mod tree;
