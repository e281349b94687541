"""How the worker begins and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, STANDIN, Worker, alive, wait_for
from runpod_api import RunPod

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT = {"messages": MESSAGES}
HANG = {"route": "/__hang", "method": "POST", "body": {}}

Start = Callable[..., Worker]


def test_it_registers_while_the_model_loads_and_early_jobs_wait(
    start_worker: Start, own_runpod: RunPod
) -> None:
    job = own_runpod.submit(CHAT)
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "4", "STANDIN_WARMUP_SECONDS": "1"}
    )
    wait_for(lambda: job.taken, what="the job is taken")
    assert "SGLang is ready" not in worker.log, "the job is taken before the server is ready"
    assert job.output
    ready = worker.log.index("SGLang is ready")
    assert ready < worker.log.index('"POST /v1/chat/completions'), "nothing is sent too early"


def test_warming_up_is_not_ready(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_WARMUP_SECONDS": "2"})
    job = own_runpod.submit(CHAT)
    assert job.output
    fired_up = worker.log.index("fired up")
    assert fired_up < worker.log.index("SGLang is ready")
    assert "GET /health" not in worker.log, "the worker's own questions are not in the log"


def test_a_job_stopped_while_it_waits_for_the_model(
    start_worker: Start, own_runpod: RunPod
) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "5"})
    first, second = own_runpod.submit(CHAT), own_runpod.submit(CHAT)
    wait_for(lambda: first.taken and second.taken, what="the jobs are taken")
    time.sleep(0.3)
    own_runpod.stop(first)
    worker.wait_for_log("Job stopped.")
    assert second.output, "the other one is not touched"
    assert not first.finished.is_set()
    assert len(worker.ask("/__seen")) == 1, "the stopped one never reached the server"


def test_a_server_that_exits_at_start(start_worker: Start, own_runpod: RunPod) -> None:
    job = own_runpod.submit(CHAT)
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_EXIT_AT_START": "3", "STANDIN_STRAY": "0"}
    )
    assert worker.wait(15) == 1
    assert "SGLang exited with code 3, before it was ready" in worker.log
    assert "its last lines:" in worker.log
    assert "error: the model does not fit" in worker.log
    assert "Traceback" not in worker.log
    if job.taken:
        assert "SGLang exited with code 3" in job.error
    assert worker.processes() == []


def test_a_server_that_exits_while_jobs_wait_for_it(
    start_worker: Start, own_runpod: RunPod
) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60"})
    jobs = [own_runpod.submit(CHAT) for _ in range(3)]
    wait_for(lambda: all(job.taken for job in jobs), what="the jobs are taken")
    os.kill(worker.server_pid(), signal.SIGKILL)
    begun = time.monotonic()
    assert worker.wait(10) == 1
    assert time.monotonic() - begun < 3
    for job in jobs:
        assert job.error.startswith("SGLang was killed by SIGKILL (out of memory?)")


def test_a_server_that_dies_later(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_TOKEN_MS": "20", "STANDIN_STRAY": "1"}
    )
    worker.wait_for_log("SGLang is ready")
    hung = own_runpod.submit(HANG)
    stream = own_runpod.submit({"messages": MESSAGES, "stream": True, "max_tokens": 10_000})
    wait_for(lambda: len(stream.items) > 1 and hung.taken, what="the jobs are under way")
    time.sleep(0.3)
    own_runpod.submit({"route": "/__die", "method": "POST", "body": {"code": 9}})
    wait_for(lambda: not alive_server(worker), what="the server's end")
    begun = time.monotonic()
    assert worker.wait(10) == 1
    assert time.monotonic() - begun < 3
    reason = "SGLang exited with code 9, after it was ready"
    assert reason in hung.error
    assert "fatal: no more memory on the device" in hung.error
    assert reason in stream.error
    assert '"error"' in stream.items[-1], "the stream ends with an error event"
    assert reason in worker.log
    assert worker.processes() == [], "nothing is left behind"


def alive_server(worker: Worker) -> bool:
    """Whether the server still answers."""
    try:
        worker.ask("/__aborted")
    except OSError:
        return False
    return True


def test_a_server_that_is_never_ready(start_worker: Start, own_runpod: RunPod) -> None:
    job = own_runpod.submit(CHAT)
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60", "READY_TIMEOUT": "4"}
    )
    assert worker.wait(20) == 1
    assert job.error == "SGLang was not ready within 4 s (READY_TIMEOUT)"
    assert worker.processes() == []


def test_a_request_that_takes_too_long(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"REQUEST_TIMEOUT": "1", "STANDIN_TOKEN_MS": "20"}
    )
    hung = own_runpod.submit(HANG)
    stream = own_runpod.submit({"messages": MESSAGES, "stream": True, "max_tokens": 10_000})
    quick = own_runpod.submit(CHAT)
    words = "no complete answer within 1 s (REQUEST_TIMEOUT)"
    assert words in hung.error
    assert words in stream.error
    assert words in stream.items[-1]
    assert quick.output
    wait_for(lambda: len(worker.ask("/__aborted")) == 2, what="both requests are aborted")
    assert worker.process.poll() is None, "the worker goes on"


# SIGTERM


def stop_and_check(worker: Worker, limit: float = 10.0) -> None:
    """SIGTERM ends everything in time and says so in the exit code."""
    begun = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(limit + 2) == 0
    assert time.monotonic() - begun < limit
    wait_for(lambda: worker.processes() == [], 2, "nothing is left behind")


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
    short = own_runpod.submit({"messages": MESSAGES, "max_tokens": 60})
    wait_for(lambda: hung.taken and short.taken, what="the jobs are taken")
    time.sleep(0.3)
    stop_and_check(worker)
    assert short.output, "what can finish in time does"
    assert hung.error == "the worker was stopped (SIGTERM)"


def test_sigterm_as_soon_as_python_runs(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment())
    worker.wait_for_log("starting SGLang")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert worker.processes() == []


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
    begun = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert worker.wait(12) == 0
    assert time.monotonic() - begun < 10


@as_pid_1
def test_sigterm_as_pid_1_while_the_model_loads(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60"}, prefix=UNSHARE)
    worker.wait_for_log("server_args=")
    os.kill(inner_pid(worker), signal.SIGTERM)
    assert worker.wait(12) == 0


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


# Load-balancer endpoints


def test_a_load_balancer_worker_serves_on_its_port(start_worker: Start) -> None:
    worker = start_worker(
        {"API_KEY": "a-key-for-clients", "STANDIN_STRAY": "1"},
        arguments=[str(ROOT / "engine.py")],
    )
    worker.wait_for_log("SGLang is ready")
    assert worker.ask("/health") is None
    models = worker.ask("/v1/models", key="a-key-for-clients")
    assert models["data"][0]["id"] == "org/model"
    stop_and_check(worker)


def test_a_load_balancer_worker_ends_with_its_server(start_worker: Start) -> None:
    worker = start_worker(arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    os.kill(worker.server_pid(), signal.SIGKILL)
    begun = time.monotonic()
    assert worker.wait(10) == 1
    assert time.monotonic() - begun < 3
    assert "SGLang was killed by SIGKILL" in worker.log


def test_a_load_balancer_worker_imports_no_sdk() -> None:
    code = "import sys, engine; print([m for m in ('runpod', 'aiohttp') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(STANDIN)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
