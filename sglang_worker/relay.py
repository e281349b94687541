"""From a job to a request to SGLang, and from its answer to the job's output."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import aiohttp
from yarl import URL

from sglang_worker.config import ServerConfig
from sglang_worker.supervisor import EngineError, Supervisor
from utils import Redactor, log

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

#: Routes that SGLang answers to GET only, so that a body which a client adds does no harm.
GET_ROUTES = frozenset(
    {
        "/v1/models",
        "/models",
        "/health",
        "/health_generate",
        "/ping",
        "/model_info",
        "/get_model_info",
        "/server_info",
        "/get_server_info",
        "/get_load",
        "/v1/loads",
        "/metrics",
        "/weight_version",
        "/get_weight_version",
    }
)

#: Shorter than uvicorn's five seconds, so that no request meets a connection that is just closing.
KEEP_ALIVE = 3.0

LONGEST_MESSAGE = 8000  #: characters of a server's error message that a job passes on


class InputError(Exception):
    """The job's input is nothing that can be sent to SGLang; the text says why."""


class RequestError(Exception):
    """SGLang did not give a usable answer; the text is what the job fails with."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One HTTP request to SGLang."""

    method: str
    route: str
    body: Any = None

    @property
    def has_body(self) -> bool:
        return self.body is not None


def check_route(route: Any) -> str:
    """A route that stays on this server; InputError for everything else.

    The origin is fixed when the request is built, so a route cannot reach another host in any
    case; what looks as if it were meant to is refused all the same.
    """
    if not isinstance(route, str):
        raise InputError(f"the route must be a text, not {_kind(route)}")
    route = route.strip()
    path = route.partition("?")[0]
    plain = unquote(path)
    if (
        not route.startswith("/")
        or plain.startswith("//")
        or "\\" in plain
        or "#" in route
        or any(ord(char) <= 32 or ord(char) == 127 for char in route + plain)
        or any(part in (".", "..") for part in plain.split("/"))
        or not route.isascii()
    ):
        raise InputError(
            f"{route[:200]!r} is no route on this server: give a path such as /v1/chat/completions"
        )
    return route


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _is_get_route(route: str) -> bool:
    path = route.partition("?")[0].rstrip("/")
    return path in GET_ROUTES or path.startswith("/v1/models/")


def read_input(job_input: Any, served_model: str) -> Request:
    """What a job asks for. Four shapes are understood, in this order:

    - `{"openai_route": "/v1/...", "openai_input": {...}}`, as RunPod's own gateway sends it
    - `{"route": "/...", "method": "...", "body": ...}`, with `path` as another name for `route`
    - `{"messages": [...]}` and `{"prompt": ...}`, as the body of a chat or a text completion
    - anything else is the body of `/generate`
    """
    if not isinstance(job_input, Mapping):
        raise InputError(f"the job's input must be an object, not {_kind(job_input)}")
    if not job_input:
        raise InputError(
            "the job's input is empty: give messages, prompt, text, openai_route or route"
        )
    if "openai_route" in job_input:
        route = check_route(job_input["openai_route"])
        return _request(route, None, job_input.get("openai_input"))
    if "route" in job_input or "path" in job_input:
        if "route" in job_input and "path" in job_input:
            raise InputError("route and path are two names for one thing: give one of them")
        route = check_route(job_input.get("route", job_input.get("path")))
        unknown = sorted(set(job_input) - {"route", "path", "method", "body"})
        if unknown:
            raise InputError(
                f"{', '.join(map(str, unknown))}: beside a route only method and body are known; "
                "what is meant for SGLang goes into body"
            )
        return _request(route, job_input.get("method"), job_input.get("body"))
    if "messages" in job_input:
        return Request("POST", "/v1/chat/completions", {"model": served_model, **job_input})
    if "prompt" in job_input:
        return Request("POST", "/v1/completions", {"model": served_model, **job_input})
    return Request("POST", "/generate", dict(job_input))


def _request(route: str, method: Any, body: Any) -> Request:
    empty = body is None or body == {} or body == ""
    if method is None:
        if empty or _is_get_route(route):
            return Request("GET", route)
        return Request("POST", route, body)
    if not isinstance(method, str) or method.strip().upper() not in METHODS:
        raise InputError(f"method must be one of {', '.join(sorted(METHODS))}")
    return Request(method.strip().upper(), route, body)


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


def error_event(message: str, status: int) -> str:
    """An error in the middle of a stream, in the shape in which SGLang itself sends one."""
    error = {"message": message, "type": "server_error", "code": status}
    return f"data: {json.dumps({'error': error}, ensure_ascii=False)}\n\n"


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
        except (InputError, EngineError) as error:
            yield {"error": self._redactor.text(str(error))}
            return
        streaming = False
        try:
            async for output in self._exchange(request):
                streaming = isinstance(output, _Events)
                yield str(output) if streaming else output
        except RequestError as error:
            message = self._redactor.text(str(error))
            log.warning("a request to %s failed with %d", request.route, error.status)
            if streaming:
                yield error_event(message, error.status)
            yield {"error": message}
        except Exception as error:  # the SDK would send the caller a traceback
            log.exception("a request to %s failed in the worker", request.route)
            yield {"error": f"the worker failed: {type(error).__name__}; its log says more"}

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
            body = {"json": request.body} if request.has_body else {}
            response = await self._client().request(
                request.method, self._url(request.route), allow_redirects=False, **body
            )
            if task:
                # A job that is cancelled while its output is being sent stands still at a yield.
                task.add_done_callback(_closer(response))
            if response.status >= 300:
                text = await response.text(errors="replace")
                raise _refused(request, response.status, text)
            if response.content_type == "text/event-stream":
                begun = False
                async for text in self._events(response):
                    if not begun and (refusal := refusal_in(text)):
                        raise _refused(request, *refusal)
                    begun = True
                    yield _Events(self._redactor.text(text))
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
                    # The SDK would send an object as Python prints it.
                    data["error"] = _as_text(data["error"])
                return data
        try:
            return self._redactor.text(raw.decode(response.charset or "utf-8"))
        except (UnicodeDecodeError, LookupError):
            return {
                "content_type": response.content_type,
                "base64": base64.b64encode(raw).decode(),
            }

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        """The events of a stream, unchanged, gathered for the window; the first goes at once."""
        content = response.content
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
            if cut := last_event_end(held):
                text = held[:cut].decode("utf-8", "replace")
                del held[:cut]
                not_before = loop.time() + window
                yield text
        if held:
            yield held.decode("utf-8", "replace")


class _Events(str):
    """Text that is part of a stream, as against an answer that is a text."""


def _refused(request: Request, status: int, answer: str) -> RequestError:
    words = f"SGLang answered {status} to {request.method} {request.route}: {error_message(answer)}"
    return RequestError(words, status)


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
