//! The program: its files, names, classes and functions, and which of them run.

pub mod api;
pub mod changes;
pub mod code_text;
pub mod imports;
pub mod node;
pub mod reachability;
pub mod relevance;
pub mod scope;
pub mod statements;
pub mod syntax;
