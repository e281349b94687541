//! Jobs: the handler, and what it takes of a job's input.

pub mod handler;
pub mod input_calls;
pub mod input_writes;
pub mod job_input;
pub mod key_sets;
pub mod models;
