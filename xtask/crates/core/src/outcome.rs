//! How a task ends, and the exit code that says so: 0 done, 1 findings or a refusal, 2 wrong
//! usage or something missing on the machine, 128 and the signal's number where one ended it.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use thiserror::Error;

use crate::output;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// There are findings or conflicts, or `--check` found a change. All of it has been printed.
    Findings,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(u8::from(outcome == Outcome::Findings))
    }
}

/// Wrong usage, or programs that the machine lacks: the error that ends with exit code 2.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A signal asked the task to end, and the task has cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("interrupted")]
pub struct Interrupted {
    pub signal: u8,
}

/// A refusal: what was found, and what to do about it. Ends with exit code 1.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct UserError {
    /// What is in the way. The first line stands alone; details may follow on further lines.
    pub what: String,
    /// What to do next, as a sentence or a command.
    pub help: String,
}

impl UserError {
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        let (what, help) = (what.into(), help.into());
        Self { what, help }
    }
}

/// The text of an error for a person: the error, its causes, and the help.
pub fn error_text(error: &anyhow::Error, red: Style, bold: Style) -> String {
    let mut lines = error.chain().map(ToString::to_string);
    let first = lines.next().unwrap_or_default();
    let mut text = format!("{red}error{red:#}{bold}: {first}{bold:#}\n");
    for cause in lines {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(refusal) = error.downcast_ref::<UserError>() {
        text.push_str(&format!("{bold}help{bold:#}: {}\n", refusal.help));
    }
    text
}

/// Prints an error for a person and returns its exit code; `refusal` is the code where the error is
/// neither wrong usage nor a signal.
pub fn report(error: &anyhow::Error, refusal: u8) -> ExitCode {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    output::tell(&error_text(error, red, Style::new().bold()));
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        ExitCode::from(128 + interrupted.signal)
    } else if error.is::<UsageError>() {
        ExitCode::from(2)
    } else {
        ExitCode::from(refusal)
    }
}
