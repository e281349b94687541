"""A model in RunPod's cache, against a stand-in for the hub."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Worker

from sglang_worker.cache import find, missing_files, vocabulary
from sglang_worker.config import load_config

NAME = "org/model"
HERE, THERE = "a" * 40, "b" * 40


class Hub:
    """Answers with a commit or with an error."""

    def __init__(self) -> None:
        self.status, self.commit = 200, HERE
        self.asked: list[tuple[str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append((self.path, self.headers.get("Authorization")))
                self.send_response(hub.status)
                self.end_headers()
                self.wfile.write(json.dumps({"sha": hub.commit}).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.env = {"HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub for one test."""
    hub = Hub()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one model as Hugging Face's library lays it out: files link to blobs."""
    folder = tmp_path / "hub" / "models--org--model"
    snapshot = folder / "snapshots" / HERE
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(HERE)
    snapshot.mkdir(parents=True)
    index = {"weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}
    files = {
        "config.json": "{}",
        "model-1.safetensors": "1",
        "model-2.safetensors": "2",
        "model.safetensors.index.json": json.dumps(index),
    }
    for name, text in files.items():
        (folder / "blobs" / name).write_text(text)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    return tmp_path / "hub"


def snapshot(cache: Path) -> Path:
    return cache / "models--org--model" / "snapshots" / HERE


def test_the_same_commit_is_served_from_the_cache(cache: Path, hub: Hub) -> None:
    found = find(str(cache), NAME, None, hub.env | {"HF_TOKEN": "hf_x"})
    assert found.path == str(snapshot(cache))
    assert found.note.endswith("is served: the hub has the same commit")
    assert hub.asked == [("/api/models/org/model/revision/main", "Bearer hf_x")]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_a_hub_that_refuses_does_no_harm(cache: Path, hub: Hub, status: int) -> None:
    hub.status = status
    found = find(str(cache), NAME, None, hub.env)
    assert found.path == str(snapshot(cache))
    assert f"the hub refuses with {status}" in found.note


@pytest.mark.parametrize(
    "env",
    [
        {"HF_ENDPOINT": "http://127.0.0.1:9"},
        {"HF_ENDPOINT": "http://no host"},
        {"HF_ENDPOINT": "huggingface"},
        {"HF_HUB_OFFLINE": "1"},
    ],
)
def test_a_hub_out_of_reach_does_no_harm(cache: Path, env: dict[str, str]) -> None:
    found = find(str(cache), NAME, None, env)
    assert found.path == str(snapshot(cache))


def test_a_hub_that_talks_nonsense_does_no_harm(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(b"this is no HTTP\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        env = {"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"}
        found = find(str(cache), NAME, None, env)
    assert found.path == str(snapshot(cache))
    assert "the hub could not be asked" in found.note


def test_an_old_copy_is_not_served(cache: Path, hub: Hub) -> None:
    hub.commit = THERE
    found = find(str(cache), NAME, None, hub.env)
    assert found.path == ""
    assert "is not used: the hub has commit bbbbbbbbbbbb" in found.note


def test_the_asked_revision_counts(cache: Path, hub: Hub) -> None:
    assert find(str(cache), NAME, "v1", hub.env).path == "", "it is not in the cache"
    assert hub.asked == []
    (cache / "models--org--model" / "refs" / "v1").write_text(HERE)
    assert find(str(cache), NAME, "v1", hub.env).path
    assert hub.asked == [("/api/models/org/model/revision/v1", None)]
    assert find(str(cache), NAME, HERE, {"HF_ENDPOINT": "http://127.0.0.1:9"}).path
    assert find(str(cache), NAME, THERE, hub.env).path == ""
    assert find(str(cache), NAME, "../../refs/main", hub.env).path == ""


def test_another_model_is_not_looked_for(cache: Path, hub: Hub, tmp_path: Path) -> None:
    for name in ("org/other", "/models/x", "a/b/c", "https://x/y", str(tmp_path), "../model", ""):
        found = find(str(cache), name, None, hub.env)
        assert (found.path, found.note) == ("", "")
    assert hub.asked == []


def broken(cache: Path, name: str) -> None:
    (cache / "models--org--model" / "blobs" / name).unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda c: broken(c, "model-2.safetensors"), "model-2.safetensors is not there"),
        (
            lambda c: (snapshot(c) / "model-2.safetensors").unlink(),
            "1 of 2 weight files are not there, such as model-2.safetensors",
        ),
        (lambda c: (snapshot(c) / "config.json").unlink(), "config.json is not there"),
        (
            lambda c: (snapshot(c) / "model.safetensors.index.json").write_text("[1]"),
            "model.safetensors.index.json cannot be read",
        ),
    ],
)
def test_a_copy_that_is_not_whole_is_not_served(
    cache: Path, hub: Hub, harm: Callable[[Path], Any], words: str
) -> None:
    harm(cache)
    found = find(str(cache), NAME, None, hub.env)
    assert found.path == ""
    assert f"is not used: {words}" in found.note
    assert hub.asked == []


def test_which_files_make_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert missing_files(tmp_path) == "it has no weights"
    (tmp_path / "pytorch_model.bin").write_text("x")
    assert missing_files(tmp_path) == ""
    index = {"weight_map": {"x": "pytorch_model-1.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert "pytorch_model-1.bin" in missing_files(tmp_path)
    (tmp_path / "model.safetensors").write_text("x")
    assert missing_files(tmp_path) == "", "the other format need not be there"


def base(cache: Path, hub: Hub) -> dict[str, str]:
    return {"MODEL_NAME": NAME, "MODEL_CACHE": str(cache), "LOCAL_MODEL_ARGS": "/no"} | hub.env


def test_sglang_is_given_the_copy_under_the_models_name(cache: Path, hub: Hub) -> None:
    config = load_config(base(cache, hub))
    command = " ".join(config.command)
    assert f"--model-path={snapshot(cache)}" in command
    assert f"--served-model-name={NAME}" in command
    assert config.served_model == NAME
    assert config.environment["HF_HUB_OFFLINE"] == "1"
    assert any("is served: the hub has the same commit" in note for note in config.notes)


def test_a_model_that_a_file_names_is_looked_for_too(cache: Path, hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "args.yaml"
    file.write_text(f"model-path: {NAME}\n")
    config = load_config(base(cache, hub) | {"MODEL_NAME": "", "CONFIG": str(file)})
    assert f"--model-path={snapshot(cache)}" in config.command
    assert config.served_model == NAME
    assert config.environment["HF_HUB_OFFLINE"] == "1"


def test_what_else_comes_from_the_hub_still_may(cache: Path, hub: Hub) -> None:
    config = load_config(base(cache, hub) | {"TOKENIZER_NAME": "org/tokenizer"})
    assert f"--model-path={snapshot(cache)}" in " ".join(config.command)
    assert "HF_HUB_OFFLINE" not in config.environment


def test_a_name_of_the_users_own_stays(cache: Path, hub: Hub) -> None:
    config = load_config(base(cache, hub) | {"SERVED_MODEL_NAME": "mine"})
    assert config.served_model == "mine"
    assert "--served-model-name=mine" in config.command


def test_an_old_copy_leaves_the_configuration_as_it_was(cache: Path, hub: Hub) -> None:
    hub.commit = THERE
    config = load_config(base(cache, hub))
    assert f"--model-path={NAME}" in config.command
    assert "HF_HUB_OFFLINE" not in config.environment
    assert any("is not used: the hub has commit" in note for note in config.notes)


def test_the_cache_can_be_left_alone(cache: Path, hub: Hub) -> None:
    config = load_config(base(cache, hub) | {"MODEL_CACHE": "none"})
    assert f"--model-path={NAME}" in config.command
    assert hub.asked == []


def test_the_log_says_which_copy_is_served(
    start_worker: Callable[..., Worker], cache: Path, hub: Hub
) -> None:
    worker = start_worker(base(cache, hub), arguments=[str(ROOT / "engine.py")])
    worker.wait_for_log("SGLang is ready")
    assert f"the copy of {NAME} in {cache} (commit {HERE[:12]}) is served" in worker.log
    assert worker.ask("/v1/models")["data"][0]["id"] == NAME


def test_a_models_configuration_tells_its_vocabulary(tmp_path: Path) -> None:
    env = {"HF_HOME": str(tmp_path)}
    assert vocabulary(NAME, env) is None
    snapshots = tmp_path / "hub" / "models--org--model" / "snapshots"
    for commit, text in ((HERE, '{"text_config": {"vocab_size": 20}}'), (THERE, "[broken")):
        (snapshots / commit).mkdir(parents=True)
        (snapshots / commit / "config.json").write_text(text)
    assert vocabulary(NAME, env) == 20
    assert vocabulary(NAME, {"HF_HUB_CACHE": str(tmp_path / "hub")}) == 20
    assert vocabulary(str(snapshots / HERE), {}) == 20
    assert vocabulary(str(snapshots / THERE), {}) is None
    assert vocabulary("../" + NAME, env) is None
