//! A progress line for long work. Only a terminal shows it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output::terminal::{self, is_control};

/// Shorter work shows nothing, so that quick commands do not flicker.
const DELAY: Duration = Duration::from_millis(400);

const REDRAW: Duration = Duration::from_millis(500);

static QUIET: AtomicBool = AtomicBool::new(false);

static SUSPENDED: AtomicBool = AtomicBool::new(false);

/// Whether the line is on the terminal and has to be cleared before other output.
static SHOWN: AtomicBool = AtomicBool::new(false);

static WORK: Mutex<Option<Work>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

struct Work {
    what: String,
    detail: String,
    begun: Instant,
}

fn work() -> MutexGuard<'static, Option<Work>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn set_quiet(on: bool) {
    QUIET.store(on, Ordering::Relaxed);
}

/// Sets the detail behind the current work, if there is a progress line.
pub fn at(detail: impl Into<String>) {
    if let Some(work) = &mut *work() {
        work.detail = detail.into();
        CHANGED.notify_all();
    }
}

pub fn done(part: usize, all: usize, what: &str) {
    at(format!("{part} of {all} {what}"));
}

/// Clears the line, before other output.
pub fn clear() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        draw("");
    }
}

/// Runs work that draws on the terminal itself.
pub fn suspended<T>(work: impl FnOnce() -> T) -> T {
    SUSPENDED.store(true, Ordering::Relaxed);
    clear();
    let done = work();
    SUSPENDED.store(false, Ordering::Relaxed);
    done
}

/// A line on standard error, which is cleared when this value is dropped.
#[derive(Debug)]
pub struct Progress {
    drawing: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows what is being done, such as `fetching the upstream`.
    pub fn begin(what: impl Into<String>) -> Self {
        if QUIET.load(Ordering::Relaxed) || !std::io::stderr().is_terminal() {
            return Self { drawing: None };
        }
        *work() = Some(Work {
            what: what.into(),
            detail: String::new(),
            begun: Instant::now(),
        });
        let drawing = Some(std::thread::spawn(draw_until_done));
        Self { drawing }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(drawing) = self.drawing.take() {
            *work() = None;
            CHANGED.notify_all();
            let _ = drawing.join();
        }
    }
}

/// Draws the line at each change, and regularly to update the elapsed seconds.
fn draw_until_done() {
    let mut now = work();
    while let Some(work) = &*now {
        let elapsed = work.begun.elapsed();
        let mut wait = DELAY.saturating_sub(elapsed);
        if wait.is_zero() {
            wait = REDRAW;
            if !SUSPENDED.load(Ordering::Relaxed) {
                SHOWN.store(true, Ordering::Relaxed);
                let width = terminal::columns(&std::io::stderr()).unwrap_or(80);
                draw(&line(&work.what, elapsed, &work.detail, width));
            }
        }
        let waited = CHANGED.wait_timeout(now, wait);
        (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
    clear();
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
