"""A stand-in for RunPod: the job API that the SDK polls, and the gateway that OpenAI clients use.

It runs in a thread of the test's process and listens on loopback only.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

POLL_SECONDS = 5.0


def patience() -> float:
    """How many times longer than usual things may take: once, unless the machine is overloaded."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def strict(raw: bytes) -> Any:
    """JSON in UTF-8, as a strict reader takes it: no half characters, no NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(raw.decode("utf-8"), parse_constant=refuse)


@dataclass
class Job:
    """A job as RunPod sees it."""

    id: str
    input: Any
    submitted: float = field(default_factory=time.monotonic)
    taken: float | None = None
    taken_by: str = ""
    items: list[Any] = field(default_factory=list)
    item_times: list[float] = field(default_factory=list)
    result: dict[str, Any] | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    def wait(self, timeout: float = 20.0) -> dict[str, Any]:
        """The result as the worker posted it."""
        finished = self.finished.wait(timeout * patience())
        assert finished, f"job {self.id} did not finish in {timeout} s"
        assert self.result is not None
        return self.result

    @property
    def output(self) -> list[Any]:
        """The outputs of a job that must have succeeded."""
        result = self.wait()
        assert "error" not in result, result
        return list(result["output"])

    @property
    def error(self) -> str:
        """The error of a job that must have failed."""
        result = self.wait()
        assert "error" in result, result
        return str(result["error"])

    @property
    def text(self) -> str:
        """What a streaming client has been sent."""
        return "".join(self.items)


class RunPod:
    """Hands out jobs and collects what comes back."""

    def __init__(self, poll_seconds: float = POLL_SECONDS) -> None:
        self.poll_seconds = poll_seconds
        #: How many jobs each poll asked for.
        self.asked: list[int] = []
        #: How many posts to a stream are taken in a second; None for any number.
        self.stream_rate: int | None = None
        self.limited = 0
        self._stream_posts: list[float] = []
        #: How many bytes a result and a part of a stream may have, and what a larger one is
        #: answered.
        self.largest_result: int = 1 << 26
        self.largest_part: int = 1 << 26
        self.refusal = 413
        self.jobs: dict[str, Job] = {}
        self.pings = 0
        self.polls: list[float] = []
        self._poll: web.Request | None = None
        self.posted_bytes = 0
        self._stops: list[str] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runpod", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    # For tests

    def submit(self, job_input: Any) -> Job:
        """Puts a job into the queue."""
        future = asyncio.run_coroutine_threadsafe(self._submit(job_input), self._loop)
        return future.result(10)

    def run(self, job_input: Any, timeout: float = 20.0) -> Job:
        """Submits a job and waits for its end."""
        job = self.submit(job_input)
        job.wait(timeout)
        return job

    def stop(self, job: Job) -> None:
        """Has the worker stop a job, as a cancellation or a time-out does."""

        async def tell() -> None:
            self._stops.append(job.id)
            self._notify()

        asyncio.run_coroutine_threadsafe(tell(), self._loop).result(10)

    @property
    def polled(self) -> bool:
        """Whether a worker is asking for jobs."""
        return self._poll is not None and self._poll.transport is not None

    def close(self) -> None:
        """Stops listening."""
        asyncio.run_coroutine_threadsafe(self._cease(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def environment(self) -> dict[str, str]:
        """What the platform sets in a worker's environment."""
        base = f"http://127.0.0.1:{self.port}/v2/endpoint"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=none",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_POD_ID": "pod",
            "RUNPOD_AI_API_KEY": "rpa_platform_key",
        }

    @property
    def openai_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self.port}/openai/v1"

    # The server

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._queue: list[Job] = []
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v2/endpoint/job-take/{pod}", self._take)
        app.router.add_get("/v2/endpoint/job-take-batch/{pod}", self._take)
        app.router.add_post("/v2/endpoint/job-stream/{pod}/{id}", self._stream)
        app.router.add_post("/v2/endpoint/job-done/{pod}/{id}", self._done)
        app.router.add_get("/v2/endpoint/job-stop/{pod}", self._stop)
        app.router.add_get("/v2/endpoint/ping/{pod}", self._ping)
        app.router.add_route("*", "/openai/{path:.*}", self._gateway)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port: int = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _cease(self) -> None:
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _submit(self, job_input: Any) -> Job:
        job = Job(f"job-{len(self.jobs)}", job_input)
        self.jobs[job.id] = job
        self._queue.append(job)
        self._notify()
        return job

    def _notify(self) -> None:
        """Something has changed: whoever waits looks again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _wait(self, wanted: Callable[[], Any], timeout: float | None = None) -> bool:
        """Waits until something is true, or until the time is over."""
        end = time.monotonic() + (timeout or 3600.0)
        while not wanted():
            if time.monotonic() >= end:
                return False
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await asyncio.wait([waiter], timeout=end - time.monotonic())
        return True

    async def _take(self, request: web.Request) -> web.Response:
        self.polls.append(time.monotonic())
        size = int(request.query.get("batch_size", "1"))
        self.asked.append(size)
        self._poll = request
        if not await self._wait(lambda: self._queue, self.poll_seconds):
            return web.Response(status=204)
        if request.transport is None:  # nobody is there any more to take a job
            return web.Response(status=204)
        jobs, self._queue[:size] = self._queue[:size], []
        for job in jobs:
            job.taken = time.monotonic()
            job.taken_by = request.match_info["pod"]
        found = [{"id": job.id, "input": job.input} for job in jobs]
        return web.json_response(found if "batch" in request.path else found[0])

    async def _stop(self, _: web.Request) -> web.Response:
        if not await self._wait(lambda: self._stops, self.poll_seconds):
            return web.Response(status=204)
        stops, self._stops[:] = self._stops[:], []
        return web.json_response({"jobsToStop": stops})

    async def _ping(self, _: web.Request) -> web.Response:
        self.pings += 1
        return web.Response()

    async def _stream(self, request: web.Request) -> web.Response:
        raw = await request.read()
        now = time.monotonic()
        self._stream_posts = [then for then in self._stream_posts if now - then < 1]
        if self.stream_rate is not None and len(self._stream_posts) >= self.stream_rate:
            self.limited += 1
            return web.Response(status=429)
        self._stream_posts.append(now)
        if len(raw) > self.largest_part:
            return web.Response(status=self.refusal)
        self.posted_bytes += len(raw)
        job = self.jobs[request.match_info["id"]]
        job.items.append(strict(raw)["output"])
        job.item_times.append(time.monotonic())
        self._notify()
        return web.Response()

    async def _done(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["id"]]
        raw = await request.read()
        if len(raw) > self.largest_result:
            return web.Response(status=self.refusal)
        job.result = strict(raw)
        job.finished.set()
        self._notify()
        return web.Response()

    # The gateway

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        route = "/" + request.match_info["path"]
        job = await self._submit({"openai_route": route, "openai_input": body})
        if not (isinstance(body, dict) and body.get("stream")):
            await self._wait(job.finished.is_set)
            if failure := self._failure(job):
                return failure
            assert job.result is not None
            return web.json_response(job.result["output"][0])
        await self._wait(lambda: job.items or job.finished.is_set())
        if not job.items and (failure := self._failure(job)):
            return failure
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        sent = 0
        try:
            while True:
                await self._wait(lambda n=sent: len(job.items) > n or job.finished.is_set())
                for item in job.items[sent:]:
                    await response.write(item.encode())
                sent = len(job.items)
                if job.finished.is_set():
                    return response
        except (ConnectionError, asyncio.CancelledError):
            self._stops.append(job.id)
            self._notify()
            raise

    @staticmethod
    def _failure(job: Job) -> web.Response | None:
        error = (job.result or {}).get("error")
        if error is None:
            return None
        match = re.search(r"answered (\d{3})", error)
        body = {"error": {"message": error, "type": "job_failed"}}
        return web.json_response(body, status=int(match[1]) if match else 500)
