"""Who reaches SGLang, and what a job may do to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CHAT, ROOT, Worker
from runpod_api import RunPod

from sglang_worker.config import load_config
from sglang_worker.jobs import InputError, Request, refuse_what_ends_the_server
from utils import MASK

Start = Callable[..., Worker]
MODEL = {"MODEL_NAME": "org/model", "LOCAL_MODEL_ARGS": "/nonexistent"}

ADMIN = "/flush_cache /shutdown /update_weights_from_disk".split()  # noqa: SIM905
LORA = "/load_lora_adapter /unload_lora_adapter".split()  # noqa: SIM905


def run(api: RunPod, route: str) -> Any:
    """What the server answers to a job, or what the job failed with."""
    result = api.run({"route": route, "body": {"rid": "x"}}).wait()
    return result.get("error") or result["output"][0]


# Where it listens


@pytest.mark.parametrize(
    ("everywhere", "env", "host"),
    [
        (False, {}, "127.0.0.1"),
        (False, {"API_KEY": "sk-1"}, "0.0.0.0"),
        (False, {"EXTRA_ARGS": "--api-key sk-1"}, "0.0.0.0"),
        (False, {"HOST": "0.0.0.0"}, "0.0.0.0"),
        (False, {"HOST": "10.0.0.5", "API_KEY": "sk-1"}, "10.0.0.5"),
        (False, {"HOST": ""}, "127.0.0.1"),
        (True, {}, "0.0.0.0"),
        (True, {"HOST": "127.0.0.1"}, "127.0.0.1"),
    ],
)
def test_where_sglang_listens(everywhere: bool, env: dict[str, str], host: str) -> None:
    result = load_config(MODEL | env, everywhere=everywhere)
    assert result.host == host
    assert f"--host={host}" in result.arguments.public()
    said = [note for note in result.notes if "HOST=0.0.0.0" in note]
    assert bool(said) == (not everywhere and not env.get("HOST") and host == "127.0.0.1")


def test_a_key_in_a_file_protects_the_port_too(tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text("api-key: sk-1\nadmin-api-key: sk-2\n")
    result = load_config(MODEL | {"CONFIG": str(file)}, everywhere=False)
    assert result.host == "0.0.0.0"
    assert result.admin_key == "sk-2"
    assert "--admin-api-key" not in result.arguments.settings, "the file's own counts"


@pytest.mark.parametrize(
    ("program", "more", "host"),
    [
        ("handler.py", {}, "127.0.0.1"),
        ("handler.py", {"RUNPOD_POD_ID": "pod"}, "0.0.0.0"),
        ("engine.py", {}, "0.0.0.0"),
    ],
)
def test_each_way_to_run_it_listens_where_it_should(
    start_worker: Start, own_runpod: RunPod, program: str, more: dict[str, str], host: str
) -> None:
    queue = own_runpod.environment() if program == "handler.py" and not more else {}
    worker = start_worker(queue | more | {"HOST": ""}, arguments=[str(ROOT / program)])
    worker.wait_for_log("SGLang is ready")
    assert worker.ask("/__args")["host"] == host
    assert ("HOST=0.0.0.0 opens its port" in worker.log) == (host == "127.0.0.1")


# Admin routes


@pytest.fixture(scope="module")
def ordinary(runpod_api: RunPod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker"), runpod_api.environment())
    yield worker
    worker.end()


@pytest.mark.parametrize("route", [*ADMIN, *LORA])
def test_admin_routes_are_closed(ordinary: Worker, runpod_api: RunPod, route: str) -> None:
    del ordinary
    answer = run(runpod_api, route)
    assert answer == f"SGLang answered 401 to POST {route}: Unauthorized"


def test_a_request_can_be_aborted_and_ordinary_routes_are_open(
    ordinary: Worker, runpod_api: RunPod
) -> None:
    assert run(runpod_api, "/abort_request") == {"success": True}
    assert runpod_api.run(CHAT).output
    key = ordinary.ask("/__args")["admin_api_key"]
    assert len(key) >= 32
    assert key not in ordinary.log
    [info] = runpod_api.run({"route": "/server_info"}).output
    assert info["admin_api_key"] == MASK
    with pytest.raises(OSError, match="401"):
        ordinary.ask("/shutdown", {})


def test_adapters_can_be_loaded_where_lora_is_on(start_worker: Start, own_runpod: RunPod) -> None:
    start_worker(own_runpod.environment() | {"ENABLE_LORA": "true", "API_KEY": "sk-000001"})
    for route in LORA:
        assert run(own_runpod, route) == {"success": True}
    assert "401" in run(own_runpod, "/shutdown")


def test_adapters_given_at_the_start_mean_lora_too(tmp_path: Path) -> None:
    assert not load_config(MODEL).lora
    assert load_config(MODEL | {"LORA_PATHS": "a=org/a"}).lora, "as SGLang itself takes it"
    file = tmp_path / "args.yaml"
    file.write_text("lora-paths:\n  - a=org/a\n")
    assert load_config(MODEL | {"CONFIG": str(file)}).lora


def test_the_way_back(start_worker: Start, own_runpod: RunPod) -> None:
    start_worker(own_runpod.environment() | {"ADMIN_ROUTES": "true"})
    for route in (*ADMIN, *LORA, "/abort_request"):
        assert run(own_runpod, route) == {"success": True}


def test_a_load_balancer_worker_closes_them_too(start_worker: Start) -> None:
    worker = start_worker({"ADMIN_API_KEY": "sk-admin-01"}, arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    with pytest.raises(OSError, match="401"):
        worker.ask("/flush_cache", {})
    assert worker.ask("/flush_cache", {}, key="sk-admin-01") == {"success": True}
    other = start_worker(arguments=[str(ROOT / "engine.py")])
    other.wait_for_log("SGLang is ready")
    with pytest.raises(OSError, match="401"):
        other.ask("/flush_cache", {})


def test_every_start_has_another_key() -> None:
    first, second = load_config(MODEL), load_config(MODEL)
    assert first.admin_key and first.admin_key != second.admin_key
    assert first.admin_key in first.secrets
    assert f"--admin-api-key={first.admin_key}" in first.arguments.secret()
    assert load_config(MODEL | {"ADMIN_ROUTES": "true"}).admin_key is None


def test_a_release_without_that_flag(tmp_path: Path) -> None:
    table = json.loads((ROOT / "sglang_worker/sglang_flags.json").read_text("utf-8"))
    del table["flags"]["--admin-api-key"]
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(table))
    result = load_config(MODEL | {"SGLANG_FLAGS": str(file)})
    assert result.admin_key is None
    assert any("has no --admin-api-key" in line for line in result.arguments.warnings)


# Jobs that would end the server


EMPTY = [
    ("/generate", {"text": ""}),
    ("/generate", {"text": ["a", ""]}),
    ("/generate", {"text": []}),
    ("/generate", {"input_ids": []}),
    ("/generate", {"input_ids": [[1], []]}),
    ("/encode", {"text": ""}),
    ("/v1/completions", {"prompt": ["a", ""]}),
    ("/v1/embeddings", {"input": [[1], []]}),
    ("/classify", {"text": ""}),
    ("/v1/score", {"query": "", "items": ["a", ""]}),
    ("/v1/score", {"query": [], "items": [[]]}),
    ("/v1/score", {"query": "", "items": ""}),
    ("/vertex_generate", {"instances": [{"text": "a"}, {"text": ""}]}),
]

#: Prompts as tokens, one of which a model of ten tokens does not have.
STRANGE = [
    ("/generate", {"input_ids": [1, -1]}),
    ("/generate", {"input_ids": [[1], [10]]}),
    ("/generate", {"input_ids": ["10"]}),
    ("/encode", {"input_ids": [10.0]}),
    ("/v1/completions", {"prompt": [10]}),
    ("/v1/completions", {"prompt": [[1], [10**12]]}),
    ("/v1/embeddings", {"input": [10]}),
    ("/v1/classify", {"input": [[10]]}),
    ("/v1/score", {"query": [1], "items": [[10]]}),
    ("/vertex_generate", {"instances": [{"input_ids": [10]}]}),
    (
        "/generate",
        {"text": "a", "sampling_params": {"min_new_tokens": 2, "stop_token_ids": [10]}},
    ),
    (
        "/generate",
        {"text": ["a"], "sampling_params": [{"min_new_tokens": 2, "stop_token_ids": [-5]}]},
    ),
    (
        "/vertex_generate",
        {
            "instances": [{"text": "a"}],
            "parameters": {"sampling_params": {"min_new_tokens": 2, "stop_token_ids": [10]}},
        },
    ),
    ("/v1/chat/completions", {"min_tokens": 2, "stop_token_ids": [1, 10]}),
]


@pytest.mark.parametrize(("route", "body"), STRANGE)
def test_a_token_that_is_none_is_refused(route: str, body: dict[str, Any]) -> None:
    request = Request("POST", route, body)
    with pytest.raises(InputError, match=f"no token of this model .* would end {route}"):
        refuse_what_ends_the_server(request, generates=True, vocabulary=10)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/generate", {"text": "a", "return_logprob": True, "top_logprobs_num": 11}),
        ("/generate", {"text": ["a", "b"], "top_logprobs_num": [1, 11]}),
        ("/v1/chat/completions", {"logprobs": True, "top_logprobs": "11"}),
        ("/v1/completions", {"prompt": "a", "logprobs": 10**9}),
    ],
)
def test_more_logprobs_than_there_are_tokens_are_refused(route: str, body: dict[str, Any]) -> None:
    request = Request("POST", route, body)
    with pytest.raises(InputError, match=f"more tokens than this model has .* would end {route}"):
        refuse_what_ends_the_server(request, generates=True, vocabulary=10)
    refuse_what_ends_the_server(request, generates=True, vocabulary=10**9)
    refuse_what_ends_the_server(request, generates=True)


@pytest.mark.parametrize("name", ["logprob_start_len", "top_logprobs_num"])
def test_a_list_beside_one_text_is_refused(name: str) -> None:
    rest = {"return_logprob": True, name: [1]}
    for prompt in ({"text": "a"}, {"input_ids": [1, 2]}):
        request = Request("POST", "/generate", prompt | rest)
        with pytest.raises(InputError, match=f"{name} is a list beside one prompt"):
            refuse_what_ends_the_server(request, generates=True)
    for prompt in (
        {"text": ["a"]},
        {"input_ids": [[1, 2]]},
        {"text": "a", "return_logprob": False},
    ):
        request = Request("POST", "/generate", rest | prompt)
        refuse_what_ends_the_server(request, generates=True)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/generate", {"text": "a", "sampling_params": {"top_k": 2**31}}),
        ("/v1/chat/completions", {"messages": [], "top_k": 10**400}),
        ("/api/chat", {"messages": [], "options": {"top_k": 2**31}}),
    ],
)
def test_a_number_that_has_no_room_is_refused(route: str, body: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"top_k is more than 2147483647, which would end {route}"):
        refuse_what_ends_the_server(Request("POST", route, body), generates=True)


def test_a_model_of_unknown_size_takes_no_token_below_zero() -> None:
    for ids in ([10**9], ["a"], [None]):
        body = {"input_ids": ids}
        refuse_what_ends_the_server(Request("POST", "/generate", body), generates=True)
    with pytest.raises(InputError, match="0 or more"):
        refuse_what_ends_the_server(
            Request("POST", "/generate", {"input_ids": ["-1"]}), generates=True
        )


@pytest.mark.parametrize(("route", "body"), EMPTY)
def test_an_empty_prompt_is_refused(route: str, body: dict[str, Any]) -> None:
    for spelling in (route, route.replace("e", "%65", 1), f"{route}?a=1"):
        with pytest.raises(InputError, match="the prompt is empty"):
            refuse_what_ends_the_server(Request("POST", spelling, body), generates=True)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/generate", {"text": "a"}),
        ("/generate", {"input_ids": [0]}),
        ("/v1/completions", {"prompt": ["-1", "99"]}),
        ("/v1/completions", {"prompt": [0, 9]}),
        ("/v1/embeddings", {"input": ["-1"]}),
        ("/generate", {"text": ["a", "b"], "sampling_params": {}}),
        ("/v1/completions", {"prompt": ""}),
        ("/v1/score", {"query": "a", "items": [""]}),
        ("/v1/embeddings", {"input": []}),
        ("/v1/chat/completions", {"top_k": 2**31 - 1}),
        ("/v1/chat/completions", {"stop_token_ids": [10]}),
        ("/v1/chat/completions", {"min_tokens": 0, "stop_token_ids": [10]}),
        ("/v1/chat/completions", {"min_tokens": 2, "stop_token_ids": [9]}),
        ("/v1/chat/completions", {"messages": [], "logprobs": True, "top_logprobs": 10}),
        ("/__echo", {"text": ""}),
        ("/generate", None),
        ("/generate", "text"),
    ],
)
def test_what_harms_nobody_is_sent(route: str, body: Any) -> None:
    refuse_what_ends_the_server(Request("POST", route, body), generates=True, vocabulary=10)


def test_an_empty_prompt_leaves_the_worker_alive(ordinary: Worker, runpod_api: RunPod) -> None:
    assert "the prompt is empty" in runpod_api.run({"text": ""}).error
    assert runpod_api.run({"text": "a"}).output
    assert ordinary.process.poll() is None


def test_a_model_says_how_many_tokens_it_has(
    start_worker: Start, own_runpod: RunPod, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"vocab_size": 10}')
    worker = start_worker(own_runpod.environment() | {"MODEL_NAME": str(model)})
    assert "no token of this model (from 0 to 9)" in own_runpod.run({"input_ids": [10]}).error
    assert own_runpod.run({"text": "a"}).output
    assert worker.process.poll() is None


GENERATING: list[dict[str, Any]] = [CHAT, {"prompt": "a"}, {"text": "a"}]


@pytest.mark.parametrize("given", [{"IS_EMBEDDING": "true"}, {"STANDIN_EMBEDS": "1"}])
def test_a_server_for_embeddings_survives_a_chat(
    start_worker: Start, own_runpod: RunPod, given: dict[str, str]
) -> None:
    worker = start_worker(own_runpod.environment() | given)
    for job in GENERATING:
        assert "this server makes embeddings" in own_runpod.run(job).error
    assert own_runpod.run({"input": ["a"]}).output
    assert worker.process.poll() is None


def test_the_way_back_for_such_jobs(start_worker: Start, own_runpod: RunPod) -> None:
    worker = start_worker(own_runpod.environment() | {"REFUSE_CRASHING_JOBS": "false"})
    error = own_runpod.run({"text": ""}).error
    assert error == (
        "SGLang's scheduler failed, after it was ready: IndexError: list index out of range"
    )
    assert worker.wait(10) == 1
