//! The commands that start `SGLang`'s server, and their flags.

pub mod command;
pub mod command_text;
pub mod conditions;
pub mod flags;
pub mod needs;
pub mod process;
pub mod started;
