//! The tasks that are made of other tasks; each of those is a crate.

pub mod cli;
pub mod example;
pub mod status;
pub mod test;
