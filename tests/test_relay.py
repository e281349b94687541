"""Routes, requests and streams, without the SDK."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from sglang_worker.config import load_config
from sglang_worker.jobs import InputError, Request, check_route, read_input
from sglang_worker.relay import (
    Relay,
    about_error,
    error_event,
    error_message,
    last_event_end,
    newest,
    refusal_in,
    sendable,
    shortened,
)
from sglang_worker.supervisor import EngineError, Supervisor
from utils import Redactor

CONFIG = load_config({"MODEL_NAME": "m", "LOCAL_MODEL_ARGS": "/nonexistent"})


@pytest.mark.parametrize(
    "route",
    [
        "@127.0.0.1:9/x",
        "//127.0.0.1:9/x",
        "/%2fevil/x",
        "/\\evil/x",
        "\\\\evil/x",
        "/%5cevil",
        "http://evil/x",
        "evil:9/x",
        ":9/x",
        "v1/models",
        "",
        "   ",
        "/..",
        "/v1/../x",
        "/v1/%2e%2e/x",
        "/./x",
        "/a b",
        "/a%0d%0aHost:evil",
        "/a\r\nHost: evil",
        "/a\x00",
        "/a%00",
        "/a#b",
        "/ä",
        "\uff0f/x",
    ],
)
def test_a_route_that_could_lead_elsewhere(route: str) -> None:
    with pytest.raises(InputError, match="is no route on this server"):
        check_route(route)


@pytest.mark.parametrize(
    "route",
    ["/v1/models", "/v1/models/org%2Fmodel", "/model_info?a=b&c=http://x/", "/x/@y", " /generate "],
)
def test_a_route_on_this_server(route: str) -> None:
    relay = Relay(CONFIG, Supervisor(), Redactor())
    url = relay._url(check_route(route))
    assert (url.host, url.port, url.scheme) == ("127.0.0.1", 30000, "http")
    assert str(url).removeprefix("http://127.0.0.1:30000") == route.strip()


@pytest.mark.parametrize("route", ["@evil/x", "//evil/x", "http://evil/", ":1/x", "\\evil"])
def test_the_origin_is_fixed_whatever_the_route(route: str) -> None:
    relay = Relay(CONFIG, Supervisor(), Redactor())
    try:
        url = relay._url(route)
    except ValueError:
        return
    assert (url.host, url.port) == ("127.0.0.1", 30000)


def test_an_address_of_ipv6() -> None:
    config = load_config({"MODEL_NAME": "m", "LOCAL_MODEL_ARGS": "/no", "HOST": "::"})
    assert str(Relay(config, Supervisor(), Redactor())._url("/x")) == "http://[::1]:30000/x"


def test_the_input_is_not_changed() -> None:
    job_input: dict[str, Any] = {"messages": []}
    read_input(job_input, "m")
    assert job_input == {"messages": []}


@pytest.mark.parametrize(
    ("job_input", "request_"),
    [
        (
            {"openai_route": "/v1/models/x", "openai_input": {"a": 1}},
            Request("GET", "/v1/models/x"),
        ),
        ({"openai_route": "/v1/models/", "openai_input": {"a": 1}}, Request("GET", "/v1/models")),
        ({"openai_route": "/x", "openai_input": ""}, Request("GET", "/x")),
        ({"openai_route": "/x", "openai_input": []}, Request("POST", "/x", [])),
        (
            {"openai_route": "/chat/completions?a=/", "openai_input": {"b": 1}},
            Request("POST", "/v1/chat/completions?a=/", {"b": 1}),
        ),
        ({"openai_route": "/models"}, Request("GET", "/v1/models")),
        (
            {"openai_route": "/v1/chat/completions", "openai_input": "Hi"},
            Request(
                "POST",
                "/v1/chat/completions",
                {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
            ),
        ),
        (
            {"openai_route": "/v1/chat/completions", "openai_input": '{"messages": []}'},
            Request("POST", "/v1/chat/completions", {"messages": []}),
        ),
        (
            {"openai_route": "/v1/chat/completions", "openai_input": [{"role": "user"}]},
            Request("POST", "/v1/chat/completions", {"model": "m", "messages": [{"role": "user"}]}),
        ),
        (
            {"openai_route": "/v1/embeddings", "openai_input": ["a"]},
            Request("POST", "/v1/embeddings", {"model": "m", "input": ["a"]}),
        ),
        (
            {"openai_route": "/v1/completions", "openai_input": "a"},
            Request("POST", "/v1/completions", {"model": "m", "prompt": "a"}),
        ),
        (
            {"messages": [], "sampling_params": {"max_new_tokens": 9, "top_k": 1}},
            Request(
                "POST",
                "/v1/chat/completions",
                {"model": "m", "messages": [], "max_tokens": 9, "top_k": 1},
            ),
        ),
        (
            {"prompt": "a", "max_new_tokens": 9, "sampling_params": None},
            Request("POST", "/v1/completions", {"model": "m", "prompt": "a", "max_tokens": 9}),
        ),
        (
            {"prompt": "a", "max_tokens": 9, "sampling_params": {"max_new_tokens": 9}},
            Request("POST", "/v1/completions", {"model": "m", "prompt": "a", "max_tokens": 9}),
        ),
        (
            {"input": ["a", "b"]},
            Request("POST", "/v1/embeddings", {"model": "m", "input": ["a", "b"]}),
        ),
        (
            {"input": "a", "model": "x", "dimensions": 2},
            Request("POST", "/v1/embeddings", {"model": "x", "input": "a", "dimensions": 2}),
        ),
        (
            {"query": "q", "docs": ["a"], "return_docs": True},
            Request(
                "POST", "/v1/rerank", {"query": "q", "documents": ["a"], "return_documents": True}
            ),
        ),
        (
            {"query": "q", "documents": ["a"]},
            Request("POST", "/v1/rerank", {"query": "q", "documents": ["a"]}),
        ),
        ({"input": {"text": "a"}}, Request("POST", "/generate", {"text": "a"})),
        ({"id": "x", "webhook": "y", "input": {"path": "/x"}}, Request("GET", "/x")),
        ({"path": "/x", "method": "delete"}, Request("DELETE", "/x")),
        ({"path": "/x", "method": "POST", "body": {}}, Request("POST", "/x", {})),
        ({"path": "/x", "body": "text"}, Request("POST", "/x", "text")),
        ({"path": "/x/?a=1", "body": 1}, Request("POST", "/x?a=1", 1)),
        ({"path": "/"}, Request("GET", "/")),
        ({"input_ids": [1]}, Request("POST", "/generate", {"input_ids": [1]})),
    ],
)
def test_requests(job_input: Any, request_: Request) -> None:
    assert read_input(job_input, "m") == request_


@pytest.mark.parametrize(
    ("job_input", "words"),
    [
        ({"messages": [], "sampling_params": [1]}, "sampling_params must be an object, not a list"),
        (
            {"messages": [], "max_tokens": 5, "sampling_params": {"max_new_tokens": 9}},
            "max_tokens is given twice",
        ),
        ({"prompt": "a", "max_tokens": 5, "max_new_tokens": 9}, "max_tokens is given twice"),
        ({"query": "q", "docs": ["a"], "documents": ["b"]}, "documents is given twice"),
        ({"input": {"text": "a"}, "stream": True}, "stream: nothing of a request may stand beside"),
        ({"input": {"input": {"input": {}}}}, "SGLang"),
        ({"input": [{"role": "user", "content": "a"}]}, "input holds messages"),
        ({"openai_route": "/v1/rerank", "openai_input": ["a"]}, "must be an object for /v1/rerank"),
        ({"openai_route": "/v1/completions", "openai_input": 5}, "must be an object for"),
        ({"openai_route": "/v1/completions", "openai_input": "{a"}, "no valid JSON"),
        ({"openai_route": "/v1/completions", "openai_input": "{" * 99_999}, "no valid JSON"),
        ({"openai_route": "/v1/completions", "prompt": "a"}, "prompt: beside openai_route"),
    ],
)
def test_a_shape_that_is_refused_in_words(job_input: Any, words: str) -> None:
    if words == "SGLang":  # nothing of it is understood, so that SGLang judges it
        assert read_input(job_input, "m").route == "/generate"
        return
    with pytest.raises(InputError, match=words):
        read_input(job_input, "m")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a\ud800b", "a�b"),
        ("🙂", "🙂"),
        ({"\udfff": [float("nan"), float("-inf"), 1.5]}, {"�": [None, None, 1.5]}),
        ("\ud83d\ude42", "🙂"),
        ([True, None, 2], [True, None, 2]),
    ],
)
def test_every_output_can_be_sent(value: Any, sent: Any) -> None:
    assert sendable(value) == sent


def test_of_a_repeating_stream_the_newest_event_of_each_answer_is_kept() -> None:
    def event(text: str, index: int | None = None, space: str = "") -> str:
        tail = "" if index is None else f',"index":{space}{index}'
        return f'data: {{"text":"{text}"{tail}}}\n\n'

    one = event("a") + event("ab") + event("abc")
    assert newest(one + "data: [DONE]\n\n") == event("abc") + "data: [DONE]\n\n"
    two = event("a", 0) + event("x", 1) + event("ab", 0, " ") + event("xy", 1) + event("abc", 0)
    assert newest(two) == event("xy", 1) + event("abc", 0)
    error = 'data: {"error": {"message": "m"}}\n\n'
    assert newest(one + error + ": a comment\n\n") == event("abc") + error + ": a comment\n\n"
    said = event('say \\"index\\": 7}')
    assert newest(said + event("b", 0)) == said + event("b", 0)
    assert newest("") == ""


def test_only_what_repeats_is_shortened() -> None:
    assert shortened(["data: {}\n\n", "data: {}\n\n"]) == ["data: {}\n\n", "data: {}\n\n"]
    assert shortened([]) == []


@pytest.mark.parametrize(
    ("answer", "about"),
    [
        ('{"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}', ("t", "p", "c")),
        ('{"object": "error", "type": "BadRequest", "code": 400}', ("BadRequest", None, 400)),
        ('{"detail": "d"}', ("invalid_request_error", None, 404)),
        ('{"error": "e", "type": [1]}', ("invalid_request_error", None, 404)),
        ("plain", ("invalid_request_error", None, 404)),
        ("[1]", ("invalid_request_error", None, 404)),
    ],
)
def test_what_is_known_about_an_error(answer: str, about: tuple[Any, ...]) -> None:
    assert tuple(about_error(answer, 404).values()) == about


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": {"message": "a"}}', "a"),
        ('{"error": "b"}', "b"),
        ('{"object": "error", "message": "c"}', "c"),
        ('{"detail": "d"}', "d"),
        ('{"detail": [{"msg": "e"}]}', '{"detail": [{"msg": "e"}]}'),
        ("plain\n", "plain"),
        ("", "no message"),
        ("[1]", "[1]"),
    ],
)
def test_error_messages(text: str, message: str) -> None:
    assert error_message(text) == message


def test_the_end_of_the_last_whole_event() -> None:
    assert last_event_end(b"data: a") == 0
    assert last_event_end(b"data: a\n\ndata: b") == 9
    assert last_event_end(b"data: a\r\n\r\ndata") == 11
    assert last_event_end(b"data: a\n\ndata: b\n\n") == 18


@pytest.mark.parametrize(
    ("events", "refusal"),
    [
        ('data: {"error": {"message": "m", "code": 503}}\n\ndata: [DONE]\n\n', (503, "m")),
        ('event: error\ndata: {"error": {"message": "m"}}\n\n', (400, "m")),
        ('data: {"error": "m"}\n\n', (400, "m")),
        ('data: {"error": null, "text": "a"}\n\n', None),
        ('data: {"text": "a"}\n\ndata: {"error": "later"}\n\n', None),
        ("data: [DONE]\n\n", None),
        ("data: no JSON\n\n", None),
        (": a comment\n\n", None),
    ],
)
def test_a_stream_that_begins_with_an_error(events: str, refusal: Any) -> None:
    found = refusal_in(events)
    assert (found and (found[0], error_message(found[1]))) == refusal


def test_an_error_event_is_one_event() -> None:
    about = {"type": "server_error", "param": None, "code": 502}
    assert error_event("a\nb", about).count("\n\n") == 1
    line = error_event("a\nb", about, "application/x-ndjson")
    assert json.loads(line)["error"] == {"message": "a\nb"} | about
    assert line.index("\n") == len(line) - 1


# Streams, piece by piece


class Wire:
    """A server that sends what a test says, when it says so."""

    def __init__(self, pieces: list[bytes | float], kind: str = "text/event-stream") -> None:
        self.pieces, self.kind = pieces, kind

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {self.kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for piece in self.pieces:
            if isinstance(piece, float):
                await writer.drain()
                await asyncio.sleep(piece)
            else:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()


def relayed(pieces: list[bytes | float], window: str = "0") -> list[str]:
    """What a job gets of a stream."""

    async def run() -> list[str]:
        server = await asyncio.start_server(Wire(pieces).answer, "127.0.0.1", 0)
        port = str(server.sockets[0].getsockname()[1])
        env = {"MODEL_NAME": "m", "LOCAL_MODEL_ARGS": "/no", "PORT": port}
        supervisor = Supervisor()
        supervisor.ready.set_result(None)
        relay = Relay(load_config(env | {"STREAM_WINDOW_MS": window}), supervisor, Redactor())
        outputs = [o async for o in relay.answer({"text": "x", "stream": True})]
        assert relay._session is not None
        await relay._session.close()
        server.close()
        return outputs

    return asyncio.run(run())


def test_bytes_are_unchanged_wherever_they_are_cut() -> None:
    text = 'data: {"a":  "ö漢🙂"}\n\n: a comment\n\nevent: x\ndata: 1\ndata: 2\n\n'
    data = text.encode()
    for size in (1, 2, 3, 5, 7):
        pieces: list[bytes | float] = []
        for start in range(0, len(data), size):
            pieces += [data[start : start + size], 0.0]
        outputs = relayed(pieces)
        assert "".join(outputs) == text
        assert all(output.endswith("\n\n") for output in outputs)


def test_windows_line_ends() -> None:
    assert "".join(relayed([b"data: 1\r\n\r\nda", 0.01, b"ta: 2\r\n\r\n"])) == (
        "data: 1\r\n\r\ndata: 2\r\n\r\n"
    )


def test_a_stream_without_a_last_blank_line() -> None:
    assert "".join(relayed([b"data: 1\n\n", 0.01, b"data: 2"])) == "data: 1\n\ndata: 2"


def test_an_empty_stream() -> None:
    assert relayed([]) == []


def test_the_first_event_goes_at_once_and_the_rest_is_gathered() -> None:
    pieces: list[bytes | float] = []
    for number in range(20):
        pieces += [b"data: %d\n\n" % number, 0.01]
    outputs = relayed(pieces, window="5000")
    assert outputs[0] == "data: 0\n\n"
    assert len(outputs) == 2, "the end of the stream ends the wait"
    assert "".join(outputs) == "".join(f"data: {n}\n\n" for n in range(20))


def test_a_large_event() -> None:
    event = b"data: " + b"x" * 1_000_000 + b"\n\n"
    assert "".join(relayed([event[:600_000], 0.01, event[600_000:]])) == event.decode()


# The end of a job


def test_a_job_after_the_end_is_refused_with_the_reason() -> None:
    async def run() -> list[Any]:
        supervisor = Supervisor()
        supervisor.ready.set_result(None)
        supervisor.ended.set_result("it ended")
        relay = Relay(CONFIG, supervisor, Redactor())
        return [output async for output in relay.answer({"text": "x"})]

    about = {"type": "server_error", "param": None, "code": 503}
    assert asyncio.run(run()) == [{"error": "it ended"} | about]


def test_a_job_waits_for_a_server_that_never_comes() -> None:
    async def run() -> list[Any]:
        supervisor = Supervisor()
        relay = Relay(CONFIG, supervisor, Redactor())
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, supervisor.ready.set_exception, EngineError("no server"))
        return [output async for output in relay.answer({"text": "x"})]

    assert [output["error"] for output in asyncio.run(run())] == ["no server"]


def test_a_server_that_cannot_be_reached() -> None:
    async def run() -> list[Any]:
        supervisor = Supervisor()
        supervisor.ready.set_result(None)
        env = {"MODEL_NAME": "m", "LOCAL_MODEL_ARGS": "/no", "PORT": "9"}
        relay = Relay(load_config(env), supervisor, Redactor())
        outputs = [output async for output in relay.answer({"text": "x"})]
        assert relay._session is not None
        await relay._session.close()
        return outputs

    [output] = asyncio.run(run())
    assert output["error"].startswith("the connection to SGLang broke: ClientConnectorError")


def test_a_mistake_of_the_worker_is_no_traceback_for_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> list[Any]:
        supervisor = Supervisor()
        supervisor.ready.set_result(None)
        relay = Relay(CONFIG, supervisor, Redactor())
        monkeypatch.setattr(relay, "_url", lambda route: 1 / 0)
        outputs = [output async for output in relay.answer({"text": "x"})]
        assert relay._session is not None
        await relay._session.close()
        return outputs

    [failure] = asyncio.run(run())
    assert failure["error"] == "the worker failed: ZeroDivisionError; its log says more"
    assert failure["type"] == "server_error"


def test_one_session_serves_every_job() -> None:
    async def run() -> bool:
        relay = Relay(CONFIG, Supervisor(), Redactor())
        first, second = relay._client(), relay._client()
        assert isinstance(first, aiohttp.ClientSession)
        await first.close()
        return first is second

    assert asyncio.run(run())
