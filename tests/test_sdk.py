"""What the worker changes about RunPod's SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

from conftest import ROOT

from sglang_worker.sdk import LOOK, Polls, PromptAsyncio

LOAD = "from sglang_worker import sdk; sdk.load(); "


def python(code: str) -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    ).stdout.strip()


def test_the_sdk_is_loaded_without_what_a_worker_never_uses() -> None:
    code = "print([n for n in ('paramiko', 'cpuinfo', 'cryptography') if n in sys.modules])"
    assert python("import sys; " + LOAD + code) == "[]"


def test_what_was_left_out_can_still_be_imported() -> None:
    code = "import cpuinfo, paramiko; print(paramiko.SSHClient.__name__)"
    assert python(LOAD + code) == "SSHClient"


def test_an_sdk_that_needs_what_was_left_out_gets_it() -> None:
    code = (
        "import sys, types, importlib.abc, importlib.util\n"
        "from sglang_worker import sdk\n"
        "class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'runpod': return importlib.util.spec_from_loader(name, self)\n"
        "    def create_module(self, spec): return None\n"
        "    def exec_module(self, module):\n"
        "        import paramiko\n"
        "        module.client = paramiko.SSHClient\n"
        "sys.meta_path.insert(0, Finder())\n"
        "print(sdk._import().client.__name__)"
    )
    assert python(code) == "SSHClient"


def test_the_sdks_default_level_is_not_debug() -> None:
    code = "from runpod.serverless.modules.rp_logger import RunPodLogger; "
    assert python(LOAD + code + "print(RunPodLogger().level)") == "INFO"


def test_a_poll_can_be_ended() -> None:
    async def scenario() -> None:
        polls = Polls()
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def get_job(job: Any) -> Any:
            return job or await never

        take = polls.watch(get_job)
        assert await take("job") == "job"
        polling = asyncio.ensure_future(take(None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        polls.end()
        assert await polling is None
        assert never.cancelled()

    asyncio.run(scenario())


def test_a_job_ends_the_pause_between_two_looks() -> None:
    async def scenario() -> None:
        prompt = PromptAsyncio()
        queue = prompt.Queue(5)
        asyncio.get_running_loop().call_later(0.001, queue.put_nowait, "job")
        await prompt.sleep(LOOK)
        assert queue.qsize() == 1, "woken by the job"

        work = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_later(0.001, queue.put_nowait, "job")
        wait = prompt.wait([work], timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        done, pending = await wait
        assert (done, pending) == (set(), {work})
        assert queue.qsize() == 2
        work.cancel()

    asyncio.run(scenario())


def test_without_a_job_it_is_asyncio_itself() -> None:
    async def scenario() -> None:
        prompt = PromptAsyncio()
        prompt.Queue(5)
        begun = time.monotonic()
        assert await prompt.sleep(LOOK, "result") == "result"
        assert time.monotonic() - begun >= LOOK * 0.9
        assert await prompt.sleep(0, "result") == "result"
        task = asyncio.ensure_future(asyncio.sleep(0, "done"))
        done, pending = await prompt.wait({task}, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        assert (done, pending) == ({task}, set())
        assert await prompt.wait({task}) == ({task}, set())
        assert prompt.Event is asyncio.Event

    asyncio.run(scenario())
