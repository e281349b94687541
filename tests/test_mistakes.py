"""Mistakes in the configuration: each is told in one line before SGLang is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Worker
from sglang.srt.server_args import prepare_server_args

from sglang_worker import arguments, installed
from sglang_worker.arguments import visible_gpus
from sglang_worker.config import load_config
from sglang_worker.flags import VLLM_NAMES, FlagTable
from sglang_worker.mistakes import unknown_names
from utils import ConfigError

TABLE = FlagTable.load(ROOT / "sglang_worker/sglang_flags.json")
MODEL = {"LOCAL_MODEL_ARGS": "/nonexistent", "MODEL_NAME": "org/model"}


def problem(**env: str) -> str:
    """The one line that stops the start."""
    with pytest.raises(ConfigError) as caught:
        load_config(MODEL | env)
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def started(**env: str) -> tuple[Any, list[str]]:
    """What SGLang's parser makes of the arguments, and what the worker warns of."""
    found = load_config(MODEL | env).arguments
    return prepare_server_args([*found.public(), *found.secret()]), found.warnings


# JSON


@pytest.mark.parametrize(
    "name", ["JSON_MODEL_OVERRIDE_ARGS", "MODEL_LOADER_EXTRA_CONFIG", "PREFERRED_SAMPLING_PARAMS"]
)
@pytest.mark.parametrize("text", ["{'a': 1}", '{"a": 1', "a"])
def test_malformed_json(name: str, text: str) -> None:
    line = problem(**{name: text})
    assert line.startswith(f"{name}={text!r}: not JSON (")
    flag = TABLE.env_names[name]
    assert "not JSON (" in problem(
        EXTRA_ARGS=f'{flag} "{text.replace(chr(34), chr(92) + chr(34))}"'
    )


@pytest.mark.parametrize(
    "name", sorted(env for env, name in TABLE.env_names.items() if TABLE.spellings[name].json)
)
def test_malformed_json_where_json_is_one_of_several_forms(name: str) -> None:
    assert "not JSON (" in problem(**{name: '{"lora_path": '})
    started(**{name: "{}"})


def test_a_malformed_adapter() -> None:
    assert "not JSON (" in problem(LORA_PATHS='{"lora_name": "a" "lora_path": "b"}')


# Places


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "models" / "llama"
    for name in ("MODEL_NAME", "MODEL_PATH", "TOKENIZER_PATH", "SPECULATIVE_DRAFT_MODEL_PATH"):
        env = {"MODEL_NAME": ""} | {name: str(missing)}
        if name not in ("MODEL_NAME", "MODEL_PATH"):
            env |= {"MODEL_NAME": "org/model"}
        line = problem(**env)
        assert line == f"{name}={str(missing)!r}: {missing.parent} is not there in this container"
    missing.mkdir(parents=True)
    assert started(MODEL_NAME=str(missing))[0].model_path == str(missing)


def test_a_model_on_a_volume_that_is_not_attached() -> None:
    line = problem(MODEL_NAME="/runpod-volume/models/llama")
    assert "/runpod-volume is not there: is a network volume attached?" in line


@pytest.mark.parametrize("path", ["./model", "../model"])
def test_a_relative_model_that_is_not_there(path: str) -> None:
    assert "is not there" in problem(MODEL_NAME=path)


def test_a_home_directory() -> None:
    assert "write the whole path" in problem(MODEL_NAME="~/model")


def test_a_model_of_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text("model-path: /no/such/model\n")
    line = problem(MODEL_NAME="", CONFIG=str(file))
    assert line == "CONFIG: --model-path='/no/such/model': /no is not there in this container"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://huggingface.co/org/model-1.5", "give the model's name, org/model-1.5"),
        ("https://huggingface.co/org/model/tree/main", "give the model's name, org/model"),
        ("http://hf.co/org/model?x=1", "give the model's name, org/model"),
        ("https://www.modelscope.cn/models/org/model", "give the model's name, org/model"),
        ("HTTPS://huggingface.co/", "give the model's name"),
    ],
)
def test_a_web_address_as_the_model(url: str, advice: str) -> None:
    assert problem(MODEL_NAME=url) == f"MODEL_NAME={url!r}: a web address; {advice}"


def test_other_addresses_are_sglangs_own() -> None:
    assert started(MODEL_NAME="s3://bucket/model")[0].model_path == "s3://bucket/model"


@pytest.mark.parametrize(
    "adapters",
    ["a=/no/such", "/no/such", "b=org/b,a=/no/such", '{"lora_name": "a", "lora_path": "/no/such"}'],
)
def test_an_adapter_that_is_not_there(adapters: str) -> None:
    line = problem(LORA_PATHS=adapters)
    assert line.startswith("LORA_PATHS=") and ": /no is not there" in line
    assert ": /no is not there" in problem(EXTRA_ARGS=f"--lora-paths '{adapters}'")


def test_adapters_with_commas_between_them(tmp_path: Path) -> None:
    expected = ["a=org/a", "b=org/b"]
    for text in ("a=org/a,b=org/b", "a=org/a, b=org/b", "a=org/a b=org/b,", "a=org/a , b=org/b"):
        assert started(LORA_PATHS=text)[0].lora_paths == expected, text
    assert started(EXTRA_ARGS="--lora-paths a=org/a,b=org/b")[0].lora_paths == expected
    odd = tmp_path / "one,two"
    odd.mkdir()
    assert started(LORA_PATHS=f"a={odd}")[0].lora_paths == [f"a={odd}"]
    objects = '{"lora_name": "a", "lora_path": "o/a"}, {"lora_name": "b", "lora_path": "o/b"}'
    found = started(LORA_PATHS=objects)[0].lora_paths
    assert [json.loads(item)["lora_path"] for item in found] == ["o/a", "o/b"]


# The chat template


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SGLang that has two templates."""
    parser = tmp_path / "sglang/srt/parser"
    parser.mkdir(parents=True)
    (parser / "conversation.py").write_text(
        "register(\n    Conversation(\n        name=\"llama-2\",\n    )\n)\nC(name = 'qwen2-vl')\n"
    )
    found = installed.Installed("", tmp_path / "sglang")
    monkeypatch.setattr(installed, "find", lambda *_: found)


@pytest.mark.usefixtures("templates")
def test_an_unknown_template(tmp_path: Path) -> None:
    for text in ("llama-2", "qwen2-vl"):
        assert started(CHAT_TEMPLATE=text)[0].chat_template == text
    line = problem(CHAT_TEMPLATE="llama2")
    assert line == (
        "CHAT_TEMPLATE='llama2': neither a file nor a template that SGLang has, which are "
        "llama-2, qwen2-vl; did you mean llama-2?"
    )
    assert "EXTRA_ARGS='llama2': neither" in problem(EXTRA_ARGS="--chat-template llama2")
    file = tmp_path / "own.jinja"
    assert "there is no such file" in problem(CHAT_TEMPLATE=str(file))
    file.write_text("{{ messages }}")
    assert started(CHAT_TEMPLATE=str(file))[0].chat_template == str(file)


def test_without_sglangs_names_only_files_are_judged() -> None:
    assert started(CHAT_TEMPLATE="some-name")[0].chat_template == "some-name"
    for text in ("own.jinja", "folder/name", "a.json"):
        assert "there is no such file" in problem(CHAT_TEMPLATE=text)
    assert "a template itself" in problem(
        CHAT_TEMPLATE="{% for m in messages %}{{ m }}{% endfor %}"
    )


# Levels and numbers


@pytest.mark.parametrize(
    ("text", "level"),
    [("WARN", "warning"), ("INFO", "info"), ("Warning", "warning"), ("debug", "debug"),
     ("ERROR", "error"), ("FATAL", "critical")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["LOG_LEVEL", "LOG_LEVEL_HTTP", "SGLANG_ARG_LOG_LEVEL"])
def test_a_level_in_any_case(name: str, text: str, level: str) -> None:
    args, warnings = started(**{name: text})
    assert (args.log_level_http if name == "LOG_LEVEL_HTTP" else args.log_level) == level
    assert not warnings
    assert started(EXTRA_ARGS=f"--log-level {text}")[0].log_level == level


def test_no_level() -> None:
    assert "not one of debug, info, warning, error, critical" in problem(LOG_LEVEL="verbose")
    assert "not one of debug, info, warning, error, critical" in problem(LOG_LEVEL="trace")
    assert started(LOG_LEVEL_HTTP="trace")[0].log_level_http == "trace"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TENSOR_PARALLEL_SIZE": "0"}, "not a number of GPUs from 1 on, nor auto"),
        ({"TP_SIZE": "-1"}, "not a number of GPUs from 1 on"),
        ({"DATA_PARALLEL_SIZE": "0"}, "not a number from 1 on"),
        ({"NNODES": "0"}, "not a number from 1 on"),
        ({"NODE_RANK": "-1"}, "not a number from 0 on"),
        ({"MEM_FRACTION_STATIC": "90"}, "write 90 % as 0.9"),
        ({"MEM_FRACTION_STATIC": "1"}, "write 90 % as 0.9"),
        ({"MEM_FRACTION_STATIC": "0"}, "write 90 % as 0.9"),
        ({"MEM_FRACTION_STATIC": "nan"}, "write 90 % as 0.9"),
        ({"EXTRA_ARGS": "--mem-fraction-static 90"}, "write 90 % as 0.9"),
        ({"EXTRA_ARGS": "--tp 0"}, "not a number of GPUs from 1 on"),
    ],
)
def test_a_number_out_of_its_limits(env: dict[str, str], words: str) -> None:
    assert words in problem(**env)


# Quotes


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_value(quote: str) -> None:
    def q(text: str) -> str:
        return quote + text + quote

    args, warnings = started(
        MODEL_NAME=q("org/quoted"), TP_SIZE=q(" 2 "), TRUST_REMOTE_CODE=q("true"),
        LORA_PATHS=q("a=org/a"), MAX_CONCURRENCY=q("7"), EXTRA_ARGS=q("--dp 3 --log-requests"),
    )  # fmt: skip
    assert (args.model_path, args.tp_size, args.trust_remote_code) == ("org/quoted", 2, True)
    assert (args.lora_paths, args.dp_size, args.log_requests) == (["a=org/a"], 3, True)
    names = {"MODEL_NAME", "TP_SIZE", "TRUST_REMOTE_CODE", "MAX_CONCURRENCY", "EXTRA_ARGS"}
    assert sorted(warnings) == sorted(
        f"{n}: the quotes around the value are left out" for n in names
    )
    assert load_config(MODEL | {"MAX_CONCURRENCY": q("7")}).settings.max_concurrency == 7


def test_quotes_that_belong_to_the_value() -> None:
    args, warnings = started(
        JSON_MODEL_OVERRIDE_ARGS='{"a": "b"}', EXTRA_ARGS="'--log-level' 'info'"
    )
    assert (args.json_model_override_args, args.log_level) == ('{"a": "b"}', "info")
    assert warnings == []


def test_quotes_around_a_secret_are_told_and_kept() -> None:
    args, warnings = started(API_KEY='"sk-secret-1"', HF_TOKEN="'hf_secret'")
    assert args.api_key == '"sk-secret-1"'
    assert [line.partition(":")[0] for line in warnings] == ["API_KEY", "HF_TOKEN"]
    assert "secret" not in " ".join(warnings)


# Names


@pytest.mark.parametrize("name", sorted(VLLM_NAMES))
def test_vllms_names(name: str) -> None:
    (line,) = unknown_names(TABLE, {name: "1"})
    assert line.startswith(f"{name} has no effect: it is vLLM's name; ")
    advised = [word.strip(",;") for word in line.split("; ", 1)[1].split() if word.isupper()]
    assert advised, "each names what to set here"
    for other in set(advised) - {"GPU"}:
        assert other in TABLE.env_names, other


def test_vllms_names_are_told_before_the_start() -> None:
    _, warnings = started(MAX_MODEL_LEN="8192", GPU_MEMORY_UTILIZATION="0.9", MAX_NUM_SEQS="")
    assert warnings == [
        "MAX_MODEL_LEN has no effect: it is vLLM's name; CONTEXT_LENGTH here",
        "GPU_MEMORY_UTILIZATION has no effect: it is vLLM's name; MEM_FRACTION_STATIC here",
    ]
    line = problem(EXTRA_ARGS="--max-model-len 8192")
    assert line.endswith("has no flag --max-model-len, which is vLLM's; --context-length here")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CONTEXT_LENGHT", "CONTEXT_LENGTH"),
        ("TENSOR_PARALEL_SIZE", "TENSOR_PARALLEL_SIZE"),
        ("MAX_CONCURENCY", "MAX_CONCURRENCY"),
        ("MODELNAME", "MODEL_NAME"),
        ("model_name", "MODEL_NAME"),
        ("MEM-FRACTION-STATIC", "MEM_FRACTION_STATIC"),
        ("EXTRA_ARG", "EXTRA_ARGS"),
        ("TRUST_REMOTE_CODES", "TRUST_REMOTE_CODE"),
    ],
)
def test_near_misses(name: str, meant: str) -> None:
    assert unknown_names(TABLE, {name: "1"}) == [
        f"{name} is no name that the worker knows; did you mean {meant}?"
    ]
    assert unknown_names(TABLE, {name: " "}) == []


def test_names_of_the_platform_are_no_near_misses() -> None:
    usual = """PATH HOME HOSTNAME LANG LC_ALL PWD OLDPWD SHLVL TERM USER SHELL EDITOR TZ TMPDIR _
    LD_LIBRARY_PATH LIBRARY_PATH CUDA_VERSION CUDA_HOME NV_CUDA_LIB_VERSION NVIDIA_VISIBLE_DEVICES
    NVIDIA_REQUIRE_CUDA NVIDIA_DRIVER_CAPABILITIES NVARCH NCCL_VERSION NCCL_DEBUG NCCL_P2P_DISABLE
    RUNPOD_POD_ID RUNPOD_API_KEY RUNPOD_ENDPOINT_ID RUNPOD_WEBHOOK_GET_JOB RUNPOD_GPU_COUNT
    RUNPOD_MEM_GB RUNPOD_CPU_COUNT RUNPOD_DC_ID RUNPOD_LOG_LEVEL PUBLIC_KEY JUPYTER_PASSWORD
    HF_HOME HF_TOKEN HF_HUB_OFFLINE HUGGINGFACE_HUB_CACHE HF_DATASETS_CACHE PYTHONUNBUFFERED
    PYTHONPATH PYTHON_VERSION VIRTUAL_ENV TRITON_CACHE_DIR TORCH_CUDA_ARCH_LIST OMP_NUM_THREADS
    TOKENIZERS_PARALLELISM SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION SGLANG_USE_MODELSCOPE
    KUBERNETES_SERVICE_HOST KUBERNETES_PORT SERVICE_PORT DEBIAN_FRONTEND BUILD_TYPE GPG_KEY
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY MAIL LOGNAME LOG_FILE
    RAYON_NUM_THREADS MODEL_STORE API_URL API_TOKEN SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE
    DEBUG VERSION ENVIRONMENT SERVER_NAME WORKERS TIMEOUT BATCH_SIZE MAX_TOKENS TEMPERATURE
    ENDPOINT_ID BASE_IMAGE DATA_DIR CACHE_DIR SYSTEM_PROMPT S3_BUCKET BUCKET_ENDPOINT_URL
    BUCKET_ACCESS_KEY_ID BUCKET_SECRET_ACCESS_KEY PORT_HEALTH TORCHINDUCTOR_CACHE_DIR"""
    assert unknown_names(TABLE, dict.fromkeys(usual.split(), "1")) == []


# EXTRA_ARGS as SGLang's documents write them


@pytest.mark.parametrize(
    "text",
    [
        "--tp 2 --dp 4 --pp 3",
        "--tp=2 --dp=4 --pp=3",
        "--tp 2 \\\n  --dp 4 \\\r\n --pp 3 \\\n",
        "--tp 2 \\ --dp 4 \\  --pp 3 \\",
        "--tp 2\\\n--dp 4\\\n--pp 3",
        "python -m sglang.launch_server --tp 2 --dp 4 --pp 3",
        "python3 -m sglang.launch_server \\\n  --tp 2 \\\n  --dp 4 --pp 3",
        "sglang serve --tp 2 --dp 4 --pp 3",
        "docker run --gpus all --shm-size 32g -p 30000:30000 --ipc=host lmsysorg/sglang:latest \\\n"
        "    python3 -m sglang.launch_server --tp 2 --dp 4 --pp 3",
    ],
)
def test_as_the_documents_write_them(text: str) -> None:
    args, warnings = started(EXTRA_ARGS=text)
    assert (args.tp_size, args.dp_size, args.pp_size, args.model_path) == (2, 4, 3, "org/model")
    assert warnings == []


def test_a_whole_command_names_the_model_too() -> None:
    text = "python -m sglang.launch_server --model-path org/pasted --host 0.0.0.0 --port 30001"
    args, _ = started(EXTRA_ARGS=text, MODEL_NAME="")
    assert (args.model_path, args.port) == ("org/pasted", 30001)


def test_variables_before_a_command_are_told_without_their_values() -> None:
    line = problem(EXTRA_ARGS="HF_TOKEN=hf_secret python3 -m sglang.launch_server --tp 2")
    assert line == "EXTRA_ARGS: HF_TOKEN=… is a variable: set it as one of the worker's"


def test_a_backslash_within_quotes_stays() -> None:
    args, _ = started(EXTRA_ARGS="--file-storage-path 'a \\ b' --tokenizer-mode auto")
    assert args.file_storage_path == "a \\ b"


def test_short_names_agree_with_long_ones() -> None:
    assert started(TP_SIZE="4", EXTRA_ARGS="--tp 2")[0].tp_size == 2
    assert set(arguments.SHORT_NAMES) == {"--tp", "--dp", "--pp", "--ep"}
    for long in arguments.SHORT_NAMES.values():
        assert all(name in TABLE.spellings for name in long)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--trust-remote-code true", "is a switch and takes no value: leave out 'true'"),
        ("--trust-remote-code False --tp 2", "leave it out to have it off"),
        ("--log-requests=true", "--log-requests: takes no value"),
        ("\u2014tp-size 2", "begins with a long dash: write two hyphens, --tp-size"),
        ("\u2013\u2013tp 2 --dp 2", "begins with a long dash: write two hyphens, --tp"),
        ("\u2014trust-remote-code", "write two hyphens, --trust-remote-code"),
        ("-tp 2", "begins with one hyphen: write two, --tp"),
        ("-tp-size 2", "begins with one hyphen: write two, --tp-size"),
        ("-x 2", "'-x' stands where a flag should"),
        ("python handler.py --tp 2", "a word stands where a flag should"),
    ],
)
def test_what_is_no_flag_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(MODEL | {"EXTRA_ARGS": text})
    assert words in caught.value.problems[0]


# The number of GPUs


def test_all_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = ["nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "null"]
    for name in devices:
        (tmp_path / name).touch()
    seen = str(tmp_path)
    assert visible_gpus({}, seen) == 3
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,2"}, seen) == 2
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1a, GPU-2b,-1,3"}, seen) == 2
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, seen) == 0
    assert visible_gpus({"RUNPOD_GPU_COUNT": "8"}, seen) == 3
    empty = tmp_path / "empty"
    empty.mkdir()
    assert visible_gpus({"RUNPOD_GPU_COUNT": "8"}, str(empty)) == 8
    assert visible_gpus({}, str(empty)) == 0


@pytest.mark.parametrize("name", ["TENSOR_PARALLEL_SIZE", "TP_SIZE"])
def test_as_many_as_there_are(name: str) -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert started(**gpus, **{name: "auto"})[0].tp_size == 4
    assert started(**gpus, **{name: "AUTO"})[0].tp_size == 4
    for text in ("--tp auto", "--tp=auto", "--tp-size auto"):
        assert started(**gpus, EXTRA_ARGS=text)[0].tp_size == 4
    assert started(**gpus)[0].tp_size == 1, "unless it is asked for"
    line = problem(CUDA_VISIBLE_DEVICES="", **{name: "auto"})
    assert line.startswith(f"{name}='auto': the worker sees no GPU: give their number")


# A worker


def test_a_worker_says_all_of_it_and_never_starts_sglang(
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(
        {"MODEL_NAME": "/no/such/model", "TP_SIZE": "0", "MEM_FRACTION_STATIC": "90"},
        arguments=[str(ROOT / "engine.py")],
    )
    assert worker.wait(10) == 1
    lines = [line for line in worker.log.splitlines() if " ERROR " in line]
    assert len(lines) == 3
    assert "starting SGLang" not in worker.log
