"""Where the worker meets RunPod's limits and habits, through the real SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWER, CHAT, MESSAGES, Worker, wait_for
from runpod_api import RunPod

Start = Callable[..., Worker]

NATIVE = {"text": "Say hello.", "stream": True, "sampling_params": {"max_new_tokens": 400}}


def events(text: str) -> list[Any]:
    parts = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
    return [json.loads(part) for part in parts if part != "[DONE]"]


# Two workers on one endpoint


def test_a_loading_worker_takes_no_jobs_from_a_ready_one(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    loading = own_runpod.environment() | {"STANDIN_GATE": str(gate), "RUNPOD_POD_ID": "loading"}
    start_worker(loading)
    held = own_runpod.submit(CHAT)
    wait_for(lambda: held.taken_by == "loading", what="it registers, as from zero")
    ready = start_worker(own_runpod.environment() | {"RUNPOD_POD_ID": "ready"})
    ready.wait_for_log("SGLang is ready")
    jobs = [own_runpod.submit(CHAT) for _ in range(20)]
    for job in jobs:
        assert job.output
        assert job.taken_by == "ready"
    assert not held.finished.is_set()
    gate.touch()
    assert held.output


def test_a_ready_worker_takes_as_many_as_it_may(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    start_worker(own_runpod.environment() | {"STANDIN_GATE": str(gate), "MAX_CONCURRENCY": "40"})
    jobs = [own_runpod.submit(CHAT) for _ in range(30)]
    wait_for(lambda: jobs[0].taken, what="one job is taken")
    gate.touch()
    for job in jobs:
        assert job.output
    assert own_runpod.asked[0] == 1
    assert max(own_runpod.asked) >= 39, "asked anew, for all that it has room for"


def test_a_loading_worker_takes_as_many_as_it_is_told(
    start_worker: Start, own_runpod: RunPod
) -> None:
    environment = {"STANDIN_LOAD_SECONDS": "60", "LOADING_CONCURRENCY": "300"}
    start_worker(own_runpod.environment() | environment)
    jobs = [own_runpod.submit(CHAT) for _ in range(5)]
    wait_for(lambda: all(job.taken for job in jobs), what="all are taken, as by older workers")


# What RunPod refuses


@pytest.mark.parametrize("status", [400, 413])
def test_a_result_that_runpod_refuses_fails_the_job(
    start_worker: Start, own_runpod: RunPod, status: int
) -> None:
    own_runpod.largest_result, own_runpod.refusal = 100_000, status
    worker = start_worker(own_runpod.environment())
    error = own_runpod.run({"route": "/__echo", "body": {"a": "ö" * 75_000}}).error
    assert f"RunPod refused the job's result with status {status}" in error
    assert "The result has 0.2 MB" in error
    assert "10 MB for /run and 20 MB for /runsync" in error
    assert "RunPod refused" in worker.log
    assert own_runpod.run(CHAT).output, "the worker goes on"


def test_a_part_of_a_stream_that_runpod_refuses_is_told_in_the_stream(
    start_worker: Start, own_runpod: RunPod
) -> None:
    own_runpod.largest_part = 10_000
    start_worker(own_runpod.environment())
    native = {"text": "a", "stream": True, "sampling_params": {"max_new_tokens": 3000}}
    job = own_runpod.run(native)
    assert job.output, "its result has all of it"
    told = [event["error"] for event in events(job.text) if "error" in event]
    assert told and told[-1]["code"] == 413
    assert told[-1]["message"].startswith("RunPod refused a part of the stream with status 413")


def test_a_stream_that_is_limited_by_rate_loses_nothing(
    start_worker: Start, own_runpod: RunPod
) -> None:
    own_runpod.stream_rate = 5
    start_worker(own_runpod.environment() | {"STANDIN_TOKEN_MS": "5"})
    jobs = [
        own_runpod.submit({"messages": MESSAGES, "stream": True, "max_tokens": 300, "seed": seed})
        for seed in range(2)
    ]
    for job in jobs:
        job.wait(60)
        deltas = [e["choices"][0]["delta"].get("content", "") for e in events(job.text)]
        assert len([delta for delta in deltas if delta]) == 300
        assert job.text == "".join(job.output), "every event came, and in order"
    assert own_runpod.limited > 0, "some were refused at first"


def test_a_streams_posts_are_little_longer_than_the_stream(
    start_worker: Start, own_runpod: RunPod
) -> None:
    start_worker(own_runpod.environment() | {"STANDIN_TOKEN_MS": "5"})
    job = own_runpod.run({"messages": MESSAGES, "stream": True, "max_tokens": 300})
    assert job.output
    longer = own_runpod.posted_bytes / len(job.text.encode())
    assert 1 < longer <= 1.15, "the quotes within JSON, and no more"


# Outputs


@pytest.mark.parametrize(
    ("raw", "output"),
    [
        ('{"a": "x\\ud800y"}', {"a": "x�y"}),
        ('{"a": [NaN, Infinity, -Infinity, 1]}', {"a": [None, None, None, 1]}),
        ('{"\\udfff": 1}', {"�": 1}),
    ],
)
def test_every_output_is_json_in_utf8(
    runpod_api: RunPod, shared_worker: Worker, raw: str, output: Any
) -> None:
    body = {"raw": raw, "type": "application/json"}
    assert runpod_api.run({"route": "/__raw", "body": body}).output == [output]


def test_half_a_character_in_the_input_is_answered(
    runpod_api: RunPod, shared_worker: Worker
) -> None:
    error = runpod_api.run({"route": "/generate", "\udfff": 1}).error
    assert "�: beside a route only method and body are known" in error


def test_a_native_stream_posts_the_newest_event_of_each_window(
    runpod_api: RunPod, shared_worker: Worker
) -> None:
    job = runpod_api.run(NATIVE)
    assert job.output, "it succeeded"
    assert all(len(events(item)) <= 1 for item in job.items)
    assert len(job.items) > 1
    texts = [event["text"] for event in events(job.text)]
    assert texts == sorted(texts, key=len)
    assert texts[-1] == ANSWER * 57 + "Hello", "the whole answer is in the last"
    assert job.text.endswith("data: [DONE]\n\n")
    last = job.text.split("\n\n")[-3]
    assert job.output == [f"{last}\n\ndata: [DONE]\n\n"], "the aggregate holds it once"


def test_a_native_stream_of_several_answers_keeps_the_newest_of_each(
    runpod_api: RunPod, shared_worker: Worker
) -> None:
    job = runpod_api.run(NATIVE | {"text": ["a", "b"]})
    [aggregate] = job.output
    assert {event["index"] for event in events(aggregate)} == {0, 1}
    assert [event["text"] for event in events(aggregate)] == [ANSWER * 57 + "Hello"] * 2


@pytest.mark.parametrize(
    "environment", [{"STREAM_ALL_EVENTS": "true"}, {"INCREMENTAL_STREAMING_OUTPUT": "true"}]
)
def test_a_native_stream_whose_events_all_count(
    start_worker: Start, own_runpod: RunPod, environment: dict[str, str]
) -> None:
    start_worker(own_runpod.environment() | environment)
    job = own_runpod.run(NATIVE)
    texts = [event["text"] for event in events(job.text)]
    assert len(texts) == 400
    if "STREAM_ALL_EVENTS" not in environment:
        assert "".join(texts) == ANSWER * 57 + "Hello"
    assert "".join(job.output) == job.text, "the aggregate is whole"


def test_lines_of_json_are_streamed(runpod_api: RunPod, shared_worker: Worker) -> None:
    job = runpod_api.run({"route": "/__lines"})
    assert len(job.items) > 1
    assert job.text == '{"line": 0}\n{"line": 1}\n{"line": 2}\n'
    job = runpod_api.run({"route": "/__lines", "body": {"drop": True}})
    assert "connection to SGLang broke" in job.error
    assert json.loads(job.text.splitlines()[-1])["error"]["code"] == 502


# Errors


def test_an_error_comes_with_openais_error_object(
    runpod_api: RunPod, shared_worker: Worker
) -> None:
    job = runpod_api.run({"openai_route": "/v1/chat/completions", "openai_input": {"n": 1}})
    assert job.error.startswith("SGLang answered 400")
    about = {"type": "BadRequest", "param": None, "code": 400}
    assert job.result == {"error": job.error, "output": about}
    job = runpod_api.run({"route": 5})
    about = {"type": "invalid_request_error", "param": None, "code": 400}
    assert job.result == {"error": "the route must be a text, not a number", "output": about}


def test_the_body_that_is_missing_is_named(runpod_api: RunPod, shared_worker: Worker) -> None:
    error = runpod_api.run({"openai_route": "/v1/chat/completions"}).error
    assert error.startswith("the body is missing: SGLang answered 405 to /v1/chat/completions")


# Shapes that RunPod's other workers take


def test_sampling_params_beside_messages(runpod_api: RunPod, shared_worker: Worker) -> None:
    params = {"max_new_tokens": 40, "temperature": 0}
    for prompt in ({"messages": MESSAGES}, {"prompt": "Say hello."}):
        assert runpod_api.run(prompt | {"sampling_params": params}).output
        body = shared_worker.ask("/__seen")[-1]["body"]
        assert (body["max_tokens"], body["temperature"]) == (40, 0)
        assert "sampling_params" not in body


def test_embeddings_rerank_and_a_job_wrapped_twice(start_worker: Start) -> None:
    api = RunPod()
    try:
        start_worker(api.environment() | {"IS_EMBEDDING": "true"})
        [answer] = api.run({"input": ["a", "b"]}).output
        assert len(answer["data"]) == 2
        [answer] = api.run({"query": "q", "docs": ["a", "b"]}).output
        assert [entry["document"] for entry in answer] == ["a", "b"]
        [answer] = api.run({"input": {"input": "a"}}).output
        assert len(answer["data"]) == 1
    finally:
        api.close()


def test_a_slash_at_the_end_and_a_base_url_without_v1(
    runpod_api: RunPod, shared_worker: Worker
) -> None:
    for route in ("/v1/chat/completions/", "/chat/completions"):
        job_input = {"openai_route": route, "openai_input": {"messages": MESSAGES}}
        [answer] = runpod_api.run(job_input).output
        assert answer["choices"][0]["message"]["content"] == ANSWER
