"""SIGTERM ends the worker in every phase, and whatever it started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import HANG, MESSAGES, ROOT, Worker, alive, stop_and_check, wait_for
from runpod_api import RunPod

Start = Callable[..., Worker]


def test_sigterm_while_the_model_loads(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60", "STANDIN_STRAY": "1"}
    )
    worker.server_pid()
    stop_and_check(worker)


def test_sigterm_during_the_long_poll(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_STRAY": "1"})
    wait_for(lambda: own_runpod.polls, what="the SDK polls")
    worker.wait_for_log("SGLang is ready")
    wait_for(lambda: own_runpod.pings, what="the SDK's ping process")
    time.sleep(0.3)
    stop_and_check(worker)


def test_sigterm_with_jobs_under_way(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_IGNORE_SIGTERM": "1", "STANDIN_TOKEN_MS": "20"}
    )
    worker.wait_for_log("SGLang is ready")
    hung = own_runpod.submit(HANG)
    short = own_runpod.submit({"messages": MESSAGES, "max_tokens": 40})
    wait_for(lambda: worker.ask("/__hanging") and worker.ask("/__seen"), what="the requests")
    worker.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not own_runpod.polled, what="the end of the long poll")
    late = own_runpod.submit(HANG)
    stop_and_check(worker)
    assert not late.taken, "it takes no more jobs"
    assert short.output, "what can finish in time does"
    assert hung.error == "the worker was stopped (SIGTERM)"


def test_sigterm_as_soon_as_python_runs(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    worker.wait_for_log("starting SGLang")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    worker.nothing_is_left()


def test_sigterm_during_the_fitness_checks(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time, runpy\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import runpod\n"
        "@runpod.serverless.register_fitness_check\n"
        "def slow():\n"
        "    print('checking', flush=True)\n"
        "    time.sleep(60)\n"
        f"runpy.run_path({str(ROOT / 'handler.py')!r}, run_name='__main__')\n"
    )
    worker = start_worker(own_runpod.environment(), arguments=[str(slow)])
    worker.wait_for_log("checking")
    stop_and_check(worker)


def test_a_failed_fitness_check_leaves_no_server(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    failing = tmp_path / "failing.py"
    failing.write_text(
        "import sys, runpy\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import runpod\n"
        "@runpod.serverless.register_fitness_check\n"
        "def failing():\n"
        "    raise RuntimeError('no good')\n"
        f"runpy.run_path({str(ROOT / 'handler.py')!r}, run_name='__main__')\n"
    )
    worker = start_worker(own_runpod.environment(), arguments=[str(failing)])
    assert worker.wait(15) == 1
    wait_for(lambda: worker.processes() == [], 5, "the server's end")


def test_a_killed_worker_leaves_no_server(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    worker.wait_for_log("SGLang is ready")
    wait_for(lambda: own_runpod.pings, what="the SDK's ping process")
    worker.process.kill()
    wait_for(lambda: worker.processes() == [], 5, "everything ends with the worker")


def can_unshare() -> bool:
    """Whether this machine lets a test be PID 1."""
    if not shutil.which("unshare"):
        return False
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


as_pid_1 = pytest.mark.skipif(not can_unshare(), reason="no new PID namespace can be made here")
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def inner_pid(worker: Worker) -> int:
    """The worker inside its namespace, by the number that it has out here."""

    def look() -> int | None:
        path = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children")
        children = path.read_text().split()
        return int(children[0]) if children else None

    return int(wait_for(look, what="the process inside"))


@as_pid_1
def test_sigterm_as_pid_1(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_STRAY": "1"}, prefix=UNSHARE)
    wait_for(lambda: own_runpod.polls, what="the SDK polls")
    worker.wait_for_log("SGLang is ready")
    pid = inner_pid(worker)
    status = Path(f"/proc/{pid}/status").read_text()
    assert "\nNSpid:" in status
    assert status.split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
    os.kill(pid, signal.SIGTERM)
    assert worker.wait(10) == 0


@as_pid_1
def test_sigterm_as_pid_1_while_the_model_loads(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60"}, prefix=UNSHARE)
    worker.wait_for_log("server_args=")
    os.kill(inner_pid(worker), signal.SIGTERM)
    assert worker.wait(10) == 0


@as_pid_1
def test_orphans_are_collected_as_pid_1(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_STRAY": "brief"}, prefix=UNSHARE)
    worker.wait_for_log("SGLang is ready")
    pid = inner_pid(worker)

    def zombies() -> list[str]:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [c for c in children if not alive(int(c))]

    time.sleep(1)
    wait_for(lambda: not zombies(), 5, "no zombie stays")
    assert "orphan 0" in worker.log, "there was one to collect"
