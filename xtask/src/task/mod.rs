//! The tasks, a module each.

pub mod example;
pub mod status;
pub mod test;
