//! One line that says what a long piece of work is doing. Only a terminal sees it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::output::terminal::{self, acts};

/// With `-q` nothing is shown.
static QUIET: AtomicBool = AtomicBool::new(false);

/// The work under way, where a line tells of it.
static WORK: Mutex<Option<String>> = Mutex::new(None);

fn work() -> MutexGuard<'static, Option<String>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With `-q` there is no progress.
pub fn set_quiet(on: bool) {
    QUIET.store(on, Ordering::Relaxed);
}

/// Says what the work under way has come to, if a line tells of it.
pub fn at(detail: impl AsRef<str>) {
    if let Some(what) = &*work() {
        let width = terminal::columns(&std::io::stderr()).unwrap_or(80);
        draw(&line(what, detail.as_ref(), width));
    }
}

/// Says how much of the work under way is done.
pub fn done(part: usize, all: usize, what: &str) {
    at(format!("{part} of {all} {what}"));
}

/// Takes the line away, before something else is printed.
pub fn clear() {
    if work().is_some() {
        draw("");
    }
}

/// Does work that draws on the terminal itself.
pub fn suspended<T>(work_itself: impl FnOnce() -> T) -> T {
    clear();
    let held = work().take();
    let done = work_itself();
    *work() = held;
    done
}

/// A line on standard error that goes when this value does. Without a terminal it shows nothing.
#[derive(Debug)]
pub struct Progress;

impl Progress {
    /// Begins with what is being done: `fetching the upstream`.
    pub fn begin(what: impl Into<String>) -> Self {
        if !QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal() {
            *work() = Some(what.into());
            at("");
        }
        Self
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        clear();
        *work() = None;
    }
}

fn draw(line: &str) {
    let mut err = std::io::stderr().lock();
    // A closed terminal is no reason to stop the work.
    let _ = write!(err, "\r{line}\x1b[K").and_then(|()| err.flush());
}

/// The line, one column narrower than the terminal: the last one would wrap.
fn line(what: &str, detail: &str, width: usize) -> String {
    let text = format!("{}  {detail}", terminal::harmless(what, false));
    let shown = text.chars().filter(|&c| !acts(c));
    shown.take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_holds_no_control_characters() {
        let long = "a\x1b[31mb".repeat(40);
        let line = line("rust", &long, 40);
        assert!(line.starts_with("rust  a[31mb"), "{line}");
        assert_eq!(line.chars().count(), 39);
    }

    #[test]
    fn it_ends_with_its_value() {
        let progress = Progress::begin("nothing");
        at("1 of 2");
        drop(progress);
    }
}
