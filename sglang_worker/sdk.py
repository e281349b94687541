"""RunPod's SDK as the worker wants it: small, quiet, and quick to start a job.

This is the only module that touches the SDK's inside. `PARTS` names all of it; where a release of
the SDK lacks one, a warning says what the worker does without.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import aiohttp

from utils import log

#: How long the SDK's loop sleeps between two looks at its queue of jobs.
LOOK = 0.1

ROOM_LOOK = 0.02  #: seconds between two looks at whether more jobs may be taken
LAST_ANSWER = 0.05  #: seconds in which a poll that is to end may still bring a job
CLOSING = 2 * LAST_ANSWER  #: seconds after which such a job has reached the SDK
SERVER_TRIES = 4  #: how often a post is tried that RunPod fails to take, as the SDK does
LONGEST_LIMITED = 300.0  #: seconds in which a post that is limited by rate is tried again
LONGEST_PAUSE = 2.0  #: seconds between two such tries, unless RunPod asks for more
REFUSALS = (400, 413)

POST_HEADERS = {"charset": "utf-8", "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Part:
    """A private part of the SDK."""

    module: str
    name: str
    parameters: tuple[str, ...] | None  #: of a function; None for what is no function
    without: str

    def find(self) -> Any:
        """The part itself; None, with a warning, where this SDK has another one or none."""
        try:
            found = getattr(self.load(), self.name)
            if self.parameters is None:
                return found
            if tuple(inspect.signature(found).parameters) == self.parameters:
                return found
        except (ImportError, AttributeError, TypeError, ValueError):
            pass
        log.warning(
            "this RunPod SDK has no %s.%s as known: %s", self.module, self.name, self.without
        )
        return None

    def load(self) -> ModuleType:
        """The module that holds it."""
        return importlib.import_module(f"runpod.serverless.modules.{self.module}")

    def replace(self, make: Callable[[Any], Any]) -> None:
        """Puts what `make` makes of it in its place."""
        if (found := self.find()) is not None:
            setattr(self.load(), self.name, make(found))


ASYNCIO = Part("rp_scale", "asyncio", None, "each job starts up to 0.1 s later")
GET_JOB = Part(
    "rp_scale",
    "get_job",
    ("session", "num_jobs"),
    "while it loads, the worker takes jobs that others could run, and stopping may lose one",
)
TRANSMIT = Part(
    "rp_http",
    "_transmit",
    ("client_session", "url", "job_data"),
    "what RunPod refuses or limits by rate is lost",
)
SEND_RESULT = Part(
    "rp_job",
    "send_result",
    ("session", "job_data", "job", "is_stream"),
    "errors come without their type, and native streams are sent twice as a whole",
)
JOBS = Part("worker_state", "JobsProgress", (), "stopping does not wait for jobs")
PARTS = (ASYNCIO, GET_JOB, TRANSMIT, SEND_RESULT, JOBS)


class Polls:
    """The SDK's long polls for jobs.

    When the SDK is told to stop it ends its job loop but not the poll that is under way: a job that
    this one brings would never be run nor answered. So the poll is ended too, and none is begun.
    RunPod may have answered it already: such a job is still taken, so the SDK has to run for
    `CLOSING` seconds more.
    """

    def __init__(self) -> None:
        #: How many jobs may be taken now.
        self.room: Callable[[], int] = lambda: sys.maxsize
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll: asyncio.Future[Any] | None = None
        self._ended: float | None = None

    def watch(self, get_job: Callable[..., Any]) -> Callable[..., Any]:
        """`get_job`, asking for no more jobs than there is room for, and not at all after `end`."""

        async def watched(session: Any, num_jobs: int = 1) -> Any:
            waited = False
            self._loop = asyncio.get_running_loop()
            while self._ended is None and self.room() < 1:
                waited = True
                await asyncio.sleep(ROOM_LOOK)
            if self._ended is not None:
                await asyncio.sleep(LOOK)
                return None
            if waited:
                return None  # the SDK asks anew, for as many as it now has room for
            poll = self._poll = asyncio.ensure_future(get_job(session, min(num_jobs, self.room())))
            try:
                await asyncio.wait({poll})
            finally:
                poll.cancel()
            return None if poll.cancelled() else poll.result()

        return watched

    def end(self) -> None:
        """Ends the poll that is under way. Any thread may call it."""
        self._ended = time.monotonic()
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.call_later, LAST_ANSWER, self._cancel)

    def _cancel(self) -> None:
        if self._poll:
            self._poll.cancel()

    def closing(self) -> bool:
        """Whether the poll that was ended may still bring a job that the SDK does not count yet."""
        return self._ended is not None and time.monotonic() - self._ended < CLOSING


polls = Polls()

#: Whether what is being posted is a job's result, not an item of its stream.
_is_result: ContextVar[bool] = ContextVar("is_result", default=False)


def finishing(finish: Callable[[dict[str, Any], str], Any]) -> Callable[[Any], Any]:
    """`send_result`, posting what `finish` makes of a job's result and its id."""

    def make(send_result: Any) -> Any:
        async def send(session: Any, job_data: Any, job: Any, is_stream: bool = False) -> None:
            token = _is_result.set(True)
            try:
                await send_result(session, finish(job_data, job["id"]), job, is_stream=is_stream)
            finally:
                _is_result.reset(token)

        return send

    return make


async def transmit(client_session: aiohttp.ClientSession, url: str, job_data: str) -> None:
    """Posts a stream's item or a result. What RunPod limits by rate is posted again, and since the
    SDK waits for each post of a job, in order; what it refuses becomes an error."""
    data = job_data.encode()
    try:
        await _post(client_session, url, data)
    except aiohttp.ClientResponseError as error:
        if error.status not in REFUSALS:
            raise
        refused = f"with status {error.status} ({error.message})"
        size = f"{len(data) / 1e6:.1f} MB"
        if _is_result.get():
            words = (
                f"RunPod refused the job's result {refused}. The result has {size}; "
                "RunPod documents limits of 10 MB for /run and 20 MB for /runsync"
            )
            told: dict[str, str] = {"error": words}
        else:
            words = f"RunPod refused a part of the stream {refused}. The part has {size}"
            event = {"message": words, "type": "server_error", "param": None, "code": error.status}
            told = {"output": f"data: {json.dumps({'error': event})}\n\n"}
        log.error("%s", words)
        await _post(client_session, url, json.dumps(told).encode())


async def _post(session: aiohttp.ClientSession, url: str, data: bytes) -> None:
    # The SDK keeps a job's id in the session's headers, where the next job overwrites it.
    headers = POST_HEADERS | {
        name: value for name, value in session.headers.items() if name == "X-Request-ID"
    }
    loop = asyncio.get_running_loop()
    begun, pause, tries = loop.time(), 0.1, 1
    while True:
        try:
            async with session.post(url, data=data, headers=headers) as response:
                text = await response.text(errors="replace")
                if response.status < 400:
                    return
                asked = response.headers.get("Retry-After", "")
                failure = aiohttp.ClientResponseError(
                    response.request_info,
                    response.history,
                    status=response.status,
                    message=text.strip()[:500] or response.reason or "",
                )
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            if tries >= SERVER_TRIES:
                raise
            await asyncio.sleep(tries)
            tries += 1
            continue
        if failure.status == 429 and loop.time() - begun < LONGEST_LIMITED:
            await asyncio.sleep(min(float(asked), 30.0) if asked.isdigit() else pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        elif failure.status >= 500 and tries < SERVER_TRIES:
            await asyncio.sleep(tries)
            tries += 1
        else:
            raise failure


def load(finish: Callable[[dict[str, Any], str], Any] = lambda result, _: result) -> Any:
    """The SDK's package, with its job loop made prompt and its posts made safe."""
    if not os.environ.get("RUNPOD_DEBUG_LEVEL"):
        # Its default is DEBUG, where it prints every job's output.
        os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")
    runpod = _import()
    ASYNCIO.replace(lambda found: PromptAsyncio() if found is asyncio else found)
    GET_JOB.replace(polls.watch)
    TRANSMIT.replace(lambda _: transmit)
    SEND_RESULT.replace(finishing(finish))
    return runpod


def jobs_in_progress() -> Callable[[], int]:
    """Tells how many jobs the SDK has taken and not yet reported."""
    found = JOBS.find()
    return found().get_job_count if found is not None else lambda: 0


def _placeholders() -> dict[str, ModuleType]:
    """What the SDK imports and a worker never uses: the SSH library of its command-line tools, a
    quarter of the worker's memory, and a look at the processor for its debugger that takes a
    second."""
    ssh, processor = ModuleType("paramiko"), ModuleType("cpuinfo")
    processor.get_cpu_info = lambda: {"brand_raw": "unknown"}  # type: ignore[attr-defined]
    return {
        name: module
        for name, module in (("paramiko", ssh), ("cpuinfo", processor))
        if name not in sys.modules
    }


def _import() -> Any:
    placeholders = _placeholders()
    sys.modules.update(placeholders)
    try:
        import runpod
    except AttributeError:  # some day it does use them
        _forget("runpod", placeholders)
        import runpod
    finally:
        _forget("", placeholders)
    return runpod


def _forget(package: str, modules: dict[str, ModuleType]) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package or sys.modules[name] is modules.get(name, ...):
            del sys.modules[name]


class PromptAsyncio:
    """`asyncio` as the SDK's job loop sees it.

    The loop looks for new jobs ten times a second, so that each would wait up to 0.1 s for nothing.
    Here a job that comes into the queue ends the pause. Everything else is asyncio's own.
    """

    def __init__(self) -> None:
        self._pause: asyncio.Future[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def Queue(self, maxsize: int = 0) -> asyncio.Queue[Any]:  # noqa: N802
        """A queue that ends the pause when something comes in."""
        return _PromptQueue(maxsize, self._wake)

    async def sleep(self, delay: float, result: Any = None) -> Any:
        """Sleeps, or until a job comes in when it is the pause between two looks."""
        if delay != LOOK:
            return await asyncio.sleep(delay, result)
        await asyncio.wait([self._new_pause()], timeout=delay)
        return result

    async def wait(
        self,
        tasks: Iterable[asyncio.Future[Any]],
        *,
        timeout: float | None = None,
        return_when: str = asyncio.ALL_COMPLETED,
    ) -> tuple[set[asyncio.Future[Any]], set[asyncio.Future[Any]]]:
        """Waits for tasks, or until a job comes in when it is the pause between two looks."""
        if timeout != LOOK or return_when != asyncio.FIRST_COMPLETED:
            return await asyncio.wait(tasks, timeout=timeout, return_when=return_when)
        pause = self._new_pause()
        done, pending = await asyncio.wait(
            {*tasks, pause}, timeout=timeout, return_when=return_when
        )
        return done - {pause}, pending - {pause}

    def _new_pause(self) -> asyncio.Future[None]:
        self._pause = asyncio.get_running_loop().create_future()
        return self._pause

    def _wake(self) -> None:
        if self._pause and not self._pause.done():
            self._pause.set_result(None)


class _PromptQueue(asyncio.Queue[Any]):
    def __init__(self, maxsize: int, arrived: Callable[[], None]) -> None:
        super().__init__(maxsize)
        self._arrived = arrived

    def _put(self, item: Any) -> None:
        super()._put(item)  # type: ignore[misc]
        self._arrived()
