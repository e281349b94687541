//! `hub-lint`: the linter that the RunPod Hub doesn't have.
//!
//! Groups of rules (syntax, shape, meaning, agreement) check the files of a tree; the findings are
//! sorted, filtered and printed.

pub mod args;
mod command;
mod edit;
mod facts;
mod finding;
mod fix;
mod formats;
mod lint;
mod model;
mod rule;
mod rules;
mod suppressions;
mod targets;

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

pub use command::{run, summary};
pub use finding::{Counts, Finding};
pub use lint::{LintReport, lint, lint_directory};
pub use rule::Severity;
pub use suppressions::FILE as SUPPRESSIONS;
