//! Faults on demand, for the tests that kill this tool at every moment.
//!
//! `XTASK_FAULT=kill:N` kills the process at the N-th point; `full:N` reports a full disk there, and
//! `read-only:N` a folder that can't be written.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

enum Kind {
    Kill,
    Error(i32),
}

static PLAN: OnceLock<Option<(Kind, usize)>> = OnceLock::new();
static PASSED: AtomicUsize = AtomicUsize::new(0);

/// A moment before or after something is written.
pub fn point() -> io::Result<()> {
    let Some((kind, at)) = PLAN.get_or_init(read) else {
        return Ok(());
    };
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 != *at {
        return Ok(());
    }
    match kind {
        Kind::Kill => {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            Ok(())
        }
        Kind::Error(code) => Err(io::Error::from_raw_os_error(*code)),
    }
}

/// How many points have been passed, where a test asked for it with `XTASK_FAULT=count:0`.
pub fn passed() -> Option<usize> {
    let is_count = matches!(PLAN.get(), Some(Some((_, 0))));
    is_count.then(|| PASSED.load(Ordering::Relaxed))
}

fn read() -> Option<(Kind, usize)> {
    let text = std::env::var("XTASK_FAULT").ok()?;
    let (kind, at) = text.split_once(':')?;
    let kind = match kind {
        "kill" => Kind::Kill,
        "full" => Kind::Error(rustix::io::Errno::NOSPC.raw_os_error()),
        "read-only" => Kind::Error(rustix::io::Errno::ACCESS.raw_os_error()),
        "count" => return Some((Kind::Kill, 0)),
        _ => return None,
    };
    Some((kind, at.parse().ok()?))
}
