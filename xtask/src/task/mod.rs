//! The tasks, a module each.

pub mod compare;
pub mod migrate;
pub mod test;
