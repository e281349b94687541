"""Runs a Python module like `python -m` does, with arguments that `ps` must not show.

`python3 launch.py -m sglang.launch_server --port=30000` reads one JSON object from standard input,
`{"parent": PID, "arguments": ["--api-key=..."]}`, adds those arguments to the visible ones and runs
the module as `__main__`. Nothing but this file runs before the module does, and none of the
worker's own modules can be imported in its place.

The module runs in a child of this process, which is a guard: orphans below it come to it, whatever
session they are in, and when the parent that started it is gone, even by SIGKILL, it kills all of
them. It ends as the child ends, with the same code or by the same signal. SIGUSR1 has it send
SIGTERM to the child alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import runpy
import signal
import sys
import time
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

ORPHANED = signal.SIGUSR2  #: what the guard gets when its parent is gone
TO_CHILD = signal.SIGUSR1  #: what has it send SIGTERM to the child alone
#: The rest comes to the whole group: the child answers, and the guard waits for it.
GUARDED = {
    ORPHANED,
    TO_CHILD,
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
}
SECONDS_TO_END = 10.0  #: in which everything below a guard must be gone


def prctl(option: int, value: int) -> None:
    """Tells the kernel something about this process; nothing where that is no Linux."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def children_of(parents: set[int]) -> set[int]:
    """The living children of these processes."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if int(parent) in parents and state != b"Z":
                    found.add(int(entry))
    return found


def end_everything_below() -> None:
    """SIGKILL for every process below this one, until there is none."""
    end = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < end:
        found: set[int] = set()
        new = children_of({os.getpid()})
        while new:
            found |= new
            new = children_of(new) - found
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        with contextlib.suppress(OSError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def end_like(status: int) -> NoReturn:
    """Ends this process as another one did."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child may have written one already
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.kill(os.getpid(), -code)
    os._exit(128 - code)


def guard(parent: int, child: int) -> NoReturn:
    """Waits for the end of the child or of the parent, whichever comes first."""
    while True:
        if os.getppid() != parent:
            end_everything_below()
            os._exit(1)
        number = signal.sigwait(GUARDED)
        if number == TO_CHILD:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    end_everything_below()
                    end_like(ended[1])


def main() -> None:
    """Takes `-m MODULE ARGUMENT…` from the command line and runs it."""
    if len(sys.argv) < 3 or sys.argv[1] != "-m":
        sys.exit("usage: launch.py -m MODULE [ARGUMENT...], with a JSON object on standard input")
    message = json.load(sys.stdin)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if hasattr(signal, "sigwait") and os.path.isdir("/proc/self"):
        signal.pthread_sigmask(signal.SIG_BLOCK, GUARDED)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        prctl(PR_SET_PDEATHSIG, ORPHANED)
        own = os.getpid()
        if child := os.fork():
            guard(message["parent"], child)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GUARDED)
        if os.getppid() != own:
            sys.exit(1)
    module = sys.argv[2]
    sys.argv[:] = [module, *sys.argv[3:], *message["arguments"]]
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
