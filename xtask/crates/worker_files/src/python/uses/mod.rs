//! What the program does with a value that it reads, and its defaults and limits.

pub mod branch_defaults;
pub mod comparisons;
pub mod defaults;
pub mod earlier;
pub mod limits;
pub mod negation;
pub mod tested;
pub mod unused;
pub mod usage;
