"""Jobs of every shape through the real SDK."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import ANSWER, HANG, MESSAGES, Worker, wait_for
from runpod_api import RunPod


@pytest.fixture
def api(runpod_api: RunPod, shared_worker: Worker) -> RunPod:
    """RunPod with a worker behind it."""
    del shared_worker
    return runpod_api


def events(text: str) -> list[Any]:
    """The data of a stream's events."""
    parts = text.split("\n\n")
    assert parts.pop() == "", "the last event is complete"
    return [json.loads(p.removeprefix("data: ")) for p in parts if p != "data: [DONE]"]


def last_request(worker: Worker) -> dict[str, Any]:
    """What the server was asked last."""
    return dict(worker.ask("/__seen")[-1])


# Shapes of input


def test_a_bare_chat(api: RunPod, shared_worker: Worker) -> None:
    [answer] = api.run({"messages": MESSAGES, "temperature": 0}).output
    assert answer["choices"][0]["message"]["content"] == ANSWER
    request = last_request(shared_worker)
    assert request["target"] == "/v1/chat/completions"
    expected = {"messages": MESSAGES, "temperature": 0, "model": "org/model"}
    assert request["body"] == expected


def test_a_bare_chat_keeps_its_model(api: RunPod, shared_worker: Worker) -> None:
    assert api.run({"messages": MESSAGES, "model": "adapter"}).output
    assert last_request(shared_worker)["body"]["model"] == "adapter"


def test_a_bare_chat_streams(api: RunPod) -> None:
    job = api.run({"messages": MESSAGES, "stream": True})
    deltas = [e["choices"][0]["delta"].get("content", "") for e in events(job.text)]
    assert "".join(deltas) == ANSWER
    assert job.text.endswith("data: [DONE]\n\n")
    assert "".join(job.output) == job.text, "the aggregated output is the same stream"


def test_a_bare_prompt(api: RunPod, shared_worker: Worker) -> None:
    [answer] = api.run({"prompt": "Say hello."}).output
    assert answer["choices"][0]["text"] == ANSWER
    assert last_request(shared_worker)["target"] == "/v1/completions"


def test_a_bare_prompt_streams(api: RunPod) -> None:
    job = api.run({"prompt": "Say hello.", "stream": True})
    assert "".join(e["choices"][0]["text"] for e in events(job.text)) == ANSWER


def test_native_generation(api: RunPod, shared_worker: Worker) -> None:
    job_input = {"text": "Say hello.", "sampling_params": {"max_new_tokens": 2}}
    [answer] = api.run(job_input).output
    assert answer["text"] == "Hello wörld"
    request = last_request(shared_worker)
    assert (request["target"], request["body"]) == ("/generate", job_input)


def test_native_generation_of_many(api: RunPod) -> None:
    [answer] = api.run({"text": ["one", "two"]}).output
    assert [item["text"] for item in answer] == [ANSWER, ANSWER]


def test_native_generation_streams(api: RunPod) -> None:
    job = api.run({"text": "Say hello.", "stream": True})
    assert events(job.text)[-1]["text"] == ANSWER


def test_an_openai_route(api: RunPod) -> None:
    job_input = {"openai_route": "/v1/chat/completions", "openai_input": {"messages": MESSAGES}}
    [answer] = api.run(job_input).output
    assert answer["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("body", [{}, {"openai_input": None}, {"openai_input": {}}])
def test_an_empty_body_asks_with_get(api: RunPod, shared_worker: Worker, body: Any) -> None:
    [answer] = api.run({"openai_route": "/v1/models"} | body).output
    assert answer["data"][0]["id"] == "org/model"
    assert last_request(shared_worker)["method"] == "GET"


def test_a_get_route_asks_with_get_whatever_the_body(api: RunPod) -> None:
    [answer] = api.run({"openai_route": "/v1/models", "openai_input": {"stream": False}}).output
    assert answer["object"] == "list"


def test_a_models_card(api: RunPod) -> None:
    assert api.run({"openai_route": "/v1/models/org%2Fmodel"}).output[0]["object"] == "model"


@pytest.mark.parametrize("name", ["route", "path"])
def test_a_generic_request(api: RunPod, shared_worker: Worker, name: str) -> None:
    job_input = {name: "/generate", "method": "put", "body": {"text": "x"}}
    assert api.run(job_input).output[0]["text"] == ANSWER
    assert last_request(shared_worker)["method"] == "PUT"


def test_a_generic_request_defaults_to_get_or_post(api: RunPod, shared_worker: Worker) -> None:
    assert api.run({"route": "/model_info?verbose=1"}).output[0]["model_path"] == "org/model"
    assert last_request(shared_worker)["target"] == "/model_info?verbose=1"
    api.run({"route": "/generate", "body": {"text": "x"}})
    assert last_request(shared_worker)["method"] == "POST"


def test_a_generic_request_streams(api: RunPod) -> None:
    job = api.run({"path": "/generate", "body": {"text": "x", "stream": True}})
    assert events(job.text)[-1]["text"] == ANSWER


def test_rerank_and_score(api: RunPod) -> None:
    body = {"query": "q", "documents": ["a", "b"]}
    [ranked] = api.run({"openai_route": "/v1/rerank", "openai_input": body}).output
    assert [entry["document"] for entry in ranked] == ["a", "b"]
    body = {"query": "q", "items": ["a", "b"], "label_token_ids": [1, 2]}
    [scored] = api.run({"openai_route": "/v1/score", "openai_input": body}).output
    assert len(scored["scores"]) == 2


def test_images_in_messages_arrive_whole(api: RunPod, shared_worker: Worker) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 300_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]
    assert api.run({"messages": messages}).output
    assert last_request(shared_worker)["body"]["messages"] == messages


def test_responses_keep_their_event_names(api: RunPod) -> None:
    body = {"input": "Say hello.", "stream": True}
    text = api.run({"openai_route": "/v1/responses", "openai_input": body}).text
    names = re.findall(r"^event: (.+)$", text, re.M)
    deltas = ["response.output_text.delta"] * 7
    assert names == ["response.created", *deltas, "response.completed"]


# What comes back


def test_a_text_answer_comes_whole(api: RunPod) -> None:
    assert api.run({"route": "/__text"}).output == ["naïve text, whole\nin lines"]


def test_a_binary_answer_comes_in_base64(api: RunPod) -> None:
    expected = {"content_type": "audio/wav", "base64": "UklGRv/+AA=="}
    assert api.run({"route": "/__binary"}).output == [expected]


def test_a_stream_is_cut_between_events_only(api: RunPod) -> None:
    job = api.run({"messages": MESSAGES, "stream": True, "__split": True, "max_tokens": 40})
    for item in job.items:
        assert item.endswith("\n\n")
        assert "�" not in item
    whole = api.run({"messages": MESSAGES, "stream": True, "max_tokens": 40})
    assert job.text == whole.text


def test_an_error_status_fails_the_job_with_the_servers_words(api: RunPod) -> None:
    error = api.run({"openai_route": "/v1/chat/completions", "openai_input": {"n": 1}}).error
    words = "messages: Field required, input: {'n': 1}"
    assert error == f"SGLang answered 400 to POST /v1/chat/completions: {words}"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_every_error_status_fails_the_job(api: RunPod, status: int) -> None:
    error = api.run({"route": f"/__status/{status}"}).error
    assert error == f"SGLang answered {status} to GET /__status/{status}: as you asked"


def test_a_stream_that_cannot_begin_fails_the_job(api: RunPod) -> None:
    job = api.run({"prompt": "x", "stream": True, "max_tokens": "many"})
    assert "SGLang answered 400" in job.error
    assert job.items == []


def test_a_native_stream_that_cannot_begin_fails_the_job(api: RunPod) -> None:
    job = api.run({"stream": True, "sampling_params": {}})
    assert job.error == "SGLang answered 400 to POST /generate: text or input_ids must be given"
    assert job.items == []


def test_a_redirect_is_not_followed(api: RunPod) -> None:
    assert "answered 307" in api.run({"route": "/__redirect"}).error


def test_an_error_in_mid_stream_is_an_event(api: RunPod) -> None:
    job = api.run({"messages": MESSAGES, "stream": True, "__drop_after": 3})
    assert "connection to SGLang broke" in job.error
    last = events(job.text)[-1]
    assert last["error"]["code"] == 502
    assert "connection to SGLang broke" in last["error"]["message"]


@pytest.mark.parametrize(
    ("job_input", "reason"),
    [
        ([1], "must be an object, not a list"),
        (None, "must be an object, not null"),
        ("hello", "must be an object, not a text"),
        (7, "must be an object, not a number"),
        ({}, "the job's input is empty"),
        ({"openai_route": 5}, "the route must be a text"),
        ({"openai_route": None}, "the route must be a text, not null"),
        ({"openai_route": "@127.0.0.1:9/x"}, "is no route on this server"),
        ({"route": "/generate", "method": "STEAL"}, "method must be one of"),
        ({"route": "/generate", "method": ["GET"]}, "method must be one of"),
        ({"route": "/a", "path": "/b"}, "two names for one thing"),
        ({"route": "/generate", "text": "x"}, "text: beside a route"),
    ],
)
def test_input_that_cannot_be_sent(api: RunPod, job_input: Any, reason: str) -> None:
    error = api.run(job_input).error
    assert reason in error
    assert "Traceback" not in error


def test_an_unknown_shape_is_the_servers_to_judge(api: RunPod) -> None:
    assert "SGLang answered 400 to POST /generate" in api.run({"unknown": 1}).error


def test_an_error_field_stays_readable(api: RunPod) -> None:
    body = {"error": {"message": "inner", "code": 3}}
    assert json.loads(api.run({"route": "/__echo", "body": body}).error) == body["error"]


# Many at once, and stops


def test_a_stopped_job_aborts_its_request(api: RunPod, shared_worker: Worker) -> None:
    begun = shared_worker.ask("/__hanging")
    before = len(shared_worker.ask("/__aborted"))
    job = api.submit(HANG)
    wait_for(lambda: shared_worker.ask("/__hanging") > begun, what="the request")
    api.stop(job)
    wait_for(lambda: len(shared_worker.ask("/__aborted")) == before + 1, what="the abort")


def test_a_stopped_stream_aborts_its_request(api: RunPod, shared_worker: Worker) -> None:
    job = api.submit({"messages": MESSAGES, "stream": True, "max_tokens": 100_000})
    wait_for(lambda: len(job.items) > 2, what="the stream has begun")
    before = len(shared_worker.ask("/__aborted"))
    api.stop(job)
    wait_for(lambda: len(shared_worker.ask("/__aborted")) == before + 1, what="the abort")


def test_a_hung_request_delays_nobody(api: RunPod) -> None:
    hung = [api.submit(HANG) for _ in range(5)]
    jobs = [api.submit({"messages": MESSAGES}) for _ in range(20)]
    for job in jobs:
        assert job.output
    assert not any(job.finished.is_set() for job in hung)
    for job in hung:
        api.stop(job)


def test_the_first_event_waits_for_no_other(api: RunPod, shared_worker: Worker) -> None:
    job = api.submit({"messages": MESSAGES, "stream": True, "__hold_after": 1})
    wait_for(lambda: job.items, what="the first event, while the server sends no other")
    assert len(events(job.items[0])) == 1
    assert not job.finished.is_set()
    shared_worker.ask("/__go")
    assert job.output


def test_events_are_gathered_for_the_window(api: RunPod) -> None:
    job = api.run({"messages": MESSAGES, "stream": True, "max_tokens": 800})
    assert job.taken
    windows = (job.item_times[-1] - job.taken) / 0.1
    assert 3 < len(job.items) <= windows + 2


def test_pings_say_that_the_worker_lives(api: RunPod) -> None:
    wait_for(lambda: api.pings > 0, what="a ping")
