"""The life of the server's process, and of everything that it leaves behind.

One thread owns all of it, so that it works in every phase: while Python imports, while the SDK
runs its fitness checks, during its long poll, and as PID 1. Signal handlers only write a byte that
wakes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import select
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from types import FrameType
from typing import NoReturn

from sglang_worker import cache
from sglang_worker.config import ServerConfig
from sglang_worker.deaths import LastWords, kernel_kills
from sglang_worker.launch import TO_CHILD
from utils import Redactor, log

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1

PROBE_INTERVAL = 0.1  #: seconds between two looks at whether the server is ready
PROBE_TIMEOUT = 10.0  #: seconds that one look may take
DRAIN_AFTER_DEATH = 1.5  #: seconds in which jobs must report the server's death
DRAIN_AT_LEAST = 0.4  #: the SDK looks for new jobs in its queue every 0.1 s
TERM_GRACE = 2.5  #: seconds between SIGTERM and SIGKILL for the server
REPORT_GRACE = 1.0  #: seconds in which jobs that were cut report it
IDLE_LOOK = 0.25  #: seconds between two looks at whether the server is still at work
LAST_WORDS = 0.3  #: seconds that a server which says it is about to end gets for saying more
LONGEST_LINE = 1 << 20  #: bytes after which a line of the log is passed on in pieces

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class EngineError(Exception):
    """The server cannot answer any more; the text says why."""


def process_table() -> dict[int, tuple[int, int, str]]:
    """Every process: its parent, its process group and its state."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                table[int(entry)] = (int(fields[1]), int(fields[2]), fields[0].decode())
    return table


def descendants(root: int) -> list[int]:
    """Every living process below `root`, whatever group or session it has moved to."""
    table = process_table()
    found, queue = [], [root]
    while queue:
        parent = queue.pop()
        children = [pid for pid, (ppid, _, _) in table.items() if ppid == parent]
        queue += children
        found += [pid for pid in children if table[pid][2] != "Z"]
    return found


def _ask(config: ServerConfig, route: str) -> tuple[int, bytes]:
    """Status and body of the server's answer to a GET; 0 when there is none."""
    connection: http.client.HTTPConnection
    address = (config.reachable_host, config.port)
    if config.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(*address, timeout=PROBE_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(*address, timeout=PROBE_TIMEOUT)
    key = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    try:
        connection.request("GET", route, headers=key)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


_forking = 0  #: the process that forks, as its child finds it


def _before_fork() -> None:
    global _forking
    _forking = os.getpid()


def _in_forked_child() -> None:
    """A child that the SDK forks must not answer signals for the worker, nor outlive it."""
    for number in SIGNALS:
        with contextlib.suppress(ValueError, OSError):
            signal.signal(number, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _forking:
        os._exit(1)  # it ended before the kernel could be told


class Supervisor:
    """Starts the server, watches it, and ends the worker when either of them must end."""

    def __init__(self) -> None:
        #: Resolved when the server is ready; fails with EngineError when it never will be.
        self.ready: Future[None] = Future()
        #: Resolved with the reason as soon as the server is gone or about to be ended.
        self.ended: Future[str] = Future()
        #: Whether the server generates text, as against embeddings alone.
        self.generates = True
        #: How many tokens its model knows, where that is known.
        self.vocabulary: int | None = None
        #: How many jobs are not yet reported; the worker waits for them before it leaves.
        self.jobs_in_progress: Callable[[], int] = lambda: 0
        self._stop_taking_jobs: Callable[[], None] = lambda: None
        self._process: subprocess.Popen[bytes] | None = None
        self._fate = threading.Lock()  # its holder ends the worker
        self._started = time.monotonic()
        #: Held while a process is being started, which must not happen while the worker ends.
        self._starting = threading.Lock()
        self._last_words = LastWords()
        self._kernel_kills = 0
        self._redactor = Redactor()
        self._config: ServerConfig | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._pump_thread: threading.Thread | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    # Signals

    def catch_signals(self) -> None:
        """Takes SIGTERM and SIGINT, and starts the watch. Main thread only."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        os.register_at_fork(before=_before_fork, after_in_child=_in_forked_child)
        self.retake_signals()
        self._thread.start()

    def retake_signals(self) -> list[Callable[[int, FrameType | None], object]]:
        """Takes the signals again if someone else has; returns the handlers that stood there."""
        previous = []
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler != self._on_signal:
                signal.signal(number, self._on_signal)
                if callable(handler):
                    previous.append(handler)
        return previous

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        with contextlib.suppress(OSError):
            os.write(self._wake_write, bytes([number]))

    def on_end(self, stop_taking_jobs: Callable[[], None]) -> None:
        """Has a function called, in any thread, when no more jobs are to be taken."""
        self._stop_taking_jobs = stop_taking_jobs
        if self._fate.locked():
            stop_taking_jobs()

    # Start

    def start(self, config: ServerConfig, redactor: Redactor) -> None:
        """Starts the server and the threads that look after it."""
        self._config, self._redactor = config, redactor
        log.info("starting SGLang %s: %s", config.sglang, " ".join(config.command))
        self._started = time.monotonic()
        self._kernel_kills = kernel_kills()
        if self._fate.locked():
            self._thread.join()  # the worker ends already
        with self._starting:
            try:
                self._process = subprocess.Popen(
                    config.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=config.environment,
                    start_new_session=True,
                )
            except OSError as error:
                log.error("SGLang could not be started: %s", error)
                sys.exit(1)
        message = {"parent": os.getpid(), "arguments": config.arguments.secret()}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(json.dumps(message).encode())
        self._pump_thread = threading.Thread(target=self._pump, name="server-log", daemon=True)
        self._pump_thread.start()
        threading.Thread(target=self._probe, name="readiness", daemon=True).start()
        os.write(self._wake_write, b"\0")

    def wait(self) -> None:
        """Blocks until the worker ends; for a main thread with nothing else to do."""
        # Not `signal.pause()`: a signal that comes just before it, or to another thread, does not
        # end it, and its handler would wait for the next one.
        while True:
            time.sleep(0.2)

    def close(self) -> None:
        """Ends the server and everything else below this process; for a worker that is done.

        When the supervisor is ending the worker already, that decides the exit code: this waits.
        """
        if not self._fate.acquire(blocking=False):
            self._thread.join()
            return
        self._end_server(TERM_GRACE)
        self._end_descendants()

    # The server's log

    def _pump(self) -> None:
        """Passes the server's log on, line by line, without secrets."""
        assert self._process is not None and self._process.stdout is not None
        source = self._process.stdout.fileno()
        held = b""
        while True:
            try:
                data = os.read(source, 65536)
            except OSError:
                break
            if not data:
                break
            held += data
            cut = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
            if cut:
                self._pass_on(held[:cut])
                held = held[cut:]
            elif len(held) > LONGEST_LINE:
                # What may be the beginning of a secret stays until its end has come.
                text = self._redactor.text(held.decode("utf-8", "surrogateescape"))
                cut = len(text) - self._redactor.longest
                self._pass_on(text[:cut].encode("utf-8", "surrogateescape"))
                held = text[cut:].encode("utf-8", "surrogateescape")
        if held:
            self._pass_on(held + b"\n")

    def _pass_on(self, data: bytes) -> None:
        kept = []
        for line in data.decode("utf-8", "replace").splitlines(keepends=True):
            if '"GET /health HTTP/1.' in line:
                continue  # the worker's own question, ten times a second
            line = self._redactor.line(line)
            self._last_words.read(line.rstrip("\r\n"))
            kept.append(line)
        if self._last_words.doomed.is_set():
            with contextlib.suppress(OSError):
                os.write(self._wake_write, b"\0")
        view = memoryview("".join(kept).encode())
        while view:
            try:
                view = view[os.write(1, view) :]
            except OSError:
                return

    # Readiness

    def _probe(self) -> None:
        """Asks the server's health check until it says yes."""
        assert self._config is not None
        while not self.ended.done():
            if self._healthy(self._config):
                self._ask_about_the_model()
                seconds = time.monotonic() - self._started
                with contextlib.suppress(InvalidStateError):
                    self.ready.set_result(None)
                    log.info("SGLang is ready after %.1f s", seconds)
                return
            time.sleep(PROBE_INTERVAL)

    def _ask_about_the_model(self) -> None:
        """What the server says of its model; SGLang tells some models for embeddings by itself."""
        assert self._config is not None
        self.generates = not self._config.embeds
        for route in ("/model_info", "/get_model_info"):
            status, answer = _ask(self._config, route)
            with contextlib.suppress(ValueError, AttributeError):
                said = json.loads(answer) if status == 200 else {}
                if said.get("is_generation") is not None:
                    self.generates = bool(said["is_generation"])
                    model, env = str(said.get("model_path")), self._config.environment
                    self.vocabulary = cache.vocabulary(model, env)
                    return

    @staticmethod
    def _healthy(config: ServerConfig) -> bool:
        return _ask(config, "/health")[0] == 200

    def _running_requests(self) -> int | None:
        """How many requests the server is at; None where it does not say."""
        assert self._config is not None
        status, answer = _ask(self._config, "/v1/loads?include=core")
        try:
            loads = json.loads(answer)["loads"] if status == 200 else None
            names = ("num_running_reqs", "num_waiting_reqs")
            return sum(int(load.get(name, 0)) for load in loads for name in names)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    # The watch

    def _watch(self) -> None:
        try:
            self._watch_until_the_end()
        except Exception:
            log.exception("the supervisor failed; the worker ends")
            self._kill_group(signal.SIGKILL)
            os._exit(1)

    def _watch_until_the_end(self) -> None:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        watched = False
        while True:
            if self._process and not watched:
                watched = self._register(poller)
            pause = 1000 if watched or not self._process else 200
            for descriptor, _ in poller.poll(pause):
                if descriptor == self._wake_read:
                    for number in os.read(self._wake_read, 64):
                        if number:
                            self._on_told_to_stop(number)
            if self._fate.locked():
                return
            if self._process and self._process.poll() is not None:
                self._on_death(self._process.returncode)
            elif self._last_words.doomed.is_set():
                # It would sleep for five seconds and then kill itself.
                time.sleep(LAST_WORDS)
                self._on_death(None)
            if self._process and self._config and not self.ready.done():
                limit = self._config.settings.ready_timeout
                if time.monotonic() - self._started > limit:
                    self._finish(
                        1, f"SGLang was not ready within {limit} s (READY_TIMEOUT)", signalled=False
                    )
            self._reap_adopted()

    def _register(self, poller: select.poll) -> bool:
        assert self._process is not None
        try:
            poller.register(os.pidfd_open(self._process.pid), select.POLLIN)
        except (AttributeError, OSError):
            return False  # an old kernel: look five times a second instead
        return True

    def _reap_adopted(self) -> None:
        """Collects orphans that ended up here, as PID 1 or as their subreaper.

        Children of the worker's own process group belong to the process that started them.
        """
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
        except ChildProcessError:
            return
        own_group = os.getpgrp()
        for pid, (parent, group, state) in process_table().items():
            adopted = state == "Z" and parent == os.getpid() and group != own_group
            if adopted and not (self._process and pid == self._process.pid):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    # The end

    def _on_told_to_stop(self, number: int) -> None:
        name = signal.Signals(number).name
        log.info("%s: the worker is stopping", name)
        code = 0 if number == signal.SIGTERM else 128 + number
        self._finish(code, f"the worker was stopped ({name})", signalled=True)

    def _on_death(self, code: int | None) -> None:
        self._kill_group(signal.SIGKILL)
        self._kill_strays()
        if self._pump_thread:
            self._pump_thread.join(0.5)
        phase = "after it was ready" if self.ready.done() else "before it was ready"
        reason = self._last_words.reason(code, phase, kernel_kills() > self._kernel_kills)
        shown = " | ".join(self._last_words.tail[-10:]) or "(none)"
        log.error("SGLang has ended; its last lines: %s", shown)
        self._finish(1, reason, signalled=False)

    def _finish(self, code: int, reason: str, *, signalled: bool) -> None:
        """Ends everything below this process and then the process itself."""
        if not self._fate.acquire(blocking=False):
            return
        if not signalled:
            log.error("%s; the worker ends", reason)
        with contextlib.suppress(Exception):
            self._stop_taking_jobs()
        with contextlib.suppress(InvalidStateError):
            self.ready.set_exception(EngineError(reason))
        if signalled:
            self._end_in_time(reason)
        else:
            self._set_ended(reason)
            self._kill_group(signal.SIGKILL)
            self._drain(DRAIN_AFTER_DEATH, at_least=DRAIN_AT_LEAST)
        with self._starting:
            self._end_descendants()
            self._leave(code)

    @staticmethod
    def _leave(code: int) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)

    def _end_in_time(self, reason: str) -> None:
        """Lets what is under way finish, and ends the server, all within SHUTDOWN_TIMEOUT."""
        limit = self._config.settings.shutdown_timeout if self._config else 0
        hard = time.monotonic() + limit
        soft = hard - min(TERM_GRACE + REPORT_GRACE, limit / 2)
        was_ready = self.ready.done() and not self.ready.exception()
        if was_ready:
            self._drain(soft - time.monotonic(), at_least=0.0)
        self._set_ended(reason)
        if was_ready:
            self._let_server_finish(soft)
        self._end_server(min(TERM_GRACE, max(0.1, hard - REPORT_GRACE - time.monotonic())))
        self._drain(REPORT_GRACE, at_least=0.0)

    def _let_server_finish(self, until: float) -> None:
        """SIGTERM for the launcher alone, which then finishes the requests that are under way: the
        group would take its scheduler away from it. It looks for the end of them only every few
        seconds, so it is asked instead, and what it has not yet sent gets a moment more."""
        if not self._process or time.monotonic() >= until:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(TO_CHILD)
        idle = 0
        doomed = self._last_words.doomed
        while idle < 2 and time.monotonic() < until and not doomed.is_set():
            if self._process.poll() is not None:
                return
            idle = idle + 1 if self._running_requests() == 0 else 0
            time.sleep(IDLE_LOOK)

    def _set_ended(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    def _drain(self, limit: float, *, at_least: float) -> None:
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < limit:
            if spent >= at_least and not self.jobs_in_progress():
                return
            time.sleep(0.02)

    def _kill_group(self, number: signal.Signals) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _kill_strays(self) -> None:
        """What the server left outside its group: below this process, but not of its own group."""
        table, own_group = process_table(), os.getpgrp()
        for pid in descendants(os.getpid()):
            if table.get(pid, (0, own_group, ""))[1] != own_group:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _end_server(self, grace: float) -> None:
        """SIGTERM for the server's group, and time to leave by itself."""
        if not self._process:
            return
        self._kill_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._kill_group(signal.SIGKILL)

    def _end_descendants(self) -> None:
        """SIGKILL for whatever is still below this process, until nothing is."""
        for _ in range(100):
            left = descendants(os.getpid())
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
