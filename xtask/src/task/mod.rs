//! The tasks, a module each.

pub mod compare;
pub mod hub_lint;
pub mod migrate;
pub mod test;
