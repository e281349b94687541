"""From environment variables to SGLang's command line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from sglang.srt.server_args import prepare_server_args

from sglang_worker.arguments import resolve
from sglang_worker.config import GRPC_FLAGS, ServerConfig, load_config
from sglang_worker.flags import EXTRA_NAMES, GENERAL_NAMES, PREFIX, Flag, FlagTable, env_name
from sglang_worker.settings import SETTINGS, Settings
from utils import ConfigError

TABLE = FlagTable.load(ROOT / "sglang_worker/sglang_flags.json")
NOTHING = {"LOCAL_MODEL_ARGS": "/nonexistent"}
MODEL = NOTHING | {"MODEL_NAME": "org/model"}


def config(**env: str) -> ServerConfig:
    """The configuration of a worker with a model and these variables."""
    return load_config(MODEL | env)


def parsed(result: ServerConfig) -> Any:
    """What SGLang's own parser makes of the arguments."""
    return prepare_server_args([*result.arguments.public(), *result.arguments.secret()])


def problems(**env: str) -> list[str]:
    """The lines that stop the start."""
    with pytest.raises(ConfigError) as caught:
        load_config(MODEL | env)
    for line in caught.value.problems:
        assert "\n" not in line
    return caught.value.problems


def warnings(**env: str) -> list[str]:
    """The lines that are only said."""
    return config(**env).arguments.warnings


# Every flag


SAMPLES: dict[str | None, tuple[str, Any]] = {
    "str": ("some text", "some text"),
    "nullable_str": ("some text", "some text"),
    "parse_cuda_graph_config_arg": ('{"decode": {}}', '{"decode": {}}'),
    "int": ("7", 7),
    "float": ("0.5", 0.5),
    "human_readable_int": ("32k", 32000),
    "loads": ('{"a": 1}', {"a": 1}),
    "json_list_type": ('["a", "-b"]', ["a", "-b"]),
}
#: What has rules of its own beyond its type.
SPECIAL = {"--config", "--host", "--port", "--model-path", *GRPC_FLAGS}


def sample(flag: Flag) -> tuple[str, Any]:
    """A value for a flag as a variable would give it, and as SGLang must understand it."""
    if flag.is_boolean:
        return "yes", True
    if flag.dest in ("log_level", "log_level_http"):
        return "WARN", "warning"
    if flag.default == "{}":
        return '{"a": 1}', '{"a": 1}'
    text, value = (flag.choices[0], flag.choices[0]) if flag.choices else SAMPLES[flag.type]
    if flag.choices and flag.type == "int":
        value = int(text)
    if flag.kind == "list":
        return (f"{text} {text}", [value, value]) if " " not in text else (f"'{text}'", [value])
    return text, value


#: Two flags of SGLang's that set the same, in each release other ones.
FLAGS_OF_ONE_SETTING = [
    ({env_name(one.name): "1"}, {env_name(other.name): "2"})
    for one, other in itertools.combinations(TABLE.flags.values(), 2)
    if one.dest == other.dest and one.type == other.type == "int"
]
FLAGS = [f for f in TABLE.flags.values() if f.name not in SPECIAL and not f.stops_the_launch]


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_can_be_set_by_its_variable(flag: Flag) -> None:
    text, value = sample(flag)
    result = config(**{env_name(flag.name): f"  {text} "})
    assert not result.arguments.warnings
    if flag.kind == "no_value":
        assert flag.name in result.arguments.public()
    else:
        assert getattr(parsed(result), flag.dest) == value


@pytest.mark.parametrize("flag", [f for f in FLAGS if f.aliases], ids=lambda flag: flag.name)
def test_every_alias_can_be_set_by_its_variable(flag: Flag) -> None:
    text, value = sample(flag)
    for alias in flag.aliases:
        expected = not value if alias.startswith("--no-") else value
        assert getattr(parsed(config(**{env_name(alias): text})), flag.dest) == expected


def test_flags_without_a_variable_are_not_passed() -> None:
    expected = ["--host=0.0.0.0", "--port=30000", "--model-path=org/model"]
    assert config().arguments.public() == expected


def test_the_table_has_every_flag() -> None:
    assert len(TABLE.flags) > 400


def test_no_setting_of_the_worker_is_named_like_a_flag() -> None:
    names = {setting.name for setting in SETTINGS}
    assert not names & (set(TABLE.env_names) | set(TABLE.retired_env))
    assert {setting.attribute for setting in SETTINGS} == set(Settings.__dataclass_fields__)


# Names


@pytest.mark.parametrize("name", ["MODEL_NAME", "MODEL_PATH", "MODEL", f"{PREFIX}MODEL_PATH"])
def test_every_name_of_the_model_works(name: str) -> None:
    assert parsed(load_config(NOTHING | {name: "org/other"})).model_path == "org/other"


def test_other_names_of_old() -> None:
    args = parsed(config(MODEL_REVISION="abc", TOKENIZER_NAME="org/tokenizer"))
    assert (args.revision, args.tokenizer_path) == ("abc", "org/tokenizer")
    assert set(EXTRA_NAMES) == {"MODEL_NAME", "MODEL_REVISION", "TOKENIZER_NAME"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"TP_SIZE": "2"}, {"TENSOR_PARALLEL_SIZE": "4"}),
        ({"MODEL_NAME": "a/b"}, {"MODEL_PATH": "c/d"}),
        ({"DIST_INIT_ADDR": "a:1"}, {"NCCL_INIT_ADDR": "b:1"}),
        *FLAGS_OF_ONE_SETTING,
        ({"LORA_STRICT_LOADING": "true"}, {"NO_LORA_STRICT_LOADING": "true"}),
    ],
)
def test_two_names_that_disagree(one: dict[str, str], other: dict[str, str]) -> None:
    [line] = problems(**(one | other))
    for name in (*one, *other):
        assert name in line
    assert "disagree: set only one of them" in line


def test_two_names_that_agree() -> None:
    assert parsed(config(TP_SIZE="2", TENSOR_PARALLEL_SIZE=" 2 ")).tp_size == 2


@pytest.mark.parametrize("name", sorted(GENERAL_NAMES))
def test_general_names_give_way_to_their_prefixed_form(name: str, tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text("log-level: error\n")
    flag = TABLE.spellings[TABLE.env_names[name]]
    text = str(file) if name == "CONFIG" else {"int": "8"}.get(flag.type or "", "text")
    text = flag.choices[1] if flag.choices else text
    other = flag.choices[0] if flag.choices else {"int": "9"}.get(flag.type or "", "other")
    if name == "LOG_LEVEL":
        text, other = "error", "debug"
    result = load_config(NOTHING | {"MODEL_NAME": "text", name: other} | {PREFIX + name: text})
    assert result.arguments.text(flag.name) == text


def test_an_unknown_prefixed_name() -> None:
    [line] = problems(SGLANG_ARG_HOSTT="x")
    assert "has no flag of that name; did you mean SGLANG_ARG_HOST?" in line


# Values


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "Yes", " on ", "oN"])
def test_true(text: str) -> None:
    assert parsed(config(TRUST_REMOTE_CODE=text)).trust_remote_code is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", " OFF ", "", "  "])
def test_false(text: str) -> None:
    assert parsed(config(TRUST_REMOTE_CODE=text)).trust_remote_code is False


def test_a_boolean_with_two_forms() -> None:
    assert "--no-dllm-fdfo" in config(DLLM_FDFO="false").arguments.public()
    assert "--dllm-fdfo" in config(DLLM_FDFO="true").arguments.public()
    assert "--no-dllm-fdfo" in config(NO_DLLM_FDFO="true").arguments.public()
    assert "--dllm-fdfo" in config(NO_DLLM_FDFO="false").arguments.public()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TRUST_REMOTE_CODE": "maybe"}, "TRUST_REMOTE_CODE='maybe': neither true nor false"),
        ({"QUANTIZATION": "squeezellm"}, "QUANTIZATION='squeezellm': not one of awq, fp8"),
        ({"QUANTIZATION": "AWQ"}, "did you mean awq?"),
        ({"TP_SIZE": "two"}, "TP_SIZE='two': not a whole number (for --tp-size)"),
        ({"TP_SIZE": "1.5"}, "not a whole number"),
        ({"MEM_FRACTION_STATIC": "most"}, "not a number"),
        ({"CONTEXT_LENGTH": "32K"}, "nor one like 32k, 1M or 1Ki"),
        ({"CONTEXT_LENGTH": "1.5Ki"}, "not a whole number"),
        ({"PREFERRED_SAMPLING_PARAMS": "{"}, "not JSON"),
        ({"FORWARD_HOOKS": "{}"}, "not a JSON list"),
        ({"NUMA_NODE": "0 x"}, "'x' is not a whole number"),
        ({"LORA_TARGET_MODULES": "q_proj,nothing"}, "'nothing' is not one of"),
        ({"LORA_PATHS": "'a"}, "No closing quotation"),
        ({"CUSTOM_WEIGHT_LOADER": "-x"}, "would be taken for a flag"),
        ({"PORT": "0"}, "give a port from 1 to 65535"),
        ({"PORT": "70000"}, "give a port from 1 to 65535"),
        ({"PORT": "http"}, "set it empty or set SGLANG_ARG_PORT, which wins"),
        ({"HOST": "x86_64-conda-linux-gnu"}, "neither an address nor a host name"),
        ({"HOST": "*"}, "neither an address nor a host name"),
        ({"HOST": "1.2.3.4.5"}, "neither an address nor a host name"),
        ({"MAX_CONCURRENCY": "many"}, "MAX_CONCURRENCY='many': not a number"),
        ({"MAX_CONCURRENCY": "0"}, "give a whole number from 1 to 10000 (jobs)"),
        ({"MAX_CONCURRENCY": "-5"}, "give a whole number from 1"),
        ({"MAX_CONCURRENCY": "99999999999"}, "give a whole number from 1"),
        ({"READY_TIMEOUT": "soon"}, "READY_TIMEOUT='soon': not a number"),
        ({"WORKER_LOG_LEVEL": "loud"}, "give one of debug, info, warning, error"),
        ({"CONFIG": "/etc/app.conf"}, "SGLang takes a .yaml or .yml file"),
        ({"CONFIG": "/nonexistent/a.yaml"}, "cannot be read"),
        ({"EXTRA_ARGS": "--log-level 'info"}, "EXTRA_ARGS cannot be split"),
        ({"EXTRA_ARGS": "--mem 0.5"}, "abbreviations are not taken: write the whole name"),
        ({"EXTRA_ARGS": "--no-such-flag 1"}, "has no flag --no-such-flag"),
        ({"EXTRA_ARGS": "--tp-sise 2"}, "did you mean --tp-size?"),
        ({"EXTRA_ARGS": "--trust-remote-code=false"}, "takes no value"),
        ({"EXTRA_ARGS": "--tp-size"}, "needs a value"),
        ({"EXTRA_ARGS": "--tp-size x"}, "'x' is not a whole number"),
        ({"EXTRA_ARGS": "stray"}, "stands where a flag should"),
        ({"EXTRA_ARGS": "--help"}, "has no flag --help"),
        ({"MODEL_NAME": " "}, "no model: set MODEL_NAME"),
    ],
)
def test_a_value_that_cannot_be(env: dict[str, str], words: str) -> None:
    [line] = problems(**env)
    assert words in line


@pytest.mark.parametrize("flag", GRPC_FLAGS)
def test_a_server_without_http_is_refused(flag: str, tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text(f"{flag.removeprefix('--')}: true\n")
    for name, env in (
        (env_name(flag), {env_name(flag): "true"}),
        ("EXTRA_ARGS", {"EXTRA_ARGS": flag}),
        ("CONFIG", {"CONFIG": str(file)}),
    ):
        [line] = problems(**env)
        assert line == f"{name}: {flag} makes SGLang serve gRPC, not HTTP"
    assert config(**{env_name(flag): "false"})


def test_every_mistake_is_named_at_once() -> None:
    lines = problems(PORT="x", TP_SIZE="y", MAX_CONCURRENCY="z", EXTRA_ARGS="--q", MODEL_NAME="")
    assert len(lines) == 5


def test_lists(tmp_path: Path) -> None:
    spaced = tmp_path / "with space"
    spaced.mkdir()
    args = parsed(
        config(
            NUMA_NODE="0, 1",
            LORA_TARGET_MODULES="q_proj,k_proj",
            LORA_PATHS=f"a=org/x 'b={spaced}'",
            ENCODER_URLS='["http://a", "http://b"]',
            GC_THRESHOLD="700 10 -1",
        )
    )
    assert args.numa_node == [0, 1]
    assert args.lora_target_modules == ["q_proj", "k_proj"]
    assert args.lora_paths == ["a=org/x", f"b={spaced}"]
    assert args.encoder_urls == ["http://a", "http://b"]
    assert args.gc_threshold == [700, 10, -1]
    adapter = json.dumps({"lora_name": "a", "lora_path": str(spaced)})
    assert parsed(config(LORA_PATHS=adapter)).lora_paths == [adapter]
    assert json.loads(parsed(config(LORA_PATHS=f"[{adapter}]")).lora_paths[0])["lora_name"] == "a"


def test_an_optional_value() -> None:
    assert "--model-checksum" in config(MODEL_CHECKSUM="true").arguments.public()
    assert "--model-checksum=abc" in config(MODEL_CHECKSUM="abc").arguments.public()
    assert not any("checksum" in a for a in config(MODEL_CHECKSUM="off").arguments.public())


def test_a_value_that_begins_with_a_dash() -> None:
    assert parsed(config(CHAT_TEMPLATE="-odd")).chat_template == "-odd"
    assert parsed(config(MAX_RUNNING_REQUESTS="-1")).max_running_requests == -1


# EXTRA_ARGS


def test_extra_args_are_split_like_a_shell_would_and_come_last() -> None:
    result = config(
        TP_SIZE="2", LOG_LEVEL="info", EXTRA_ARGS="--tp-size 4 --chat-template 'a b' --log-requests"
    )
    tokens = result.arguments.public()
    assert tokens[-3:] == ["--tp-size=4", "--chat-template=a b", "--log-requests"]
    assert (parsed(result).tp_size, parsed(result).chat_template) == (4, "a b")


def test_extra_args_take_every_kind() -> None:
    result = config(
        EXTRA_ARGS="--numa-node 0 1 --tensor-parallel-size=2 --no-dllm-fdfo --model-checksum "
        "--gc-threshold -1 5 --max-running-requests -1 --mem-fraction-static=.5"
    )
    args = parsed(result)
    assert (args.numa_node, args.tp_size, args.dllm_fdfo) == ([0, 1], 2, False)
    assert (args.gc_threshold, args.max_running_requests) == ([-1, 5], -1)
    assert "--model-checksum" in result.arguments.public()


def test_extra_args_decide_where_the_worker_asks() -> None:
    result = config(PORT="1000", EXTRA_ARGS="--port 2000 --host :: --api-key key-1 --model other")
    assert (result.port, result.reachable_host, result.api_key) == (2000, "::1", "key-1")
    assert parsed(result).model_path == "other"
    assert "key-1" not in " ".join(result.command)


def test_a_stray_word_is_not_repeated_in_the_error() -> None:
    assert "sk-secret" not in " ".join(problems(EXTRA_ARGS="--tp-size 2 sk-secret"))


# What SGLang no longer has


def test_what_took_its_place_is_used() -> None:
    args = parsed(
        config(
            DISABLE_FLASHINFER="true",
            DISABLE_FLASHINFER_SAMPLING="1",
            DISABLE_DISK_CACHE="yes",
            ATTENTION_REDUCE_IN_FP32="on",
            FILE_STORAGE_PTH="/files",
        )
    )
    assert (args.attention_backend, args.sampling_backend) == ("triton", "pytorch")
    assert args.disable_outlines_disk_cache is True
    assert args.triton_attention_reduce_in_fp32 is True
    assert args.file_storage_path == "/files"
    assert parsed(config(ENABLE_FLASHINFER_MLA="true")).attention_backend == "flashinfer"


@pytest.mark.parametrize("flag", TABLE.retired.values(), ids=lambda old: old.name)
def test_a_retired_variable_is_named_and_never_stops_the_server(flag: Any) -> None:
    for text in ("true", "5", "nonsense"):
        result = config(**{env_name(flag.name): text})
        parsed(result)
        [line] = result.arguments.warnings
        assert env_name(flag.name) in line
        assert f"no longer has {flag.name}" in line
        assert "\n" not in line


def test_a_warning_names_release_and_replacement() -> None:
    [line] = warnings(MAX_NUM_REQS="8")
    assert line == (
        f"MAX_NUM_REQS has no effect: SGLang {TABLE.version} no longer has --max-num-reqs "
        "(dropped in 0.3.2); the nearest is MAX_RUNNING_REQUESTS (--max-running-requests)"
    )
    for name in ("ADDITIONAL_PORTS", "ENABLE_MLA", "EFFICIENT_WEIGHT_LOAD"):
        [line] = warnings(**{name: "1"})
        assert "nothing takes its place" in line
    [line] = warnings(DISABLE_FLASHINFER="true")
    assert "set ATTENTION_BACKEND=triton" in line


def test_a_retired_variable_that_is_off_says_nothing() -> None:
    assert warnings(DISABLE_FLASHINFER="false", ENABLE_MLA="0", MAX_NUM_REQS="") == []


def test_the_present_name_wins_over_a_retired_one() -> None:
    for env in (
        {"ATTENTION_BACKEND": "fa3"},
        {"EXTRA_ARGS": "--attention-backend fa3"},
    ):
        result = config(DISABLE_FLASHINFER="true", **env)
        assert parsed(result).attention_backend == "fa3"
        assert "sets --attention-backend itself" in result.arguments.warnings[0]


def test_retired_flags_in_extra_args() -> None:
    result = config(EXTRA_ARGS="--max-num-reqs 5 --disable-flashinfer --tp-size 2")
    assert (parsed(result).attention_backend, parsed(result).tp_size) == ("triton", 2)
    assert len(result.arguments.warnings) == 2


def test_a_retired_name_never_means_a_longer_one() -> None:
    for name in ("--disable-flashinfer", "--enable-mla", "--max-num-reqs"):
        assert name not in config(EXTRA_ARGS=f"{name}=1").arguments.public()


LEGACY = set(
    """TOKENIZER_PATH HOST PORT TOKENIZER_MODE LOAD_FORMAT DTYPE CONTEXT_LENGTH QUANTIZATION
    SERVED_MODEL_NAME CHAT_TEMPLATE MEM_FRACTION_STATIC MAX_RUNNING_REQUESTS MAX_TOTAL_TOKENS
    CHUNKED_PREFILL_SIZE MAX_PREFILL_TOKENS SCHEDULE_POLICY SCHEDULE_CONSERVATIVENESS
    TENSOR_PARALLEL_SIZE STREAM_INTERVAL RANDOM_SEED LOG_LEVEL LOG_LEVEL_HTTP API_KEY
    DATA_PARALLEL_SIZE LOAD_BALANCE_METHOD SKIP_TOKENIZER_INIT TRUST_REMOTE_CODE LOG_REQUESTS
    SHOW_TIME_COST DISABLE_RADIX_CACHE DISABLE_CUDA_GRAPH ENABLE_TORCH_COMPILE ENABLE_P2P_CHECK
    FILE_STORAGE_PATH ATTENTION_BACKEND SAMPLING_BACKEND DISABLE_OUTLINES_DISK_CACHE
    TRITON_ATTENTION_REDUCE_IN_FP32 MODEL_NAME MODEL_PATH NNODES NODE_RANK NCCL_INIT_ADDR""".split()  # noqa: SIM905
)
GONE = set(
    """ADDITIONAL_PORTS MAX_NUM_REQS FILE_STORAGE_PTH DISABLE_FLASHINFER
    DISABLE_FLASHINFER_SAMPLING DISABLE_REGEX_JUMP_FORWARD DISABLE_DISK_CACHE ENABLE_MLA
    ATTENTION_REDUCE_IN_FP32 EFFICIENT_WEIGHT_LOAD ENABLE_FLASHINFER_MLA""".split()  # noqa: SIM905
)


def test_every_variable_of_the_older_workers_is_known() -> None:
    for name in LEGACY:
        assert name in TABLE.env_names, name
    for name in GONE:
        assert name in TABLE.retired_env, name


# HOST, PORT and the worker's own settings


@pytest.mark.parametrize(
    ("host", "bound", "asked"),
    [
        ("", "0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("::", "::", "::1"),
        ("[::]", "::", "::1"),
        ("0:0:0:0:0:0:0:0", "::", "::1"),
        ("::1", "::1", "::1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost", "localhost"),
        (" 10.0.0.5 ", "10.0.0.5", "10.0.0.5"),
        ("my-host.internal", "my-host.internal", "my-host.internal"),
    ],
)
def test_hosts(host: str, bound: str, asked: str) -> None:
    result = config(HOST=host)
    assert (parsed(result).host, result.reachable_host) == (bound, asked)


def test_ports() -> None:
    assert config(PORT="").port == 30000
    assert config(PORT=" 8080 ").port == 8080
    assert parsed(config(PORT="8080")).port == 8080


def test_defaults_of_the_worker() -> None:
    settings = config(MAX_CONCURRENCY="", READY_TIMEOUT=" ").settings
    assert settings.max_concurrency == 300
    assert settings.ready_timeout == 40 * 60
    assert settings.request_timeout == 3600
    assert settings.stream_window == 0.1
    assert config(MAX_CONCURRENCY=" 8 ").settings.max_concurrency == 8
    assert config(REQUEST_TIMEOUT="0").settings.request_timeout == 0


def test_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text(
        "# how it is served\nmodel-path: org/from-file\nport: 4444  # here\n"
        "api-key: 'from-the-file'\ntp-size: 2\n"
    )
    result = load_config(NOTHING | {"CONFIG": str(file), "TP_SIZE": "8"})
    assert result.arguments.public()[:2] != []
    args = parsed(result)
    assert (args.model_path, args.port, args.tp_size) == ("org/from-file", 4444, 8)
    assert (result.port, result.api_key, result.served_model) == (
        4444,
        "from-the-file",
        "org/from-file",
    )
    assert "from-the-file" in result.secrets
    assert parsed(load_config(NOTHING | {"CONFIG": str(file), "PORT": "5555"})).port == 5555


def test_a_certificate_means_https(tmp_path: Path) -> None:
    assert config(SSL_CERTFILE=str(tmp_path / "c.pem")).scheme == "https"
    assert config().scheme == "http"


# Secrets


def test_secrets_are_on_no_command_line() -> None:
    result = config(
        API_KEY="key-1", ADMIN_API_KEY="key-2", SSL_KEYFILE_PASSWORD="key-3", HF_TOKEN="key-4"
    )
    assert "key-" not in " ".join(result.command)
    assert set(result.secrets) == {"key-1", "key-2", "key-3", "key-4"}
    args = parsed(result)
    assert (args.api_key, args.admin_api_key, args.ssl_keyfile_password) == (
        "key-1",
        "key-2",
        "key-3",
    )
    hidden = {"API_KEY", "ADMIN_API_KEY", "SSL_KEYFILE_PASSWORD", "EXTRA_ARGS"}
    assert not hidden & set(result.environment)
    assert result.environment["HF_TOKEN"] == "key-4"


def test_secrets_are_in_no_error() -> None:
    lines = problems(API_KEY="first-key", SGLANG_ARG_TP_SIZE="x", EXTRA_ARGS="--api-key")
    assert "first-key" not in " ".join(lines)


# The model in the image


@pytest.fixture
def baked(tmp_path: Path) -> dict[str, str]:
    """The environment of an image with a model in it."""
    model, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    model.mkdir()
    tokenizer.mkdir()
    file = tmp_path / "local_model_args.json"
    file.write_text(
        json.dumps(
            {
                "MODEL_NAME": "org/baked",
                "MODEL_PATH": str(model),
                "MODEL_REVISION": "v1",
                "QUANTIZATION": "awq",
                "TOKENIZER_NAME": "org/tokenizer",
                "TOKENIZER_PATH": str(tokenizer),
                "TOKENIZER_REVISION": "v2",
            }
        )
    )
    return {"LOCAL_MODEL_ARGS": str(file)}


#: What the image's own build arguments leave in the environment.
LEFT = {
    "MODEL_NAME": "org/baked",
    "MODEL_REVISION": "v1",
    "QUANTIZATION": "awq",
    "TOKENIZER_NAME": "org/tokenizer",
    "TOKENIZER_REVISION": "v2",
}


@pytest.mark.parametrize("left", [{}, LEFT, {"MODEL_PATH": "org/baked"}])
def test_a_baked_model_is_used(baked: dict[str, str], tmp_path: Path, left: dict[str, str]) -> None:
    result = load_config(baked | left)
    args = parsed(result)
    assert args.model_path == str(tmp_path / "model")
    assert args.tokenizer_path == str(tmp_path / "tokenizer")
    assert (args.revision, args.quantization) == ("v1", "awq")
    assert result.served_model == args.served_model_name == "org/baked"
    assert result.environment["HF_HUB_OFFLINE"] == "1"
    assert result.arguments.warnings == []


def test_the_environment_wins_over_what_was_baked(baked: dict[str, str], tmp_path: Path) -> None:
    result = load_config(
        baked | LEFT | {"QUANTIZATION": "fp8", "SERVED_MODEL_NAME": "mine", "HF_HUB_OFFLINE": "0"}
    )
    args = parsed(result)
    assert (args.quantization, args.served_model_name) == ("fp8", "mine")
    assert args.model_path == str(tmp_path / "model")
    assert result.environment["HF_HUB_OFFLINE"] == "0"


@pytest.mark.parametrize(
    "env",
    [
        {"MODEL_NAME": "org/other"},
        LEFT | {"MODEL_PATH": "org/other"},
        {"EXTRA_ARGS": "--model-path org/other"},
        {"SGLANG_ARG_MODEL_PATH": "org/other"},
    ],
)
def test_another_model_than_the_baked_one(baked: dict[str, str], env: dict[str, str]) -> None:
    if "MODEL_PATH" in env:
        env = {name: text for name, text in env.items() if name != "MODEL_NAME"}
    result = load_config(baked | env)
    args = parsed(result)
    assert args.model_path == "org/other"
    assert "HF_HUB_OFFLINE" not in result.environment


def test_what_was_baked_is_not_for_another_model(baked: dict[str, str]) -> None:
    result = load_config(baked | LEFT | {"MODEL_NAME": "org/other"})
    args = parsed(result)
    assert (args.revision, args.quantization, args.tokenizer_path) == (None, None, None)
    assert result.arguments.warnings == []
    [note] = result.notes
    assert "MODEL_REVISION, QUANTIZATION, TOKENIZER_NAME, TOKENIZER_REVISION, which" in note
    own = {"MODEL_REVISION": "v3", "QUANTIZATION": "fp8", "TOKENIZER_NAME": "org/own"}
    args = parsed(load_config(baked | LEFT | {"MODEL_NAME": "org/other"} | own))
    assert (args.revision, args.quantization, args.tokenizer_path) == ("v3", "fp8", "org/own")


@pytest.mark.parametrize("name", ["REVISION", "MODEL_REVISION", f"{PREFIX}REVISION"])
def test_a_revision_wins_over_the_images_own(baked: dict[str, str], name: str) -> None:
    args = parsed(load_config(baked | LEFT | {name: "v9"}))
    assert (args.model_path, args.revision) == ("org/baked", "v9")


def test_the_images_own_name_gives_way_to_another(baked: dict[str, str]) -> None:
    result = load_config(baked | {"MODEL_NAME": "org/baked", "MODEL_PATH": "org/other"})
    assert parsed(result).model_path == "org/other"


def test_another_revision_than_the_baked_one(baked: dict[str, str]) -> None:
    result = load_config(baked | {"MODEL_NAME": "org/baked", "MODEL_REVISION": "v9"})
    assert (parsed(result).model_path, parsed(result).revision) == ("org/baked", "v9")


def test_a_baked_model_that_a_volume_hides(baked: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "model").rmdir()
    result = load_config(baked | LEFT)
    assert parsed(result).model_path == "org/baked"
    assert "a volume may be mounted over it" in result.notes[0]
    assert "HF_HUB_OFFLINE" not in result.environment
    alone = load_config(baked)
    assert (parsed(alone).model_path, parsed(alone).revision) == ("org/baked", "v1")


def test_offline_only_when_nothing_else_is_on_the_hub(baked: dict[str, str]) -> None:
    result = load_config(baked | {"SPECULATIVE_DRAFT_MODEL_PATH": "org/draft"})
    assert "HF_HUB_OFFLINE" not in result.environment


def test_a_configuration_file_may_name_another_model(baked: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text("model-path: org/from-file\n")
    result = load_config(baked | {"CONFIG": str(file)})
    assert (parsed(result).model_path, result.served_model) == ("org/from-file", "org/from-file")
    assert "HF_HUB_OFFLINE" not in result.environment


def test_what_was_baked_is_checked_like_everything_else(baked: dict[str, str]) -> None:
    file = Path(baked["LOCAL_MODEL_ARGS"])
    file.write_text(file.read_text().replace("awq", "squeezellm"))
    with pytest.raises(ConfigError, match="--quantization='squeezellm', from the image: not one"):
        load_config(baked)


def test_metadata_that_cannot_be_read(baked: dict[str, str]) -> None:
    Path(baked["LOCAL_MODEL_ARGS"]).write_text("{")
    with pytest.raises(ConfigError) as caught:
        load_config(baked | {"MODEL_NAME": "x"})
    assert "build the image again" in str(caught.value)


def test_a_revision_of_the_tokenizer_alone() -> None:
    [line] = warnings(TOKENIZER_REVISION="v2")
    assert "use MODEL_REVISION" in line


def test_base_path_decides_where_models_are_kept() -> None:
    assert config(BASE_PATH="/models").environment["HF_HOME"] == "/models/huggingface-cache"
    env = config(BASE_PATH="/models", HF_HOME="/cache").environment
    assert env["HF_HOME"] == "/cache"


def test_resolve_needs_no_worker() -> None:
    assert resolve(TABLE, {"TP_SIZE": "2"}).public() == ["--tp-size=2"]
