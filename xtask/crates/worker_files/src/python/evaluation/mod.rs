//! Values of expressions, found without running the program.

pub mod arguments;
pub mod builtins;
pub mod calls;
pub mod collections;
pub mod contexts;
pub mod data;
pub mod eval;
pub mod fingerprint;
pub mod items;
pub mod names;
pub mod objects;
pub mod summaries;
pub mod text;
pub mod truth;
pub mod value;
