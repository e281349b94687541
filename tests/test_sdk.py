"""What the worker changes about RunPod's SDK."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from conftest import ROOT

from sglang_worker import sdk
from sglang_worker.sdk import LOOK, PARTS, Part, Polls, PromptAsyncio

NAMES = {part: name for name, part in vars(sdk).items() if isinstance(part, Part)}

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

        async def get_job(job: Any, num_jobs: int) -> Any:
            return job or await never

        take = polls.watch(get_job)
        assert await take("job") == "job"
        polling = asyncio.ensure_future(take(None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        polls.end()
        assert polls.closing()
        assert await polling is None
        assert never.cancelled()
        assert await take("job") is None, "none is begun any more"
        assert not polls.closing()

    asyncio.run(scenario())


def test_a_poll_that_is_ended_still_brings_what_was_answered() -> None:
    async def scenario() -> None:
        polls = Polls()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def get_job(session: Any, num_jobs: int) -> Any:
            return await answer

        polling = asyncio.ensure_future(polls.watch(get_job)(None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.to_thread(polls.end)
        answer.set_result(["job"])
        assert await polling == ["job"]

    asyncio.run(scenario())


def test_no_poll_asks_for_more_than_there_is_room_for() -> None:
    async def scenario() -> None:
        polls, asked, room = Polls(), [], [1]
        polls.room = lambda: room[0]

        async def get_job(session: Any, num_jobs: int) -> Any:
            asked.append(num_jobs)
            return ["job"]

        take = polls.watch(get_job)
        assert await take(None, 300) == ["job"]
        room[0] = 0
        waiting = asyncio.ensure_future(take(None, 299))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert asked == [1], "nothing is asked for while a job is held"
        room[0] = 300
        assert await waiting is None, "the SDK asks anew"
        assert await take(None, 299) == ["job"]
        assert asked == [1, 299]

    asyncio.run(scenario())


def test_a_wait_for_room_ends_with_the_sdk() -> None:
    async def scenario() -> None:
        polls = Polls()
        polls.room = lambda: 0
        waiting = asyncio.ensure_future(polls.watch(lambda *_: None)(None, 1))
        await asyncio.sleep(0)
        polls.end()
        assert await waiting is None

    asyncio.run(scenario())


# The SDK's inside


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_sdk_has_the_private_part(part: Part) -> None:
    code = f"print(sdk.{NAMES[part]}.find() is not None)"
    assert python("from sglang_worker import sdk; sdk._import(); " + code) == "True"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@pytest.mark.parametrize("change", ["del module.{name}", "module.{name} = lambda odd: None"])
def test_without_a_private_part_the_worker_warns_and_runs(part: Part, change: str) -> None:
    if part.parameters is None and not change.startswith("del"):
        pytest.skip("no function: there is nothing to tell another one by")
    code = (
        "import sys\nfrom utils import setup_logging\nfrom sglang_worker import sdk\n"
        f"setup_logging('info'); sdk._import(); module = sdk.{NAMES[part]}.load()\n"
        + change.format(name=part.name)
        + "\nsys.stderr = sys.stdout; setup_logging('info')\n"
        "runpod = sdk.load(); print(sdk.jobs_in_progress()(), callable(runpod.serverless.start))"
    )
    printed = python(code)
    assert f"no {part.module}.{part.name} as known: {part.without}" in printed
    assert printed.endswith("0 True")


def test_no_other_module_touches_the_sdk() -> None:
    files = [path for folder in (ROOT, ROOT / "sglang_worker") for path in folder.glob("*.py")]
    users = {
        path.name
        for path in files
        if re.search(r"^\s*(from|import) runpod", path.read_text(), re.M)
    }
    assert users == {"sdk.py"}
    assert re.search(r"^runpod>=1\.12,<1\.\d+$", (ROOT / "requirements.txt").read_text(), re.M)


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
