"""The worker with the real SGLang below it; the README beside this file says how to run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Worker, wait_for
from runpod_api import RunPod

from sglang_worker import extract, installed

PYTHON = os.environ.get("SGLANG_PYTHON", "")
LOAD_LIMIT = 600.0  #: seconds that SGLang may take on a slow machine
API_KEY = "sk-real-check-1234"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON, reason="SGLANG_PYTHON names no environment that has SGLang"),
]


def ask_sglang_python(*arguments: str) -> str:
    """What a script prints that is run by the Python that has SGLang."""
    done = subprocess.run(
        [PYTHON, *arguments], capture_output=True, text=True, check=False, timeout=LOAD_LIMIT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the flags of the SGLang that is installed."""
    table = tmp_path_factory.mktemp("flags") / "sglang_flags.json"
    ask_sglang_python(str(ROOT / "scripts/sglang_flags.py"), "--output", str(table))
    return table


@pytest.fixture(scope="module")
def prepared(flags: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a worker that serves the tiny model."""
    folder = tmp_path_factory.mktemp("prepared")
    lines = ask_sglang_python(str(Path(__file__).with_name("prepare.py")), str(folder))
    return dict(line.split("=", 1) for line in lines.splitlines()) | {
        "PYTHONPATH": "",
        "SGLANG_PYTHON": PYTHON,
        "SGLANG_FLAGS": str(flags),
        "SERVED_MODEL_NAME": "tiny",
        "API_KEY": API_KEY,
    }


@pytest.fixture(scope="module")
def worker(
    runpod_api: RunPod, prepared: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker that has loaded the tiny model."""
    folder = tmp_path_factory.mktemp("real")
    started = Worker(folder, prepared | runpod_api.environment())
    try:
        runpod_api.run({"text": "a", "sampling_params": {"max_new_tokens": 1}}, LOAD_LIMIT)
        yield started
    finally:
        started.end()
    print(started.log[-2000:], file=sys.stderr)


def chat(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 12} | more


def events(text: str) -> list[str]:
    return [block.removeprefix("data: ") for block in text.split("\n\n") if block]


def test_the_flag_table_holds_what_the_worker_needs(flags: Path) -> None:
    table = json.loads(flags.read_text("utf-8"))
    assert len(table["flags"]) > 400
    assert table["flags"]["--kv-cache-dtype"]["choices"]


def test_the_static_reading_is_what_the_parser_says(flags: Path) -> None:
    found = installed.find(PYTHON, dict(os.environ))
    assert found
    read = extract.read_flags(extract.parser_from_source(found.folder))
    table = json.loads(flags.read_text("utf-8"))
    assert found.version == table["version"]
    assert set(read) == set(table["flags"])
    for name, flag in table["flags"].items():
        for key in ("kind", "aliases", "dest"):
            assert read[name][key] == flag[key], name
        if read[name]["choices"] is not None:
            assert set(read[name]["choices"]) == set(flag["choices"]), name


def test_chat(worker: Worker, runpod_api: RunPod) -> None:
    (answer,) = runpod_api.run(chat()).output
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "tiny"
    assert isinstance(answer["choices"][0]["message"]["content"], str)


def test_stream(worker: Worker, runpod_api: RunPod) -> None:
    job = runpod_api.run(chat(stream=True, ignore_eos=True, max_tokens=60))
    assert job.output == job.items
    *chunks, end = events(job.text)
    assert end == "[DONE]"
    assert all(json.loads(chunk)["object"] == "chat.completion.chunk" for chunk in chunks)
    assert 1 < len(job.items) < len(chunks)


def test_native(worker: Worker, runpod_api: RunPod) -> None:
    body = {"text": "hello", "sampling_params": {"max_new_tokens": 8, "ignore_eos": True}}
    (answer,) = runpod_api.run(body).output
    assert answer["meta_info"]["completion_tokens"] == 8


def test_native_stream(worker: Worker, runpod_api: RunPod) -> None:
    sampling = {"max_new_tokens": 8, "ignore_eos": True}
    job = runpod_api.run({"text": "hello", "sampling_params": sampling, "stream": True})
    # An event has all the text so far, so that the result needs only the last one.
    last, end = events("".join(job.output))
    assert end == "[DONE]"
    assert events(job.text)[-2:] == [last, end]
    assert json.loads(last)["meta_info"]["completion_tokens"] == 8


def test_responses_stream_keeps_its_event_names(worker: Worker, runpod_api: RunPod) -> None:
    body = {"model": "tiny", "input": "hi", "max_output_tokens": 4, "stream": True}
    job = runpod_api.run({"openai_route": "/v1/responses", "openai_input": body})
    assert job.output == job.items
    assert job.text.startswith("event: response.created\ndata: ")


def test_a_refusal_fails_the_job(worker: Worker, runpod_api: RunPod) -> None:
    job = runpod_api.run({"openai_route": "/v1/chat/completions", "openai_input": {"model": "x"}})
    assert "400" in job.error
    assert "messages" in job.error


def test_a_native_stream_that_cannot_begin_fails_the_job(
    worker: Worker, runpod_api: RunPod
) -> None:
    job = runpod_api.run({"text": "hi", "sampling_params": {"top_p": 2}, "stream": True})
    assert job.error.startswith("SGLang answered 400 to POST /generate: ")
    assert job.items == []


def test_prompts_are_not_logged(worker: Worker, runpod_api: RunPod) -> None:
    private = [{"role": "user", "content": "a-private-question"}]
    assert runpod_api.run(chat(messages=private)).output
    assert runpod_api.run(chat(messages=private, temperature="hot")).error
    assert "a-private-question" not in worker.log


def test_the_key_is_asked_for_sent_and_never_shown(worker: Worker, runpod_api: RunPod) -> None:
    with pytest.raises(OSError, match="401"):
        worker.ask("/v1/models")
    (info,) = runpod_api.run({"route": "/server_info"}).output
    assert info["model_path"]
    assert API_KEY not in json.dumps(info)
    assert API_KEY not in worker.log
    assert "server_args=" in worker.log
    for pid in worker.processes():
        assert API_KEY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    "job",
    [
        {"text": ""},
        {"input_ids": [10**6]},
        {"route": "/v1/score", "body": {"query": "", "items": [""], "label_token_ids": [1]}},
        {"text": "a", "return_logprob": True, "top_logprobs_num": 10**6},
        {"text": "a", "return_logprob": True, "top_logprobs_num": [1]},
        {"text": "a", "sampling_params": {"min_new_tokens": 2, "stop_token_ids": [10**6]}},
        chat(top_k=2**31),
    ],
)
def test_what_sglang_does_not_survive_is_refused(
    worker: Worker, runpod_api: RunPod, job: dict[str, Any]
) -> None:
    assert "would end /" in runpod_api.run(job).error
    assert runpod_api.run(chat()).output


@pytest.mark.parametrize("route", ["/flush_cache", "/start_profile", "/update_weights_from_disk"])
def test_admin_routes_are_closed(worker: Worker, runpod_api: RunPod, route: str) -> None:
    assert "401" in runpod_api.run({"route": route, "body": {"model_path": "x"}}).error


def test_sigterm_lets_a_stream_end_and_then_ends_everything(
    worker: Worker, runpod_api: RunPod
) -> None:
    assert len(worker.processes()) > 1
    job = runpod_api.submit(chat(stream=True, ignore_eos=True, max_tokens=400))
    wait_for(lambda: job.items, what="the stream has begun")
    worker.process.terminate()
    assert worker.wait(60) == 0
    *_, last, end = events("".join(job.output))
    assert end == "[DONE]"
    assert json.loads(last)["choices"][0]["finish_reason"] == "length"
    assert worker.processes() == []


def scheduler_of(worker: Worker) -> int:
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in worker.processes()}
    (scheduler,) = (pid for pid, name in names.items() if name.startswith(b"sglang::scheduler"))
    return scheduler


def test_a_scheduler_that_is_killed(
    start_worker: Callable[..., Worker], own_runpod: RunPod, prepared: dict[str, str]
) -> None:
    worker = start_worker(prepared | own_runpod.environment())
    own_runpod.run({"text": "a", "sampling_params": {"max_new_tokens": 1}}, LOAD_LIMIT)
    job = own_runpod.submit(chat(stream=True, ignore_eos=True, max_tokens=1500))
    wait_for(lambda: job.items, what="the stream has begun")
    os.kill(scheduler_of(worker), signal.SIGKILL)
    assert job.wait(60)
    assert "killed by SIGKILL, after it was ready" in job.error
    assert worker.wait(30) == 1
    worker.nothing_is_left()


def test_a_death_while_loading_is_told_by_its_exception(
    start_worker: Callable[..., Worker],
    own_runpod: RunPod,
    prepared: dict[str, str],
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(prepared["MODEL_NAME"], model)
    (weights,) = model.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    job = own_runpod.submit(chat())
    worker = start_worker(prepared | {"MODEL_NAME": str(model)} | own_runpod.environment())
    assert worker.wait(LOAD_LIMIT) == 1
    assert "before it was ready: " in job.error
    assert "SafetensorError" in job.error
    worker.nothing_is_left()
