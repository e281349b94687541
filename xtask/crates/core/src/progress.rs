//! A progress line for long work. Only a terminal shows it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::output::terminal::{self, is_control};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether the line is on the terminal and has to be cleared before other output.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// What is being done, and since when.
static WORK: Mutex<Option<(String, Instant)>> = Mutex::new(None);

fn work() -> MutexGuard<'static, Option<(String, Instant)>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn set_quiet(on: bool) {
    QUIET.store(on, Ordering::Relaxed);
}

pub fn at(detail: impl AsRef<str>) {
    if let Some((what, begun)) = &*work() {
        let width = terminal::columns(&std::io::stderr()).unwrap_or(80);
        SHOWN.store(true, Ordering::Relaxed);
        draw(&line(what, begun.elapsed(), detail.as_ref(), width));
    }
}

pub fn done(part: usize, all: usize, what: &str) {
    at(format!("{part} of {all} {what}"));
}

pub fn clear() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        draw("");
    }
}

/// A line on standard error, which is cleared when this value is dropped.
#[derive(Debug)]
pub struct Progress;

impl Progress {
    /// Shows what is being done, such as `fetching the upstream`.
    pub fn begin(what: impl Into<String>) -> Self {
        if !QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal() {
            *work() = Some((what.into(), Instant::now()));
            at("");
        }
        Self
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *work() = None;
        clear();
    }
}

fn draw(line: &str) {
    let mut err = std::io::stderr().lock();
    // A closed terminal is no reason to stop the work.
    let _ = write!(err, "\r{line}\x1b[K").and_then(|()| err.flush());
}

/// The line, one column narrower than the terminal: the last one would wrap.
fn line(what: &str, elapsed: Duration, detail: &str, width: usize) -> String {
    let what = terminal::harmless(what, false);
    let mut text = format!("{what} ({} s)", elapsed.as_secs());
    if !detail.is_empty() {
        text += "  ";
        text.extend(detail.chars().filter(|&c| !is_control(c)));
    }
    text.chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_holds_no_control_characters() {
        let long = "a\x1b[31mb".repeat(40);
        let line = line("rust", Duration::from_secs(7), &long, 40);
        assert!(line.starts_with("rust (7 s)  a[31mb"), "{line}");
        assert_eq!(line.chars().count(), 39);
    }

    #[test]
    fn it_ends_with_its_value() {
        let progress = Progress::begin("nothing");
        at("1 of 2");
        drop(progress);
    }
}
