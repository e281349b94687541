"""Workers, servers and stand-ins that tests start and that end with them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runpod_api import RunPod, patience

ROOT = Path(__file__).resolve().parent.parent
STANDIN = ROOT / "tests" / "standin"

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT = {"messages": MESSAGES}
HANG = {"route": "/__hang", "method": "POST", "body": {}}
ANSWER = "Hello wörld 漢字 🙂 and so on"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """What a worker needs of this process's environment, and nothing that would configure it."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "COVERAGE_PROCESS_START")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {
        "PYTHONPATH": str(STANDIN),
        "LOCAL_MODEL_ARGS": "/nonexistent/local_model_args.json",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
    }


def wait_for(condition: Callable[[], Any], timeout: float = 15.0, what: str = "") -> Any:
    """What `condition` gives once that is true."""
    end = time.monotonic() + timeout * patience()
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what or condition}")


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def parent_of(pid: int) -> int:
    """The process that a living one is a child of; 0 when it is gone."""
    fields = _of(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _of(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def processes_of(mark: str, folder: Path) -> list[int]:
    """The living processes that have `mark` in their environment, and SGLang's own children.

    Those write their names over their environment, so what tells them is the folder that they were
    started in and the session of the server that started them, as long as that one is there.
    """
    found = []
    for pid in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
        mine = mark.encode() in _of(pid, "environ")
        if not mine and _of(pid, "cmdline").startswith(b"sglang::"):
            try:
                mine = Path(f"/proc/{pid}/cwd").samefile(folder)
                leader = _of(os.getsid(pid), "environ")
                mine = mine and (mark.encode() in leader or b"TEST_MARK" not in leader)
            except OSError:
                continue
        if mine and alive(pid):
            found.append(pid)
    return found


class Worker:
    """A worker process and what can be seen of it."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str] | None = None,
        arguments: list[str] | None = None,
        prefix: list[str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.inside = bool(prefix)
        self.mark = f"TEST_MARK=mark-{self.port}-{time.monotonic_ns()}"
        name, _, value = self.mark.partition("=")
        self.environment = clean_environment() | {
            "MODEL_NAME": "org/model",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            name: value,
        }
        self.environment |= environment or {}
        self.log_file = folder / f"worker-{self.port}.log"
        self.started = time.monotonic()
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [*(prefix or []), sys.executable, *(arguments or [str(ROOT / "handler.py")])],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    def wait_for_log(self, text: str, timeout: float = 20.0) -> None:
        try:
            wait_for(lambda: text in self.log or self.process.poll() is not None, timeout, text)
            assert text in self.log
        except AssertionError:
            raise AssertionError(f"{text!r} is not in the log:\n{self.log[-4000:]}") from None

    def wait(self, timeout: float) -> int:
        """The exit code of a worker that must end by itself in this time."""
        try:
            return self.process.wait(timeout * patience())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still alive after {timeout} s:\n{self.log[-4000:]}") from None

    def processes(self) -> list[int]:
        """The worker and everything that it started, wherever that has gone."""
        return processes_of(self.mark, self.folder)

    def nothing_is_left(self, timeout: float = 2.0) -> None:
        """All that the worker started is gone: a process that is killed takes a moment to go."""
        wait_for(lambda: self.processes() == [], timeout, f"nothing is left of {self.processes()}")

    def server_pid(self) -> int:
        """The process that runs SGLang."""

        def look() -> int | None:
            found = [
                pid
                for pid in self.processes()
                if b"sglang.launch_server" in _of(pid, "cmdline").split(b"\0")
            ]
            # Its guard has the same command line, and is its parent.
            return next((pid for pid in found if parent_of(pid) in found), None)

        return int(wait_for(look, what="the server's process"))

    def ask(self, path: str, body: Any = None, key: str | None = None) -> Any:
        """Asks the server itself, without the worker."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.loads(response.read() or "null")

    def posts(self) -> list[dict[str, Any]]:
        """What jobs have asked of the server; the worker itself asks by GET."""
        return [seen for seen in self.ask("/__seen") if seen["method"] == "POST"]

    def harm(self, path: str, body: Any = None) -> None:
        """Asks the server for what ends it, so that its answer may not come any more."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.ask(path, body)

    def end(self) -> None:
        """Ends the worker and, if it failed to, everything that it started."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if self.inside else signal.SIGTERM)
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # it may just have ended
                os.kill(pid, signal.SIGKILL)


def stop_and_check(worker: Worker) -> None:
    """SIGTERM ends everything in time and says so in the exit code."""
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    worker.nothing_is_left()


@pytest.fixture(scope="module")
def runpod_api() -> Iterator[RunPod]:
    """One RunPod for a module's tests."""
    api = RunPod()
    yield api
    api.close()


@pytest.fixture
def own_runpod() -> Iterator[RunPod]:
    """A RunPod for one test alone."""
    api = RunPod()
    yield api
    api.close()


@pytest.fixture(scope="module")
def shared_worker(runpod_api: RunPod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for a module's tests that leave it as it was."""
    worker = Worker(tmp_path_factory.mktemp("worker"), runpod_api.environment())
    yield worker
    worker.end()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers that end with the test."""
    started: list[Worker] = []

    def start(environment: dict[str, str] | None = None, **more: Any) -> Worker:
        started.append(Worker(tmp_path, environment, **more))
        return started[-1]

    yield start
    for worker in started:
        worker.end()
