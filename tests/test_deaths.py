"""How a server that died is told, and how soon."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CHAT, HANG, ROOT, Worker, wait_for
from runpod_api import RunPod

from sglang_worker.deaths import LastWords, kernel_kills

Start = Callable[..., Worker]

GRAPHS = (
    "Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    "Possible solutions:\n"
    "1. set --mem-fraction-static to a smaller value\n"
    "2. set --cuda-graph-max-bs to a smaller value"
)
GRAPHS_TOLD = GRAPHS.replace("\n", " | ")
KILLED_ITSELF = "kill_process_tree called"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "ValueError: the weights have another shape",
            "ValueError: the weights have another shape",
        ),
        (GRAPHS, GRAPHS_TOLD),
    ],
)
def test_a_scheduler_that_fails_while_it_loads(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path, words: str, told: str
) -> None:
    gate = tmp_path / "gate"
    job = own_runpod.submit(CHAT)
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_FAIL_AT_START": words, "STANDIN_GATE": str(gate)}
    )
    wait_for(lambda: job.taken, what="the job is taken")
    gate.touch()
    assert worker.wait(20) == 1
    assert job.error == f"SGLang's scheduler failed, before it was ready: {told}"
    assert job.error in worker.log
    assert KILLED_ITSELF not in worker.log, "nobody waits for it to end itself"
    worker.nothing_is_left()


def test_a_scheduler_that_fails_at_a_request(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    worker.wait_for_log("SGLang is ready")
    hung = own_runpod.submit(HANG)
    wait_for(lambda: worker.ask("/__hanging"), what="the request")
    asked = time.monotonic()
    worker.harm("/__fail", {"words": "RuntimeError: CUDA error: an illegal address\nMore of it"})
    told = "RuntimeError: CUDA error: an illegal address | More of it"
    assert hung.error == f"SGLang's scheduler failed, after it was ready: {told}"
    assert worker.wait(10) == 1
    assert KILLED_ITSELF not in worker.log
    assert "SIGQUIT received" in worker.log
    assert time.monotonic() - asked < 5, "at once: SGLang itself would take five seconds"
    worker.nothing_is_left()


def test_a_scheduler_that_is_killed(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    worker.wait_for_log("SGLang is ready")
    hung = own_runpod.submit(HANG)
    wait_for(lambda: worker.ask("/__hanging"), what="the request")
    worker.harm("/__kill_scheduler")
    assert hung.error == "SGLang's scheduler_0 was killed by SIGKILL, after it was ready"
    assert worker.wait(10) == 1
    assert KILLED_ITSELF not in worker.log
    worker.nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_launcher_that_is_killed(start_worker: Start, number: signal.Signals) -> None:
    worker = start_worker(arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    os.kill(worker.server_pid(), number)
    assert worker.wait(5) == 1
    assert f"SGLang was killed by {number.name}, after it was ready" in worker.log
    worker.nothing_is_left()


def test_words_of_a_request_end_nothing(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    said = "Receive: obj=GenerateReqInput(text='SIGQUIT received. Subprocess x (pid=1) crashed')"
    body = {"line": f"[2026-11-28 01:02:03] {said}"}
    assert own_runpod.run({"route": "/__say", "body": body}).output
    assert own_runpod.run(CHAT).output
    assert worker.process.poll() is None


# A worker that is killed


@pytest.mark.parametrize("stray", ["", "1", "titled"])
def test_a_killed_worker_leaves_nothing(
    start_worker: Start, own_runpod: RunPod, stray: str
) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_STRAY": stray})
    worker.wait_for_log("SGLang is ready")
    wait_for(lambda: own_runpod.pings, what="the SDK's ping process")
    titles = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in worker.processes()]
    for title in (b"sglang::scheduler", b"sglang::detokenizer"):
        assert any(t.startswith(title) for t in titles), "its environment hides nobody"
    if stray == "titled":
        assert any(t.startswith(b"sglang::stray") for t in titles)
    worker.process.kill()
    worker.nothing_is_left(5)


def test_a_killed_guard_takes_the_server_and_the_worker_with_it(start_worker: Start) -> None:
    worker = start_worker({"STANDIN_STRAY": "titled"}, arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    server = worker.server_pid()
    guard = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert worker.wait(5) == 1
    worker.nothing_is_left()


# The reader by itself


def told(log: str, code: int | None = -9, by_kernel: bool = False) -> str:
    words = LastWords()
    for line in log.splitlines():
        words.read(line)
    return words.reason(code, "then", by_kernel)


STAMP = "[2026-11-28 01:02:03 TP0] "
FRAMES = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n    ^^^\n'
FAILED = f"{STAMP}Scheduler hit an exception: {FRAMES}"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        # The first one is the cause.
        (
            f"{FAILED}torch.OutOfMemoryError: CUDA out of memory.\n\n{FAILED}EOFError\n\n"
            f"{FRAMES}RuntimeError: rank 0 is gone\n",
            "SGLang's scheduler failed, then: torch.OutOfMemoryError: CUDA out of memory.",
        ),
        # What an exception became.
        (
            f"{FAILED}KeyError: 'x'\n\nDuring handling of the above exception, another exception "
            f"occurred:\n\n{FRAMES}ValueError: no x\nset --x\n\n{STAMP}more\n",
            "SGLang's scheduler failed, then: ValueError: no x | set --x",
        ),
        # Another process's line among the frames.
        (
            f"{FAILED}{STAMP}Load weight end.\n  File 'b.py'\nValueError: it\n",
            "SGLang's scheduler failed, then: ValueError: it",
        ),
        # Another process's line before it, written without its end.
        (
            f"INFO:     127.0.0.1:1 - 200 OK{FAILED}ValueError: it\n",
            "SGLang's scheduler failed, then: ValueError: it",
        ),
        # The kernel's words, and a part's.
        (
            "[2026-11-28 01:02:03] Subprocess scheduler_0 (pid=5) crashed with exit code -11. "
            "Triggering SIGQUIT for cleanup...",
            "SGLang's scheduler_0 was killed by SIGSEGV, then",
        ),
        (
            'INFO:     127.0.0.1:1 - "GET /v1/models HTTP/1.1" 200 OK[2026-11-28 01:02:03] '
            "Subprocess scheduler_0 (pid=5) crashed with exit code -9. Triggering SIGQUIT",
            "SGLang's scheduler_0 was killed by SIGKILL, then",
        ),
        # A request's words are no reason.
        (
            "INFO: prompt='[2026-11-28 01:02:03] Subprocess scheduler_0 (pid=5) crashed with exit "
            "code -11.'",
            "SGLang was killed by SIGKILL, then",
        ),
        ("loading", "SGLang was killed by SIGKILL, then"),
        # A traceback of a request that failed long before is not the reason.
        (
            f"{STAMP}Oops {FRAMES}ValueError: of a request\n" + f"{STAMP}Decode batch\n" * 9,
            "SGLang was killed by SIGKILL, then",
        ),
    ],
)
def test_the_reason_is_the_exception(log: str, expected: str) -> None:
    assert told(log) == expected


def test_a_launcher_that_fails_by_itself() -> None:
    log = f"{FRAMES}OSError: no such model\n"
    assert told(log, 1) == "SGLang exited with code 1, then: OSError: no such model"
    usage = "usage: launch_server.py\nlaunch_server.py: error: unknown --x\n"
    assert told(usage, 2).endswith("then; its last line: launch_server.py: error: unknown --x")


def test_memory_is_blamed_only_where_the_kernel_says_so() -> None:
    assert told("", -9, by_kernel=True) == (
        "SGLang was killed by SIGKILL (by the kernel: out of memory), then"
    )
    assert "memory" not in told("")
    assert "memory" not in told(f"{FAILED}ValueError: x\n", -9, by_kernel=True)


def test_the_kernels_count(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/inner\n")
    root = tmp_path / "fs"
    (root / "inner").mkdir(parents=True)
    assert kernel_kills(str(root), str(own)) == 0
    (root / "memory.events").write_text("low 0\noom 4\noom_kill 2\n")
    assert kernel_kills(str(root), str(own)) == 2
    (root / "inner" / "memory.events").write_text("oom_kill 3\n")
    assert kernel_kills(str(root), str(own)) == 3
    own.write_text("9:memory:/box\n")
    (root / "memory" / "box").mkdir(parents=True)
    (root / "memory" / "box" / "memory.oom_control").write_text("under_oom 0\noom_kill 7\n")
    assert kernel_kills(str(root), str(own)) == 7
