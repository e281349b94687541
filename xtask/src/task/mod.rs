//! The tasks, a module each.

pub mod migrate;
pub mod test;
