"""The worker on a desk: the SDK's local server, one job from the command line, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWER, ROOT, Worker, free_port, wait_for

Start = Callable[..., Worker]
HANDLER = str(ROOT / "handler.py")
#: Asks without the proxy that a machine may name.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CHAT = {"input": {"messages": [{"role": "user", "content": "Say hello."}]}}


def ask(url: str, body: Any = None, timeout: float = 20) -> Any:
    """Posts JSON as the README's curl does; None where there is no answer, or not a good one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method="POST", headers={"Content-Type": "application/json"}
    )
    try:
        with DIRECT.open(request, timeout=timeout) as answer:
            return json.load(answer)
    except (OSError, HTTPException):
        return None


def start_local(
    start_worker: Start, environment: dict[str, str] | None = None
) -> tuple[Worker, str]:
    """A worker behind the SDK's local server."""
    port = free_port()
    arguments = [HANDLER, "--rp_serve_api", "--rp_api_port", str(port)]
    return start_worker(environment, arguments=arguments), f"http://localhost:{port}"


def test_the_local_server_answers_a_chat(start_worker: Start) -> None:
    worker, url = start_local(start_worker)
    answer = wait_for(lambda: ask(f"{url}/runsync", CHAT), what="the local server")
    assert answer["status"] == "COMPLETED"
    assert answer["output"][0]["choices"][0]["message"]["content"] == ANSWER
    job = ask(f"{url}/run", {"input": CHAT["input"] | {"stream": True}})
    stream = ask(f"{url}/stream/{job['id']}")["stream"]
    assert stream[-1]["output"].endswith("data: [DONE]\n\n")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    worker.nothing_is_left()


def test_the_local_server_calls_a_failed_job_completed(start_worker: Start) -> None:
    _, url = start_local(start_worker)
    wrong = {"input": {"route": "/__status/404"}}
    answer = wait_for(lambda: ask(f"{url}/runsync", wrong), what="the local server")
    assert answer["status"] == "COMPLETED", "else README.md says what is no longer so"
    assert answer["output"][-1]["error"].startswith("SGLang answered 404")


def test_the_local_server_ends_in_time_with_a_job_under_way(start_worker: Start) -> None:
    worker, url = start_local(start_worker, {"SHUTDOWN_TIMEOUT": "6"})
    wait_for(lambda: ask(f"{url}/runsync", CHAT), what="the local server")
    hang = {"input": {"route": "/__hang", "method": "POST"}}
    asking = threading.Thread(target=ask, args=(f"{url}/runsync", hang), daemon=True)
    asking.start()
    wait_for(lambda: worker.ask("/__hanging"), what="the request")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait(10)
    worker.nothing_is_left()
    asking.join(5)
    assert not asking.is_alive()


def test_the_local_server_ends_with_sglang(start_worker: Start) -> None:
    worker, url = start_local(start_worker)
    wait_for(lambda: ask(f"{url}/runsync", CHAT), what="the local server")
    os.kill(worker.server_pid(), signal.SIGKILL)
    assert worker.wait(3) == 1


def test_one_job_from_the_command_line_really_runs(start_worker: Start) -> None:
    worker = start_worker(arguments=[HANDLER, "--test_input", json.dumps(CHAT)])
    assert worker.wait(20) == 0
    assert ANSWER in worker.log
    worker.nothing_is_left()


def test_one_failing_job_from_the_command_line(start_worker: Start) -> None:
    job = {"input": {"route": "/v1/completions", "body": {"x": 1}}}
    worker = start_worker(arguments=[HANDLER, "--test_input", json.dumps(job)])
    assert worker.wait(20) == 1
    assert "prompt: Field required" in worker.log
    worker.nothing_is_left()


def test_a_job_from_a_file(start_worker: Start, tmp_path: Path) -> None:
    (tmp_path / "test_input.json").write_text(json.dumps(CHAT))
    worker = start_worker()
    assert worker.wait(20) == 0
    assert ANSWER in worker.log


@pytest.mark.parametrize("program", ["handler.py", "engine.py"])
def test_mistakes_are_one_line_each_before_anything_starts(
    start_worker: Start, program: str
) -> None:
    environment = {"TP_SIZE": "two", "QUANTIZATION": "squeezellm", "MAX_CONCURRENCY": "0"}
    worker = start_worker(environment, arguments=[str(ROOT / program)])
    assert worker.wait(10) == 1
    lines = worker.log.splitlines()
    assert len(lines) == 3
    assert all(" ERROR   worker | " in line for line in lines)
    for name in environment:
        assert name in worker.log


def test_a_python_that_is_not_there(start_worker: Start) -> None:
    worker = start_worker({"SGLANG_PYTHON": "/nonexistent/python"})
    assert worker.wait(10) == 1
    assert "SGLang could not be started" in worker.log.splitlines()[-1]


def test_warnings_are_logged_and_the_server_starts(start_worker: Start) -> None:
    worker = start_worker(
        {"MAX_NUM_REQS": "5", "DISABLE_FLASHINFER": "true"}, arguments=[str(ROOT / "engine.py")]
    )
    worker.wait_for_log("SGLang is ready")
    assert "WARNING worker | MAX_NUM_REQS has no effect" in worker.log
    assert worker.ask("/__args")["attention_backend"] == "triton"


def test_proxy_settings_are_ignored(start_worker: Start) -> None:
    nowhere = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
    worker = start_worker(
        dict.fromkeys(names, nowhere), arguments=[HANDLER, "--test_input", json.dumps(CHAT)]
    )
    assert worker.wait(20) == 0
    assert ANSWER in worker.log


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "::1", "localhost"])
def test_every_host_is_reached(start_worker: Start, host: str) -> None:
    worker = start_worker({"HOST": host}, arguments=[HANDLER, "--test_input", json.dumps(CHAT)])
    assert worker.wait(20) == 0
    assert ANSWER in worker.log
    assert f"--host={host or '127.0.0.1'}" in worker.log


def test_modules_of_the_worker_are_not_in_the_servers_way(start_worker: Start) -> None:
    worker = start_worker(arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    assert worker.ask("/__path") == [], "not a directory of the worker's is on the server's path"
