"""One image for queue, load balancer and Pod."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ANSWER, CHAT, ROOT, Worker, free_port, stop_and_check, wait_for
from runpod_api import RunPod

from handler import is_pod

Start = Callable[..., Worker]

HANDLER = str(ROOT / "handler.py")
ENGINE = str(ROOT / "engine.py")


@pytest.mark.parametrize(
    ("environment", "arguments", "pod"),
    [
        ({"RUNPOD_POD_ID": "x"}, [], True),
        ({}, [], False),
        ({"RUNPOD_POD_ID": ""}, [], False),
        ({"RUNPOD_POD_ID": "x", "RUNPOD_WEBHOOK_GET_JOB": "http://x"}, [], False),
        ({"RUNPOD_POD_ID": "x", "RUNPOD_REALTIME_PORT": "8000"}, [], False),
        ({"RUNPOD_POD_ID": "x"}, ["--rp_serve_api"], False),
        ({"RUNPOD_POD_ID": "x"}, ["--test_input", "{}"], False),
        ({"RUNPOD_POD_ID": "x"}, ["--test_input={}"], False),
    ],
)
def test_what_a_pod_is(environment: dict[str, str], arguments: list[str], pod: bool) -> None:
    assert is_pod(["handler.py", *arguments], environment) is pod


def ping(port: int, path: str = "/ping", method: str = "GET") -> int | None:
    """The status that a load balancer gets; None when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.read() == b""
        length = None if response.status == 204 else "0"
        assert response.getheader("Content-Length") == length
        return response.status
    except OSError:
        return None
    finally:
        connection.close()


def test_on_a_pod_the_handler_leaves_requests_to_sglang(
    start_worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "test_input.json").write_text(json.dumps(CHAT))
    worker = start_worker({"RUNPOD_POD_ID": "pod"})
    worker.wait_for_log("SGLang is ready")
    assert "no jobs come to a Pod" in worker.log
    assert "HEALTH_CHECK_PATH=/ping" in worker.log, "how a load balancer is set up"
    answer = worker.ask("/v1/chat/completions", CHAT)
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert "Starting Serverless Worker" not in worker.log
    stop_and_check(worker)


@pytest.mark.parametrize(
    "given", [{"RUNPOD_POD_ID": "pod", "PROGRAM": HANDLER}, {"PROGRAM": ENGINE}]
)
def test_a_load_balancer_is_told_when_the_model_is_ready(
    start_worker: Start, tmp_path: Path, given: dict[str, str]
) -> None:
    gate, port = tmp_path / "gate", free_port()
    environment = {"STANDIN_GATE": str(gate), "PORT_HEALTH": str(port), "API_KEY": "sk-000001"}
    worker = start_worker(given | environment, arguments=[given["PROGRAM"]])
    wait_for(lambda: ping(port) is not None, what="the answer to /ping")
    assert ping(port) == 204
    assert ping(port, "/v1/models") == 404, "nothing else is served there"
    gate.touch()
    worker.wait_for_log("SGLang is ready")
    assert ping(port) == 200
    assert ping(port, "/ping/?a=1", "HEAD") == 200
    stop_and_check(worker)


def test_a_load_balancer_with_a_path_of_its_own(start_worker: Start) -> None:
    port = free_port()
    environment = {"PORT_HEALTH": str(port), "HEALTH_CHECK_PATH": "/alive"}
    worker = start_worker(environment, arguments=[ENGINE])
    worker.wait_for_log("SGLang is ready")
    assert ping(port, "/alive") == 200


def test_a_port_for_ping_that_is_taken_stops_the_worker(start_worker: Start) -> None:
    api = RunPod()
    try:
        worker = start_worker({"PORT_HEALTH": str(api.port)}, arguments=[ENGINE])
        assert worker.wait(15) == 1
        assert f"PORT_HEALTH={api.port}: " in worker.log
        assert "Traceback" not in worker.log
        worker.nothing_is_left()
    finally:
        api.close()


@pytest.mark.parametrize("given", ["NODE_RANK", "CONFIG"])
def test_a_further_node_takes_no_jobs(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path, given: str
) -> None:
    file = tmp_path / "args.yaml"
    file.write_text("node-rank: 1\n")
    environment = own_runpod.environment() | {"NNODES": "2", "DIST_INIT_ADDR": "127.0.0.1:5000"}
    worker = start_worker(environment | {given: "1" if given == "NODE_RANK" else str(file)})
    worker.wait_for_log("jobs go to node 0, this is node 1")
    worker.wait_for_log("SGLang is ready")
    job = own_runpod.submit(CHAT)
    time.sleep(0.5)
    assert not job.taken
    assert not own_runpod.polls
    stop_and_check(worker)


# The end, without a queue


def stream_of(worker: Worker, tokens: int, **more: object) -> http.client.HTTPResponse:
    """A stream that has begun."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=30)
    body = {"messages": CHAT["messages"], "stream": True, "max_tokens": tokens} | more
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    return connection.getresponse()


def test_sigterm_lets_a_stream_finish(start_worker: Start) -> None:
    port = free_port()
    environment = {"STANDIN_TOKEN_MS": "10", "STANDIN_END_LOOK": "60", "PORT_HEALTH": str(port)}
    worker = start_worker(environment, arguments=[ENGINE])
    worker.wait_for_log("SGLang is ready")
    response = stream_of(worker, 200, __hold_after=100)
    assert response.read(10)
    worker.process.send_signal(signal.SIGTERM)
    wait_for(lambda: ping(port) == 503, what="the load balancer is told")
    worker.ask("/__go")
    assert response.read().endswith(b"data: [DONE]\n\n"), "the stream is whole"
    assert worker.wait(15) == 0, "it does not wait for the server's own look"
    worker.nothing_is_left()


def test_sigterm_with_a_stream_that_does_not_finish(start_worker: Start) -> None:
    environment = {"STANDIN_TOKEN_MS": "20", "SHUTDOWN_TIMEOUT": "3"}
    worker = start_worker(environment, arguments=[ENGINE])
    worker.wait_for_log("SGLang is ready")
    response = stream_of(worker, 100_000)
    assert response.read(10)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0, "SHUTDOWN_TIMEOUT bounds it"
    worker.nothing_is_left()


def test_sigterm_and_a_server_that_dies_meanwhile(start_worker: Start) -> None:
    worker = start_worker({"STANDIN_TOKEN_MS": "20"}, arguments=[ENGINE])
    worker.wait_for_log("SGLang is ready")
    response = stream_of(worker, 100_000)
    assert response.read(10)
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_log("the worker is stopping")
    os.kill(worker.server_pid(), signal.SIGKILL)
    assert worker.wait(10) == 0
    worker.nothing_is_left()
