//! What a repository's files say of other files and of build arguments: rewritten for where they
//! will lie, or listed where that is left to a person. Pure, from bytes to bytes and findings.

pub mod dangling;
pub mod rewrite;
