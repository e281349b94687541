"""Why SGLang ended, from what it printed and from what the kernel counted.

When a part of it fails, SGLang prints the traceback, then a line that says only that a child
failed, sleeps for five seconds, and kills itself by SIGKILL. The exit tells nothing; the exception
does. Its message can have several lines, and SGLang puts its advice there.
"""

from __future__ import annotations

import re
import signal
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 20  #: lines of the server's log that are kept for the reason of its end
LONGEST_KEPT = 2000  #: characters of a line that are kept
MESSAGE_LINES = 12  #: lines of an exception's message that are told
WORDS_AFTER = 5  #: lines that may follow an exception which then still counts as the last word

_STAMP = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]*\] ?")
_OTHER_LOG = re.compile(r"(?:INFO|WARNING|ERROR|DEBUG|CRITICAL): ")
_TRACEBACK = "Traceback (most recent call last):"
#: A request that was logged, without the end of its line yet: another process's line then follows
#: in the same one. Its path holds no blank, so that no request can make up what follows.
_REQUEST = re.compile(r'INFO: +\S+ - "[A-Z]+ \S+ HTTP/[\d.]+" \d{3}(?: [A-Za-z]+)*(?=\[)')
#: Another process's line can stand before it, if that one was written without its end.
_FATAL = re.compile(rf"(?:.*{_STAMP.pattern})?(?P<who>[\w ]{{1,60}}?) hit an exception: ")
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")

#: What SGLang says once it has decided to end. Only at the beginning of a line: a request that is
#: logged can hold any words.
_NOTICE = re.compile(r"SIGQUIT received|Received sigquit from a child process")
_CRASHED = re.compile(r"Subprocess (\S+) \(pid=\d+\) crashed with exit code (-?\d+)")

#: Lines that tell nothing about the cause.
_NOISE = re.compile(
    r"kill_process_tree called|SIGQUIT received|Received sigquit|.*resource_tracker|"
    r".*warnings\.warn\(|Open an issue on GitHub"
)


@dataclass
class _Exception:
    """An exception that was printed, and how much was said after it."""

    who: str
    lines: list[str] = field(default_factory=list)
    followed_by: int = 0

    def text(self) -> str:
        kept = [line for line in map(str.strip, self.lines) if line and not _NOISE.match(line)]
        return " | ".join(kept[:MESSAGE_LINES])


class LastWords:
    """Reads the server's log for the reason of its end."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._first_fatal: _Exception | None = None
        self._latest: _Exception | None = None
        self._open: _Exception | None = None  # its traceback or message is being printed
        self._in_message = False
        self._ended_by_blank: _Exception | None = None
        self._crashed: tuple[str, int] | None = None
        self._kills_itself = False
        #: Set once SGLang has said that it will end.
        self.doomed = threading.Event()

    def read(self, line: str) -> None:
        """Takes in one line, without its end."""
        line = line[:LONGEST_KEPT]
        if request := _REQUEST.match(line):
            line = line[request.end() :]
        if line.strip():
            self._tail.append(line.strip())
        stamp = _STAMP.match(line)
        words = line[stamp.end() :] if stamp else line
        if _TRACEBACK in words:
            self._begin(words)
        elif self._open:
            self._go_on(line, words, new=bool(stamp or _OTHER_LOG.match(line)))
        elif self._ended_by_blank and line.startswith(_CHAINED):
            self._chain(self._ended_by_blank)
        elif line.strip() and self._latest and not _NOISE.match(words):
            self._latest.followed_by += 1
            if self._latest.followed_by > WORDS_AFTER:
                self._ended_by_blank = None
        self._look_for_the_end(words)

    def _look_for_the_end(self, words: str) -> None:
        if crashed := _CRASHED.match(words):
            self._crashed = self._crashed or (crashed[1], int(crashed[2]))
        if crashed or _NOTICE.match(words):
            self.doomed.set()
        if self.doomed.is_set() or words.startswith("kill_process_tree called"):
            self._kills_itself = True

    def _begin(self, words: str) -> None:
        if self._open and not self._in_message:  # the second one of a chain
            return
        self._close()
        self._ended_by_blank = None
        fatal = _FATAL.match(words)
        self._open = _Exception(fatal["who"].strip() if fatal else "")
        self._in_message = False

    def _go_on(self, line: str, words: str, *, new: bool) -> None:
        assert self._open is not None
        if new and self._in_message:
            self._close()
            if self._latest and not _NOISE.match(words):
                self._latest.followed_by += 1
        elif new:
            pass  # another process's line among the traceback's
        elif self._in_message and line.startswith(_CHAINED):
            self._chain(self._open)
        elif self._in_message and not line.strip():
            self._ended_by_blank = self._open
            self._close()
        elif self._in_message or (line.strip() and not line[0].isspace()):
            self._in_message = True
            self._open.lines.append(line)

    def _chain(self, exception: _Exception) -> None:
        """What follows is what this exception became."""
        exception.lines.clear()
        self._open, self._in_message, self._ended_by_blank = exception, False, None

    def _close(self) -> None:
        if self._open and self._open.lines:
            self._latest = self._open
            if self._open.who and self._first_fatal is None:
                self._first_fatal = self._open
        self._open = None

    @property
    def tail(self) -> list[str]:
        """The last lines of the log."""
        return list(self._tail)

    def exception(self) -> tuple[str, str] | None:
        """Which part of SGLang failed, if it says so, and the exception that it failed with.

        The first that a part of SGLang failed with: the others follow from it. Any other counts
        only as the last word, since a server goes on after most of them.
        """
        self._close()
        found = self._first_fatal
        if not found and self._latest and self._latest.followed_by <= WORDS_AFTER:
            found = self._latest
        return (found.who, found.text()) if found and found.text() else None

    def reason(self, code: int | None, phase: str, killed_by_kernel: bool) -> str:
        """How the server ended, in words; `code` is None when it has only said that it will."""
        killed = code == -signal.SIGKILL and not self._kills_itself
        who, what = self.exception() or ("", "")
        if who:
            return f"SGLang's {who.lower()} failed, {phase}: {what}"
        # What stands before a SIGKILL from outside is not its cause.
        if what and not killed:
            how = "failed" if code is None or code < 0 else _how(code)
            return f"SGLang {how}, {phase}: {what}"
        who, how = "SGLang", "ended because a process of its own failed"
        if self._crashed:
            who, code = f"SGLang's {self._crashed[0]}", self._crashed[1]
        if code is not None:
            how = _how(code)
        if code == -signal.SIGKILL and killed_by_kernel:
            how += " (by the kernel: out of memory)"
        last = [line for line in self._tail if not self._tells_nothing(line)]
        told = f"; its last line: {last[-1]}" if last and code != -signal.SIGKILL else ""
        return f"{who} {how}, {phase}{told}"

    @staticmethod
    def _tells_nothing(line: str) -> bool:
        stamp = _STAMP.match(line)
        words = line[stamp.end() :] if stamp else line
        return bool(_NOISE.match(words) or _CRASHED.match(words))


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def kernel_kills(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> int:
    """How many processes of this container the kernel has killed for want of memory."""
    files = [Path(root, "memory.events"), Path(root, "memory", "memory.oom_control")]
    try:
        for line in Path(own).read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                files.insert(0, Path(root, path.lstrip("/"), "memory.events"))
            elif "memory" in controllers.split(","):
                files.insert(0, Path(root, "memory", path.lstrip("/"), "memory.oom_control"))
    except (OSError, ValueError):
        pass
    for file in files:
        try:
            counts = dict(line.split() for line in file.read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0
