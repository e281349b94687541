//! The tasks, a module each.

pub mod build_image;
pub mod compare;
pub mod hub_lint;
pub mod migrate;
pub mod test;
