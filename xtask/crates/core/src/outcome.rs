//! How a task ends, and the exit code that says so: 0 done, 1 findings or a refusal, 2 wrong
//! usage or something missing on the machine, 128 and the signal's number where one ended it.

use std::fmt;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use crate::output;

/// How a task that ran to its end came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing found.
    Done,
    /// Findings, conflicts, or something that would change under `--check`; all of it printed.
    Findings,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(u8::from(outcome == Outcome::Findings))
    }
}

/// Wrong usage, or programs that the machine lacks: the error that ends with exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A signal asked the task to end, and it has put away what it had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// The signal's number.
    pub signal: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// A refusal: what was found, and what to do about it. Ends with exit code 1.
#[derive(Debug)]
pub struct UserError {
    /// What is in the way; the first line stands alone, details may follow on further lines.
    pub what: String,
    /// The way on, as a sentence or a command.
    pub help: String,
}

impl UserError {
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        let (what, help) = (what.into(), help.into());
        Self { what, help }
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for UserError {}

/// An error for a person: what, causes after it, and the way on last.
pub fn told(error: &anyhow::Error, red: Style, bold: Style) -> String {
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

/// Prints an error for a person and gives the exit code it stands for; `refusal` is that of what
/// is neither wrong usage nor a signal.
pub fn report(error: &anyhow::Error, refusal: u8) -> ExitCode {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    output::tell(&told(error, red, Style::new().bold()));
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        ExitCode::from(128 + interrupted.signal)
    } else if error.is::<UsageError>() {
        ExitCode::from(2)
    } else {
        ExitCode::from(refusal)
    }
}
