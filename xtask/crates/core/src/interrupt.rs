//! Ctrl-C and the other ways of being asked to end, for tasks that have something to put away
//! first. Once a task has called [`listen`], a signal no longer ends the process: the task asks
//! [`check`] between its steps and waits for programs with [`wait`], and both say so in time.

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::Interrupted;

/// The signals that ask a task to end: a closed terminal, Ctrl-C, `kill`.
pub const ASKING: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

/// How long a program may take to end by itself after Ctrl-C, and after a signal from us.
const BY_ITSELF: Duration = Duration::from_secs(2);
const ONCE_TOLD: Duration = Duration::from_secs(20);

/// How often a program that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The signal that has come; 0 where none has.
static CAME: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on signals are kept until they are asked for.
pub fn listen() -> Result<()> {
    if CAME.get().is_some() {
        return Ok(());
    }
    let came = CAME.get_or_init(Arc::default);
    for signal in ASKING {
        let number = signal.as_raw();
        let value = usize::try_from(number).unwrap_or_default();
        signal_hook::flag::register_usize(number, Arc::clone(came), value)
            .context("listening for Ctrl-C")?;
    }
    Ok(())
}

/// Whether the task asks for signals itself.
pub fn is_listening() -> bool {
    CAME.get().is_some()
}

/// Whether a signal has come, as the error with which the task ends.
pub fn check() -> Result<(), Interrupted> {
    let came = CAME.get().map_or(0, |came| came.load(Ordering::Relaxed));
    match u8::try_from(came) {
        Ok(0) | Err(_) => Ok(()),
        Ok(signal) => Err(Interrupted { signal }),
    }
}

/// Waits for a program. After a signal the program gets time to end, then SIGTERM, then SIGKILL;
/// [`check`] reports the signal.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut since = None;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().context("waiting for a program")? {
            return Ok(status);
        }
        if let Err(Interrupted { signal }) = check() {
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            // A terminal sends Ctrl-C to all its processes; `kill` reaches only one.
            let soon = i32::from(signal) == Signal::INT.as_raw();
            if waited > BY_ITSELF + ONCE_TOLD {
                // It may have ended in this very moment.
                let _ = child.kill();
            } else if !told && (!soon || waited > BY_ITSELF) {
                told = true;
                if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}
