"""The processes below the launcher, and how they take it with them.

The real SGLang loads the model in a child. The child names itself `sglang::scheduler` in memory
that held its environment, so that nothing of that is left to be seen. When it fails, it prints its
traceback and sends SIGQUIT to the launcher, which says no more than that a child failed, sleeps,
and then kills the whole tree and itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.1
SLEEP_SECONDS = 5.0


def say(text: str, rank: str = "") -> None:
    """A line of SGLang's log."""
    # In one piece, as a handler of logging writes it: other processes write to the same pipe.
    sys.stdout.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}{rank}] {text}\n")
    sys.stdout.flush()


def set_title(title: str) -> None:
    """Writes a title over this process's command line and environment, as setproctitle does."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[48])  # arg_start and env_end
    text = title.encode()[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))
    ctypes.CDLL(None).prctl(15, text[:15], 0, 0, 0)


TRACEBACK = """Scheduler hit an exception: Traceback (most recent call last):
  File "/sglang/srt/managers/scheduler.py", line 6361, in run_scheduler_process
    scheduler = Scheduler(server_args, port_args)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/sglang/srt/managers/scheduler.py", line 517, in __init__
    self.init_model_worker()
"""


class Children:
    """A scheduler and a detokenizer, and the launcher's eye on them."""

    def __init__(self) -> None:
        read, self._orders = os.pipe()
        self.scheduler = self._fork("sglang::scheduler", read)
        self.detokenizer = self._fork("sglang::detokenizer", None)
        os.close(read)
        self.serving = False
        signal.signal(signal.SIGQUIT, self._on_sigquit)
        threading.Thread(target=self._watch, daemon=True).start()

    def stray(self) -> None:
        """A child in a session of its own, which neither its name nor its parent's end betrays."""
        self._fork("sglang::stray", None, stray=True)

    def _fork(self, title: str, orders: int | None, *, stray: bool = False) -> int:
        parent = os.getpid()
        if pid := os.fork():
            return pid
        signal.signal(signal.SIGTERM, signal.SIG_IGN if stray else signal.SIG_DFL)
        if stray:
            os.setsid()
        else:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(self._orders)
        set_title(title)
        return self._serve(orders, parent)

    @staticmethod
    def _serve(orders: int | None, parent: int) -> NoReturn:
        """The child: the scheduler waits for the words that it fails with."""
        while orders is None:
            signal.pause()
        words = os.read(orders, 65536).decode()
        if words:
            say(f"{TRACEBACK}{words}\n", " TP0")
            os.kill(parent, signal.SIGQUIT)
        os._exit(0 if words else 1)

    def fail(self, words: str) -> None:
        """Has the scheduler end with an exception of these words."""
        os.write(self._orders, words.encode())

    def kill(self) -> None:
        """Ends the scheduler as the kernel would that needs its memory."""
        os.kill(self.scheduler, signal.SIGKILL)

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                done, status = os.waitpid(self.scheduler, os.WNOHANG)
            except ChildProcessError:
                return
            code = os.waitstatus_to_exitcode(status) if done else 0
            if done and code:
                name = f"scheduler_0 (pid={done})"
                say(
                    f"Subprocess {name} crashed with exit code {code}. Triggering SIGQUIT for "
                    "cleanup..."
                )
                os.kill(os.getpid(), signal.SIGQUIT)
            if done:
                return

    def _on_sigquit(self, *_: Any) -> None:
        if self.serving:
            say("SIGQUIT received. signum=None, frame=None. It usually means one child failed.")
        else:
            say("Received sigquit from a child process. It usually means the child failed.")
        time.sleep(SLEEP_SECONDS)
        own = os.getpid()
        say(f"kill_process_tree called: parent_pid={own}, include_parent=True, pid={own}")
        for pid in (self.scheduler, self.detokenizer, own):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
