"""From a job to a request to SGLang, and from its answer to the job's output."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from yarl import URL

from sglang_worker.config import ServerConfig
from sglang_worker.jobs import InputError, Request, read_input, refuse_what_ends_the_server
from sglang_worker.supervisor import EngineError, Supervisor
from utils import Redactor, log

#: Shorter than uvicorn's five seconds, so that no request meets a connection that is just closing.
KEEP_ALIVE = 3.0

EVENT_STREAM = "text/event-stream"
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")

LONGEST_MESSAGE = 8000  #: characters of a server's error message that a job passes on


#: The end of an event of SGLang's native API, where that says which of several answers it is of.
INDEX = re.compile(r'"index": ?(\d+)\}\s*$')

#: The switches with which events of the native API hold what is new, and nothing from before.
INCREMENTAL_FLAGS = ("--incremental-streaming-output", "--stream-output")


#: Of SGLang's admin routes those that a job may use: always, and where ENABLE_LORA is on.
ADMIN_ROUTES = frozenset({"/abort_request"})
LORA_ROUTES = frozenset({"/load_lora_adapter", "/unload_lora_adapter"})


class RequestError(Exception):
    """SGLang did not give a usable answer; the text is what the job fails with."""

    def __init__(self, message: str, status: int = 500, answer: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.about = about_error(answer, status)


def about_error(answer: str, status: int) -> dict[str, Any]:
    """What OpenAI's error object has beside its message: from SGLang's own, if it sent one."""
    kind = "invalid_request_error" if 400 <= status < 500 else "server_error"
    about: dict[str, Any] = {"type": kind, "param": None, "code": status}
    try:
        data = json.loads(answer)
    except ValueError:
        return about
    if isinstance(data, Mapping) and isinstance(data.get("error"), Mapping):
        data = data["error"]
    if isinstance(data, Mapping):
        about |= {key: data[key] for key in about if isinstance(data.get(key), (str, int))}
    return about


def sendable(value: Any) -> Any:
    """`value` as JSON in UTF-8 can hold it: without half characters, NaN and infinities."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        text = json.dumps(value, ensure_ascii=False)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return json.loads(text, parse_constant=lambda _: None)
    return value


def newest(events: str) -> str:
    """Of a stream whose every event repeats the one before: the last one of each answer, and
    whatever is no such event, unchanged and in order."""
    kept: list[str] = []
    seen: set[str] = set()
    for event in reversed(re.split(r"(?<=\n\n)", events)):
        if event.startswith("data: {") and not event.startswith('data: {"error"'):
            index = INDEX.search(event, max(0, len(event) - 40))
            answer = index[1] if index else ""
            if answer in seen:
                continue
            seen.add(answer)
        kept.append(event)
    return "".join(reversed(kept))


def shortened(outputs: list[Any]) -> list[Any]:
    """The outputs of a job without what only repeats: a native stream's last events are its whole
    answer."""
    if outputs and all(isinstance(output, _Repeating) for output in outputs):
        return [newest("".join(outputs))]
    return outputs


def error_message(text: str) -> str:
    """The readable part of an error answer, whatever shape it has."""
    try:
        data = json.loads(text)
    except ValueError:
        return text.strip()[:LONGEST_MESSAGE] or "no message"
    if isinstance(data, Mapping):
        for key in ("error", "message", "detail"):
            inner = data.get(key)
            if isinstance(inner, Mapping) and isinstance(inner.get("message"), str):
                return str(inner["message"])[:LONGEST_MESSAGE]
            if isinstance(inner, str) and inner:
                return inner[:LONGEST_MESSAGE]
    return json.dumps(data, ensure_ascii=False)[:LONGEST_MESSAGE]


def refusal_in(events: str) -> tuple[int, str] | None:
    """Status and text of the error with which a stream begins, if it does: it was refused.

    SGLang's native API answers so where its other routes answer with a status of 400.
    """
    match = re.match(r"(?:event:.*\n)?data:(.*)", events)
    try:
        event = json.loads(match[1]) if match else None
    except ValueError:
        return None
    error = event.get("error") if isinstance(event, Mapping) else None
    if not match or not error:
        return None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) else 400, match[1]


def last_event_end(data: bytes | bytearray) -> int:
    """The index behind the last complete server-sent event in `data`; 0 when there is none."""
    return max(
        data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0,
        data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0,
        data.rfind(b"\r\r") + 2 if b"\r\r" in data else 0,
    )


def error_event(message: str, about: Mapping[str, Any], kind: str = EVENT_STREAM) -> str:
    """An error in the middle of a stream, in the shape in which SGLang itself sends one."""
    error = json.dumps({"error": {"message": message} | dict(about)}, ensure_ascii=False)
    return f"data: {error}\n\n" if kind == EVENT_STREAM else f"{error}\n"


def last_line_end(data: bytes | bytearray) -> int:
    """The index behind the last complete line in `data`; 0 when there is none."""
    return data.rfind(b"\n") + 1


class Relay:
    """Sends requests to the server over one session and hands on what comes back."""

    def __init__(self, config: ServerConfig, supervisor: Supervisor, redactor: Redactor) -> None:
        self._config = config
        self._supervisor = supervisor
        self._redactor = redactor
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _client(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            limit = self._config.settings.request_timeout or None
            headers = {"Accept-Encoding": "identity"}
            if self._config.api_key:
                headers["Authorization"] = f"Bearer {self._config.api_key}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ssl=False, keepalive_timeout=KEEP_ALIVE, use_dns_cache=True
                ),
                timeout=aiohttp.ClientTimeout(total=limit, sock_connect=10),
                headers=headers,
                auto_decompress=True,
                trust_env=False,
            )
            self._loop = loop
        return self._session

    def _key_for(self, request: Request) -> dict[str, Any]:
        """The key for one of SGLang's admin routes, where a job may use it."""
        path = request.route.partition("?")[0]
        allowed = path in ADMIN_ROUTES or (self._config.lora and path in LORA_ROUTES)
        if not allowed or not self._config.admin_key:
            return {}
        return {"headers": {"Authorization": f"Bearer {self._config.admin_key}"}}

    def _url(self, route: str) -> URL:
        path, _, query = route.partition("?")
        host = self._config.reachable_host
        return URL.build(
            scheme=self._config.scheme,
            host=f"[{host}]" if ":" in host else host,
            port=self._config.port,
            path=path,
            query_string=query,
            encoded=True,
        )

    async def answer(self, job_input: Any) -> AsyncIterator[Any]:
        """The outputs of a job: texts of a stream, or one parsed answer, or one error."""
        try:
            request = read_input(job_input, self._config.served_model)
            await self._wait_until_ready()
            if self._config.settings.refuse_crashing_jobs:
                model = self._supervisor
                refuse_what_ends_the_server(
                    request, generates=model.generates, vocabulary=model.vocabulary
                )
        except (InputError, EngineError) as error:
            status = 400 if isinstance(error, InputError) else 503
            yield self._failure(str(error), about_error("", status))
            return
        stream = ""
        try:
            async for output in self._exchange(request):
                stream = output.kind if isinstance(output, _Events) else ""
                yield output if stream else sendable(output)
        except RequestError as error:
            failure = self._failure(str(error), error.about)
            log.warning("a request to %s failed with %d", request.route, error.status)
            if stream:
                about = {name: failure[name] for name in error.about}
                yield error_event(failure["error"], about, stream)
            yield failure
        except Exception as error:  # the SDK would send the caller a traceback
            log.exception("a request to %s failed in the worker", request.route)
            words = f"the worker failed: {type(error).__name__}; its log says more"
            yield self._failure(words, about_error("", 500))

    def _failure(self, message: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """What a job fails with: a text, since the SDK would send an object as Python prints it,
        and the rest of OpenAI's error object."""
        failure: dict[str, Any] = sendable(self._redactor.value({"error": message, **about}))
        return failure

    async def _wait_until_ready(self) -> None:
        supervisor = self._supervisor
        if supervisor.ended.done():
            raise EngineError(supervisor.ended.result())
        if not supervisor.ready.done():
            waiting = asyncio.wrap_future(supervisor.ready)
            waiting.add_done_callback(_look_at)  # its job may be gone when it fails
            await asyncio.shield(waiting)
        supervisor.ready.result()

    async def _exchange(self, request: Request) -> AsyncIterator[Any]:
        """One request and its outputs; whatever ends it closes the connection, and with that
        aborts the request at the server."""
        limit = self._config.settings.request_timeout
        response: aiohttp.ClientResponse | None = None
        task = asyncio.current_task()
        try:
            more = self._key_for(request)
            if request.has_body:
                more["json"] = request.body
            response = await self._client().request(
                request.method, self._url(request.route), allow_redirects=False, **more
            )
            if task:
                # A job that is cancelled while its output is being sent stands still at a yield.
                task.add_done_callback(_closer(response))
            if response.status >= 300:
                text = await response.text(errors="replace")
                raise _refused(request, response.status, text)
            if response.content_type in (EVENT_STREAM, *LINES):
                begun = False
                repeating = self._repeats(request)
                async for text in self._events(response):
                    if not begun and (refusal := refusal_in(text)):
                        raise _refused(request, *refusal)
                    begun = True
                    text = self._redactor.text(text)
                    yield (
                        _Repeating(newest(text))
                        if repeating
                        else _Events.of(response.content_type, text)
                    )
            else:
                yield await self._whole(response, request)
        except asyncio.TimeoutError as error:
            if isinstance(error, aiohttp.ServerTimeoutError):
                raise RequestError("SGLang takes no more connections", 503) from error
            raise RequestError(
                f"no complete answer within {limit} s (REQUEST_TIMEOUT); the request was aborted",
                504,
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise RequestError(await self._why_lost(error), 502) from error
        finally:
            if response is not None:
                response.close() if not response.content.at_eof() else response.release()

    async def _why_lost(self, error: Exception) -> str:
        """Why a connection broke: the server's end is known a moment after its connections."""
        with contextlib.suppress(asyncio.TimeoutError):
            future = asyncio.shield(asyncio.wrap_future(self._supervisor.ended))
            return await asyncio.wait_for(future, 1.0)
        return f"the connection to SGLang broke: {type(error).__name__}: {error}"

    async def _whole(self, response: aiohttp.ClientResponse, request: Request) -> Any:
        raw = await response.read()
        if "json" in response.content_type:
            with contextlib.suppress(ValueError):
                data = json.loads(raw)
                data = self._redactor.value(data, by_name=request.method == "GET")
                if isinstance(data, dict) and data.get("error"):
                    about = about_error(raw.decode("utf-8", "replace"), response.status)
                    return data | about | {"error": _as_text(data["error"])}
                return data
        try:
            return self._redactor.text(raw.decode(response.charset or "utf-8"))
        except (UnicodeError, LookupError):
            return {
                "content_type": response.content_type,
                "base64": base64.b64encode(raw).decode(),
            }

    def _repeats(self, request: Request) -> bool:
        """Whether each event of the answer holds all that the one before held."""
        given = self._config.arguments.settings
        return (
            request.route.partition("?")[0] == "/generate"
            and not self._config.settings.stream_all_events
            and not any(flag in given and given[flag].value for flag in INCREMENTAL_FLAGS)
            and "--config" not in given  # which may set that too
        )

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        """The events of a stream, unchanged, gathered for the window; the first goes at once."""
        content = response.content
        end = last_event_end if response.content_type == EVENT_STREAM else last_line_end
        loop = asyncio.get_running_loop()
        window = self._config.settings.stream_window
        held = bytearray()
        not_before = 0.0
        alarm = _Alarm(loop)
        content.on_eof(alarm.ring)
        while True:
            pause = not_before - loop.time()
            if pause > 0 and not content.is_eof():
                await alarm.wait(pause)
            data = await content.readany()
            if not data:
                break
            held += data
            if cut := end(held):
                text = held[:cut].decode("utf-8", "replace")
                del held[:cut]
                not_before = loop.time() + window
                yield text
        if held:
            yield held.decode("utf-8", "replace")


class _Events(str):
    """Text that is part of a stream, as against an answer that is a text."""

    kind = EVENT_STREAM

    @classmethod
    def of(cls, kind: str, text: str) -> _Events:
        """Text of a stream of this content type."""
        events = cls(text)
        events.kind = kind
        return events


class _Repeating(_Events):
    """Events each of which repeats the one before."""


def _refused(request: Request, status: int, answer: str) -> RequestError:
    words = f"SGLang answered {status} to {request.method} {request.route}: {error_message(answer)}"
    if status == 405 and request.no_body:
        words = (
            f"the body is missing: SGLang answered 405 to {request.route} without one; give it in "
            "openai_input beside openai_route, or in body beside route; where it takes none, give "
            "the method POST"
        )
    return RequestError(words, status, answer)


def _as_text(error: Any) -> str:
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)


def _look_at(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()


def _closer(response: aiohttp.ClientResponse) -> Any:
    def close(_: Any) -> None:
        if not response.closed:
            response.close()

    return close


class _Alarm:
    """Waits for a time, or until someone rings."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, seconds: float) -> None:
        self._waiting = self._loop.create_future()
        timer = self._loop.call_later(seconds, self.ring)
        try:
            await self._waiting
        finally:
            timer.cancel()
