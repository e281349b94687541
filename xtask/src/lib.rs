//! The tasks that need all others. Each of those is a crate.

pub mod example;
pub mod status;
pub mod test;
