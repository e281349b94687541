//! git through its plumbing.
