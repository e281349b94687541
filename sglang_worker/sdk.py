"""RunPod's SDK as the worker wants it: small, quiet, and quick to start a job."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

#: How long the SDK's loop sleeps between two looks at its queue of jobs.
LOOK = 0.1


class Polls:
    """The SDK's long polls for jobs.

    When the SDK is told to stop it ends its job loop but not the poll that is under way: a job that
    this one brings would never be run nor answered. So the poll is ended too.
    """

    def __init__(self) -> None:
        self._poll: asyncio.Future[Any] | None = None

    def watch(self, get_job: Callable[..., Any]) -> Callable[..., Any]:
        """`get_job`, ending without a job when `end` is called."""

        async def watched(*args: Any, **more: Any) -> Any:
            poll = self._poll = asyncio.ensure_future(get_job(*args, **more))
            try:
                await asyncio.wait({poll})
            finally:
                poll.cancel()
            return None if poll.cancelled() else poll.result()

        return watched

    def end(self) -> None:
        """Ends the poll that is under way; in the SDK's event loop only."""
        if self._poll:
            self._poll.cancel()


polls = Polls()


def load() -> Any:
    """The SDK's package, with its job loop made prompt."""
    if not os.environ.get("RUNPOD_DEBUG_LEVEL"):
        # Its default is DEBUG, where it prints every job's output.
        os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")
    runpod = _import()
    from runpod.serverless.modules import rp_scale

    if getattr(rp_scale, "asyncio", None) is asyncio:
        rp_scale.asyncio = PromptAsyncio()  # type: ignore[attr-defined]
    rp_scale.get_job = polls.watch(rp_scale.get_job)
    return runpod


def jobs_in_progress() -> Callable[[], int]:
    """Tells how many jobs the SDK has taken and not yet reported."""
    from runpod.serverless.modules.worker_state import JobsProgress

    return JobsProgress().get_job_count


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
