//! `cargo xtask migrate`, and `compare` after it, as their users meet them: a worker's git repository in, a command, and the
//! tree and the words out. Every test makes real repositories in a scratch folder of its own and
//! runs the built binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

mod adopt;
mod again;
mod carry;
mod compare;
mod conflicts;
mod ends;
mod environment;
mod faults;
mod foreign;
mod forks;
mod hostile;
mod legacy;
mod preserve;
mod readme;
mod refusals;
mod typed;
mod upstreams;
