"""The real SGLang, on the processor, with a tiny random model.

    SGLANG_PYTHON=/path/to/venv/bin/python pytest -m real

needs an environment with SGLang, a C compiler and a few minutes. Everything else is made here: the
model, a stand-in for the GPU's driver library, and the table of that release's flags.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Worker
from runpod_api import RunPod

PYTHON = os.environ.get("SGLANG_PYTHON", "")
READY_SECONDS = 600

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not PYTHON, reason="SGLANG_PYTHON names no environment with the real SGLang"
    ),
]

MAKE_MODEL = """
import sys, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *alphabet])}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
fast.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\\n{% endfor %}"
fast.save_pretrained(sys.argv[1])
torch.manual_seed(0)
config = LlamaConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, vocab_size=len(vocabulary), max_position_embeddings=1024,
    bos_token_id=0, eos_token_id=1,
)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[1])
"""

DRIVER = """
int cuInit(unsigned flags) { return 100; }
int cuPointerGetAttribute(void *data, int attribute, unsigned long long pointer) { return 100; }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, the driver's stand-in and the flags."""
    path = tmp_path_factory.mktemp("real")
    subprocess.run([PYTHON, "-c", MAKE_MODEL, str(path / "model")], check=True, timeout=300)
    source = path / "driver.c"
    source.write_text(DRIVER)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed"
    library = str(path / "libcuda.so.1")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, str(source)], check=True)
    return path


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    """What SGLang needs on a machine without a GPU."""
    return {
        "SGLANG_PYTHON": PYTHON,
        "SGLANG_USE_CPU_ENGINE": "1",
        "LD_LIBRARY_PATH": str(folder),
        "PYTHONPATH": "",
        "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def flags(folder: Path, environment: dict[str, str]) -> Path:
    """The table of the release that is installed, written by the script."""
    output = folder / "sglang_flags.json"
    shutil.copy(ROOT / "sglang_flags.json", output)
    script = str(ROOT / "scripts" / "sglang_flags.py")
    done = subprocess.run(
        [PYTHON, script, "--output", str(output), "--if-different"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return output


@pytest.fixture(scope="module")
def api(folder: Path, environment: dict[str, str], flags: Path) -> Iterator[RunPod]:
    """RunPod with a worker that serves the model with the real SGLang."""
    runpod = RunPod()
    more = {
        "SGLANG_FLAGS": str(flags),
        "MODEL_NAME": str(folder / "model"),
        "SERVED_MODEL_NAME": "tiny",
        "MAX_TOTAL_TOKENS": "2048",
        "API_KEY": "sk-a-key-for-the-real-one",
    }
    worker = Worker(folder, runpod.environment() | environment | more)
    try:
        worker.wait_for_log("SGLang is ready", READY_SECONDS)
        yield runpod
    finally:
        print(worker.log[-6000:], file=sys.stderr)
        worker.end()
        runpod.close()
        assert "sk-a-key-for-the-real-one" not in worker.log


def test_the_flags_are_plausible(flags: Path) -> None:
    table = json.loads(flags.read_text())
    assert len(table["flags"]) > 400
    assert table["flags"]["--model-path"]["required"]


def test_a_chat(api: RunPod) -> None:
    messages = [{"role": "user", "content": "hello"}]
    [answer] = api.run({"messages": messages, "max_tokens": 4}, 120).output
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["completion_tokens"] <= 4


def test_a_stream(api: RunPod) -> None:
    messages = [{"role": "user", "content": "hello"}]
    job = api.run({"messages": messages, "max_tokens": 8, "stream": True}, 120)
    assert job.text.endswith("data: [DONE]\n\n")
    first = json.loads(job.text.split("\n\n")[0].removeprefix("data: "))
    assert first["object"] == "chat.completion.chunk"


def test_native_generation(api: RunPod) -> None:
    params = {"max_new_tokens": 4, "ignore_eos": True}
    [answer] = api.run({"text": "hello", "sampling_params": params}, 120).output
    assert answer["meta_info"]["completion_tokens"] == 4


def test_the_models_list(api: RunPod) -> None:
    [answer] = api.run({"openai_route": "/v1/models"}, 60).output
    assert answer["data"][0]["id"] == "tiny"


def test_an_error(api: RunPod) -> None:
    error = api.run({"openai_route": "/v1/chat/completions", "openai_input": {"n": 1}}, 60).error
    assert error.startswith("SGLang answered 400 to POST /v1/chat/completions:")


def test_its_description_of_itself(api: RunPod) -> None:
    [info] = api.run({"openai_route": "/server_info"}, 60).output
    assert info["api_key"] == "********"
