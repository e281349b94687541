"""The worker with the real SGLang below it; the README beside this file says how to run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Worker
from runpod_api import RunPod

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
def worker(
    runpod_api: RunPod, flags: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker that has loaded the tiny model."""
    folder = tmp_path_factory.mktemp("real")
    lines = ask_sglang_python(str(Path(__file__).with_name("prepare.py")), str(folder))
    prepared = dict(line.split("=", 1) for line in lines.splitlines())
    own = {
        "PYTHONPATH": "",
        "SGLANG_PYTHON": PYTHON,
        "SGLANG_FLAGS": str(flags),
        "SERVED_MODEL_NAME": "tiny",
        "API_KEY": API_KEY,
    }
    started = Worker(folder, prepared | own | runpod_api.environment())
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
    assert job.output == job.items
    *chunks, end = events(job.text)
    assert end == "[DONE]"
    assert json.loads(chunks[-1])["meta_info"]["completion_tokens"] == 8


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


def test_sigterm_ends_everything(worker: Worker) -> None:
    assert len(worker.processes()) > 1
    worker.process.terminate()
    assert worker.wait(10) == 0
    worker.nothing_is_left()
