//! The only code that prints findings.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Prints to standard output, with colours where that is a terminal. A reader that has seen
/// enough (`| head`) is no failure; a full disk is.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}
