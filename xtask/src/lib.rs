//! What is done with a command line: the task, and the tasks that need all others.

pub mod task;
