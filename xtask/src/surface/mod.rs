//! What a worker exposes, read from its files: from bytes to facts with places.

pub mod json;
