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
from conftest import ANSWER, CHAT, HANG, MESSAGES, ROOT, STANDIN, Worker, stop_and_check, wait_for
from runpod_api import RunPod

from sglang_worker.supervisor import Supervisor

Start = Callable[..., Worker]


def test_it_registers_while_the_model_loads_and_early_jobs_wait(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    worker = start_worker(own_runpod.environment() | {"STANDIN_GATE": str(gate)})
    job = own_runpod.submit(CHAT)
    wait_for(lambda: job.taken, what="the job is taken")
    time.sleep(0.5)
    assert "SGLang is ready" not in worker.log, "the job is taken before the server is ready"
    assert '"POST /v1/chat/completions' not in worker.log, "nothing is sent too early"
    assert not job.finished.is_set()
    gate.touch()
    assert job.output
    # The server's lines and the worker's own come in any order.
    worker.wait_for_log('"POST /v1/chat/completions')
    worker.wait_for_log("SGLang is ready")


def test_warming_up_is_not_ready(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_WARMUP_SECONDS": "1"})
    job = own_runpod.submit(CHAT)
    assert job.output
    worker.wait_for_log("fired up")
    fired_up = worker.log.index("fired up")
    assert fired_up < worker.log.index("SGLang is ready")
    assert "GET /health" not in worker.log, "the worker's own questions are not in the log"


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [("handler.py", None, "0"), ("handler.py", "1", "1"), ("engine.py", None, None)],
)
def test_the_worker_asks_a_health_check_that_answers_at_once(
    start_worker: Start, own_runpod: RunPod, program: str, given: str | None, expected: str | None
) -> None:
    name = "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION"
    environment = own_runpod.environment() | ({name: given} if given else {})
    worker = start_worker(environment, arguments=[str(ROOT / program)])
    server = Path(f"/proc/{worker.server_pid()}/environ").read_bytes().decode().split("\0")
    assert dict(pair.split("=", 1) for pair in server if pair).get(name) == expected


def test_a_job_stopped_while_it_waits_for_the_model(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    worker = start_worker(own_runpod.environment() | {"STANDIN_GATE": str(gate)})
    first, second = own_runpod.submit(CHAT), own_runpod.submit(CHAT)
    worker.wait_for_log("Jobs in progress: 1")
    own_runpod.stop(first)
    worker.wait_for_log("Job stopped.")
    wait_for(lambda: second.taken, what="the place that became free is used")
    gate.touch()
    assert second.output, "the other one is not touched"
    assert not first.finished.is_set()
    assert len(worker.posts()) == 1, "the stopped one never reached the server"


def test_a_server_that_exits_at_start(start_worker: Start, own_runpod: RunPod) -> None:
    job = own_runpod.submit(CHAT)
    worker = start_worker(own_runpod.environment() | {"STANDIN_EXIT_AT_START": "3"})
    assert worker.wait(15) == 1
    reason = "SGLang exited with code 3, before it was ready; its last line: error: the model"
    assert reason in worker.log
    assert "its last lines:" in worker.log
    assert "error: the model does not fit" in worker.log
    assert "Traceback" not in worker.log
    if job.taken:
        assert "SGLang exited with code 3" in job.error
    worker.nothing_is_left()


def test_a_server_that_exits_while_jobs_wait_for_it(
    start_worker: Start, own_runpod: RunPod
) -> None:
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_LOAD_SECONDS": "60", "LOADING_CONCURRENCY": "3"}
    )
    jobs = [own_runpod.submit(CHAT) for _ in range(3)]
    wait_for(lambda: all(job.taken for job in jobs), what="the jobs are taken")
    os.kill(worker.server_pid(), signal.SIGKILL)
    assert worker.wait(3) == 1
    for job in jobs:
        assert job.error == "SGLang was killed by SIGKILL, before it was ready"


def test_a_server_that_dies_later(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"STANDIN_TOKEN_MS": "20", "STANDIN_STRAY": "1"}
    )
    worker.wait_for_log("SGLang is ready")
    hung = own_runpod.submit(HANG)
    stream = own_runpod.submit({"messages": MESSAGES, "stream": True, "max_tokens": 10_000})
    wait_for(lambda: len(stream.items) > 1, what="the stream is under way")
    wait_for(lambda: worker.ask("/__hanging"), what="the request")
    own_runpod.submit({"route": "/__die", "method": "POST", "body": {"code": 9}})
    wait_for(lambda: not alive_server(worker), what="the server's end")
    wait_for(lambda: not own_runpod.polled, what="the end of the long poll")
    late = own_runpod.submit(CHAT)
    assert worker.wait(3) == 1
    reason = "SGLang exited with code 9, after it was ready"
    assert reason in hung.error
    assert "fatal: no more memory on the device" in hung.error
    assert reason in stream.error
    assert '"error"' in stream.items[-1], "the stream ends with an error event"
    assert not late.taken, "it takes no more jobs"
    assert reason in worker.log
    worker.nothing_is_left()


def test_the_exit_code_holds_when_the_sdk_stops_first(start_worker: Start) -> None:
    # With short polls the SDK's own loop ends while the server is still being ended.
    api = RunPod(poll_seconds=0.05)
    try:
        worker = start_worker(api.environment() | {"STANDIN_IGNORE_SIGTERM": "1"})
        worker.wait_for_log("SGLang is ready")
        wait_for(lambda: api.polls, what="the SDK polls")
        time.sleep(0.3)
        worker.process.send_signal(signal.SIGINT)
        assert worker.wait(10) == 128 + signal.SIGINT
        worker.nothing_is_left()
    finally:
        api.close()


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
    reason = "SGLang was not ready within 4 s (READY_TIMEOUT)"
    assert reason in worker.log
    if job.taken:
        assert job.error == reason
    worker.nothing_is_left()


def test_a_request_that_takes_too_long(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(
        own_runpod.environment() | {"REQUEST_TIMEOUT": "2", "STANDIN_TOKEN_MS": "20"}
    )
    hung = own_runpod.submit(HANG)
    stream = own_runpod.submit({"messages": MESSAGES, "stream": True, "max_tokens": 10_000})
    words = "no complete answer within 2 s (REQUEST_TIMEOUT)"
    assert words in hung.error
    assert words in stream.error
    assert words in stream.items[-1]
    wait_for(lambda: len(worker.ask("/__aborted")) == 2, what="both requests are aborted")
    assert worker.process.poll() is None, "the worker goes on"


# Limits and certificates


@pytest.mark.parametrize(("setting", "taken"), [("2", 2), ("", 5)])
def test_it_takes_as_many_jobs_as_it_may(
    start_worker: Start, own_runpod: RunPod, setting: str, taken: int
) -> None:
    start_worker(own_runpod.environment() | {"MAX_CONCURRENCY": setting})
    jobs = [own_runpod.submit(HANG) for _ in range(5)]
    wait_for(lambda: sum(1 for job in jobs if job.taken) == taken, what="the jobs are taken")
    time.sleep(1.2)  # the SDK looks again after a second
    assert sum(1 for job in jobs if job.taken) == taken
    own_runpod.stop(jobs[0])
    if taken < 5:
        wait_for(lambda: jobs[taken].taken, what="a place that became free is used")
    for job in jobs:
        own_runpod.stop(job)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_server_behind_a_certificate(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:a-password"]
    command += ["-subj", "/CN=test", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    worker = start_worker(
        own_runpod.environment()
        | {"SSL_CERTFILE": certificate, "SSL_KEYFILE": key, "SSL_KEYFILE_PASSWORD": "a-password"}
    )
    [answer] = own_runpod.run(CHAT).output
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert "a-password" not in worker.log


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
    assert worker.wait(3) == 1
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


def test_what_is_said_after_the_end_began_is_done_at_once() -> None:
    supervisor, calls = Supervisor(), []
    supervisor.on_end(lambda: calls.append("early"))
    assert not calls
    assert supervisor._fate.acquire(blocking=False)
    supervisor.on_end(lambda: calls.append("late"))
    assert calls == ["late"]
