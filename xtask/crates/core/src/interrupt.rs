//! Ctrl-C and other signals that ask a task to end, for tasks that have to clean up first. Once a task
//! has called [`listen`], a signal no longer ends the process: the task calls [`check`] between its
//! steps and waits for programs with [`wait`].

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::Interrupted;

/// The signals that ask a task to end: a closed terminal, Ctrl-C, `kill`.
pub const SIGNALS: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

/// How long a program may take to end by itself after Ctrl-C, and after SIGTERM.
const BY_ITSELF: Duration = Duration::from_secs(2);
const AFTER_TERM: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

/// The signal that was received; 0 where none was.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on, signals are kept for [`check`].
pub fn listen() -> Result<()> {
    if is_listening() {
        return Ok(());
    }
    let received = RECEIVED.get_or_init(Arc::default);
    for signal in SIGNALS {
        let number = signal.as_raw();
        let value = usize::try_from(number).unwrap_or_default();
        signal_hook::flag::register_usize(number, Arc::clone(received), value)
            .context("listening for Ctrl-C")?;
    }
    Ok(())
}

pub fn is_listening() -> bool {
    RECEIVED.get().is_some()
}

pub fn check() -> Result<(), Interrupted> {
    let received = RECEIVED.get().map_or(0, |it| it.load(Ordering::Relaxed));
    match u8::try_from(received) {
        Ok(0) | Err(_) => Ok(()),
        Ok(signal) => Err(Interrupted { signal }),
    }
}

/// Waits for a program. After a signal the program gets time to end, then SIGTERM, then SIGKILL;
/// [`check`] reports the signal.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut since = None;
    let mut is_asked = false;
    loop {
        if let Some(status) = child.try_wait().context("waiting for a program")? {
            return Ok(status);
        }
        if let Err(Interrupted { signal }) = check() {
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            // A terminal sends Ctrl-C to all its processes; `kill` reaches only one.
            let is_ctrl_c = i32::from(signal) == Signal::INT.as_raw();
            if waited > BY_ITSELF + AFTER_TERM {
                // It may have ended just now.
                let _ = child.kill();
            } else if !is_asked && (!is_ctrl_c || waited > BY_ITSELF) {
                is_asked = true;
                if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
        std::thread::sleep(POLL);
    }
}
