"""Putting a model into the image: the real hub library against a stand-in for the hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import ROOT

from download_model import DownloadError, check_files, choose_files, read_token
from sglang_worker.config import load_config

COMMIT = "c" * 40
SHARED = ["config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "photo.png"]
TEMPLATES = [
    "chat_template.jinja",
    "merges.txt",
    "vocab.txt",
    "modeling_custom.py",
    "tokenizer.model",
]
INDEX = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}

REPOSITORIES: dict[str, dict[str, bytes]] = {
    "org/safe": dict.fromkeys(SHARED + TEMPLATES, b"{}")
    | {
        "model-1-of-2.safetensors": b"one",
        "model-2-of-2.safetensors": b"two",
        "model.safetensors.index.json": json.dumps(INDEX).encode(),
        "pytorch_model.bin": b"other",
        "consolidated.safetensors": b"again",
        "onnx/model.onnx": b"other",
        "original/consolidated.00.pth": b"other",
    },
    "org/bin": dict.fromkeys(SHARED, b"{}")
    | {"pytorch_model.bin": b"w", "training_args.bin": b"t", "model.pt": b"p"},
    "org/pt": dict.fromkeys(SHARED, b"{}") | {"model.pt": b"p"},
    "org/none": dict.fromkeys(SHARED, b"{}") | {"model.gguf": b"g"},
    "org/no-config": {"model.safetensors": b"w"},
    "org/tokenizer": {"tokenizer.json": b"{}", "vocab.txt": b"v", "model.safetensors": b"w"},
    "org/broken": dict.fromkeys(SHARED, b"{}")
    | {
        "model-1-of-2.safetensors": b"one",
        "model.safetensors.index.json": json.dumps(INDEX).encode(),
    },
    # The root's format is not decided by what stands in a folder, nor by an adapter.
    "org/folders": dict.fromkeys(SHARED, b"{}")
    | {
        "pytorch_model.bin": b"w",
        "pytorch_model.bin.index.json": b'{"weight_map": {"old": "pytorch_model-1.bin"}}',
        "adapter_model.safetensors": b"a",
        "2_Dense/model.safetensors": b"d",
        "2_Dense/pytorch_model.bin": b"other",
    },
    "org/pipeline": {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        "unet/model.safetensors": b"u",
        "vae/model.bin": b"v",
    },
    "org/only-folder": dict.fromkeys(SHARED, b"{}") | {"fp16/model.safetensors": b"w"},
    "org/no-index": dict.fromkeys(SHARED, b"{}")
    | {"model-1-of-2.safetensors": b"one", "model.safetensors.index.json": b"[oops"},
    "org/list-index": dict.fromkeys(SHARED, b"{}")
    | {"model-1-of-2.safetensors": b"one", "model.safetensors.index.json": b"[]"},
    "org/empty": dict.fromkeys(SHARED, b"{}") | {"model.safetensors": b""},
    "org/pointer": dict.fromkeys(SHARED, b"{}")
    | {"model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"},
    "org/private": dict.fromkeys(SHARED, b"{}") | {"model.safetensors": b"w"},
}
TOKEN = "hf_a-token-for-tests"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download asks for."""

    fetched: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        api = parts[0] == "api"
        name = "/".join(parts[2:4] if api else parts[0:2])
        files = REPOSITORIES.get(name)
        authorised = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if name == "org/forbidden":
            return self.reply(403, b"{}", {})
        if name == "org/talkative":
            heard = self.headers.get("Authorization", "")
            return self.reply(403, b"{}", {"X-Error-Message": f"refused: {heard}"})
        if files is None:
            return self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if name == "org/private" and not authorised:
            return self.reply(401, b"{}", {"X-Error-Code": "GatedRepo"})
        revision = (parts[5] if len(parts) > 5 else "main") if api else parts[3]
        if revision not in ("main", COMMIT, "v1"):
            return self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if api:
            siblings = [{"rfilename": file} for file in files]
            tree = [
                {"type": "file", "path": f, "size": len(d), "oid": "0"} for f, d in files.items()
            ]
            body: Any = {"id": name, "sha": COMMIT, "siblings": siblings}
            if "tree" in parts:
                body = tree
            return self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        file = "/".join(parts[4:])
        if file not in files:
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.fetched.append(f"{name}/{file}")
        etag = hashlib.sha1(files[file]).hexdigest()
        return self.reply(200, files[file], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def reply(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """The address of a hub on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def bake(hub: str, tmp_path: Path) -> Any:
    """Runs download_model.py as the image's build does."""

    def run(**env: str) -> Any:
        Hub.fetched.clear()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_ENDPOINT": hub,
            "HF_HUB_DISABLE_XET": "1",
            "BASE_PATH": str(tmp_path / "volume"),
            "LOCAL_MODEL_ARGS": str(tmp_path / "args.json"),
        }
        return subprocess.run(
            [sys.executable, str(ROOT / "download_model.py")],
            env=environment | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def written(tmp_path: Path) -> dict[str, str]:
    """What the build left for the worker."""
    return dict(json.loads((tmp_path / "args.json").read_text()))


def files_in(folder: str) -> set[str]:
    """The names of the files of a model."""
    root = Path(folder)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_safetensors_and_everything_beside_them(bake: Any, tmp_path: Path) -> None:
    done = bake(MODEL_NAME="org/safe", MODEL_REVISION="v1", QUANTIZATION="awq", TOKENIZER_NAME="")
    assert done.returncode == 0, done.stderr
    args = written(tmp_path)
    assert args["MODEL_NAME"] == "org/safe"
    assert (args["MODEL_REVISION"], args["QUANTIZATION"]) == ("v1", "awq")
    assert args["MODEL_PATH"].startswith(str(tmp_path / "volume" / "huggingface-cache"))
    assert files_in(args["MODEL_PATH"]) == {
        *TEMPLATES,
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model-1-of-2.safetensors",
        "model-2-of-2.safetensors",
        "model.safetensors.index.json",
    }
    config = load_config({"LOCAL_MODEL_ARGS": str(tmp_path / "args.json")})
    assert config.arguments.text("--model-path") == args["MODEL_PATH"]
    assert config.arguments.text("--quantization") == "awq"
    assert config.arguments.text("--revision") == "v1"
    assert config.environment["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("model", "weights"), [("org/bin", "pytorch_model.bin"), ("org/pt", "model.pt")]
)
def test_other_formats(bake: Any, tmp_path: Path, model: str, weights: str) -> None:
    done = bake(MODEL_PATH=model)
    assert done.returncode == 0, done.stderr
    found = files_in(written(tmp_path)["MODEL_PATH"])
    assert found == {weights, "config.json", "tokenizer.json", "tokenizer_config.json"}


def test_each_folder_has_its_own_format(bake: Any, tmp_path: Path) -> None:
    done = bake(MODEL_NAME="org/folders")
    assert done.returncode == 0, done.stderr
    found = files_in(written(tmp_path)["MODEL_PATH"])
    assert {"pytorch_model.bin", "adapter_model.safetensors", "2_Dense/model.safetensors"} <= found
    assert "org/folders/2_Dense/pytorch_model.bin" not in Hub.fetched


def test_a_pipeline_keeps_its_weights_in_folders(bake: Any) -> None:
    done = bake(MODEL_NAME="org/pipeline")
    assert done.returncode == 0, done.stderr
    assert "org/pipeline/vae/model.bin" in Hub.fetched


def test_a_tokenizer_of_its_own(bake: Any, tmp_path: Path) -> None:
    done = bake(MODEL_NAME="org/pt", TOKENIZER_NAME="org/tokenizer", TOKENIZER_REVISION="v1")
    assert done.returncode == 0, done.stderr
    args = written(tmp_path)
    assert (args["TOKENIZER_NAME"], args["TOKENIZER_REVISION"]) == ("org/tokenizer", "v1")
    assert files_in(args["TOKENIZER_PATH"]) == {"tokenizer.json", "vocab.txt"}
    config = load_config({"LOCAL_MODEL_ARGS": str(tmp_path / "args.json")})
    assert config.arguments.text("--tokenizer-path") == args["TOKENIZER_PATH"]


def test_the_models_own_tokenizer_by_its_name(bake: Any, tmp_path: Path) -> None:
    left = {"MODEL_NAME": "org/pt", "TOKENIZER_NAME": "org/pt", "TOKENIZER_REVISION": "v1"}
    done = bake(**left, MODEL_REVISION="v1")
    assert done.returncode == 0, done.stderr
    assert "TOKENIZER_PATH" not in written(tmp_path)
    config = load_config({"LOCAL_MODEL_ARGS": str(tmp_path / "args.json")} | left)
    assert config.arguments.text("--tokenizer-path") is None, "nothing is fetched by its name"
    assert config.environment["HF_HUB_OFFLINE"] == "1"


def test_a_directory_is_taken_as_it_is(bake: Any, tmp_path: Path) -> None:
    model = tmp_path / "mine"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).write_text("{}")
    assert bake(MODEL_NAME=str(model)).returncode == 0
    assert written(tmp_path)["MODEL_PATH"] == str(model)
    assert Hub.fetched == []


def test_the_token_comes_from_the_environment_of_the_build(bake: Any, tmp_path: Path) -> None:
    done = bake(MODEL_NAME="org/private", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr + (tmp_path / "args.json").read_text()


def test_the_build_secret_comes_first(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-the-secret\n")
    assert read_token({"HF_TOKEN": "from-env"}, str(secret)) == "from-the-secret"
    assert read_token({"HF_TOKEN": " from-env "}, str(tmp_path / "none")) == "from-env"
    assert read_token({"HF_TOKEN": ""}, str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "MODEL_NAME is not set"),
        ({"MODEL_NAME": "org/none"}, "no weights that can be used"),
        ({"MODEL_NAME": "org/no-config"}, "has no config.json"),
        ({"MODEL_NAME": "org/broken"}, "is incomplete: model.safetensors.index.json names"),
        ({"MODEL_NAME": "org/only-folder"}, "only in folders: fp16/model.safetensors"),
        ({"MODEL_NAME": "org/no-index"}, "model.safetensors.index.json is no index of weights ("),
        ({"MODEL_NAME": "org/list-index"}, "is no index of weights (TypeError"),
        ({"MODEL_NAME": "org/empty"}, "is incomplete: model.safetensors is empty"),
        ({"MODEL_NAME": "org/pointer"}, "is only a pointer; fetch it with `git lfs pull`"),
        ({"MODEL_NAME": "org/pt", "HF_TOKEN": "two words"}, "HF_TOKEN is no token"),
        ({"MODEL_NAME": "org/unknown"}, "is not on the model hub, or it is private"),
        ({"MODEL_NAME": "org/private"}, "org/private is gated: accept its terms"),
        ({"MODEL_NAME": "org/safe", "MODEL_REVISION": "v9"}, "has no revision v9"),
        ({"MODEL_NAME": "no/such/name"}, "neither a model's name nor a directory"),
        ({"MODEL_NAME": "org/pt", "TOKENIZER_NAME": "org/no-config"}, "has no tokenizer files"),
        ({"MODEL_NAME": "org/forbidden"}, "org/forbidden could not be fetched: "),
    ],
)
def test_a_build_that_fails_says_why(
    bake: Any, tmp_path: Path, env: dict[str, str], words: str
) -> None:
    done = bake(**env)
    assert done.returncode == 1
    assert words in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "args.json").exists()


@pytest.mark.parametrize("token", [TOKEN, "hf_unheard-of\u00e9"])
def test_the_token_is_not_in_a_librarys_message(bake: Any, token: str) -> None:
    done = bake(MODEL_NAME="org/talkative", HF_TOKEN=token)
    assert done.returncode == 1
    assert token not in done.stderr + done.stdout
    if token == TOKEN:
        assert "org/talkative could not be fetched" in done.stderr
        assert "********" in done.stderr


def test_what_did_not_arrive_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DownloadError, match=r"is incomplete: sub/b.safetensors did not arrive"):
        check_files(tmp_path, ["config.json", "sub/b.safetensors"], "org/model")


def test_a_directory_is_checked_too(bake: Any, tmp_path: Path) -> None:
    model = tmp_path / "mine"
    (model / "sub").mkdir(parents=True)
    for name in ("config.json", "sub/model.safetensors"):
        (model / name).write_text("{}")
    done = bake(MODEL_NAME=str(model))
    assert done.returncode == 1
    assert "only in folders" in done.stderr


def test_choices_of_files() -> None:
    names = [
        "a.safetensors",
        "a.bin",
        "sub/b.safetensors",
        "x.py",
        "optimizer.pt",
        "openvino/c.bin",
    ]
    assert choose_files(names, weights=True) == ["x.py", "a.safetensors", "sub/b.safetensors"]
    assert choose_files(names, weights=False) == ["x.py"]
    assert choose_files(["consolidated.safetensors"], weights=True) == ["consolidated.safetensors"]
    names = ["pytorch_model.bin", "2_Dense/model.safetensors", "2_Dense/model.bin"]
    assert choose_files(names, weights=True) == names[:2]
    names = ["model.bin", "model.bin.index.json", "model.safetensors.index.json"]
    assert choose_files(names, weights=True) == names[:2], "an index goes with its weights"
