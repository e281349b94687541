//! The tasks, a module each.

pub mod build_image;
pub mod cleanup;
pub mod compare;
pub mod hub_lint;
pub mod migrate;
pub mod status;
pub mod test;
