"""Puts a model into the image at build time.

Reads MODEL_NAME (or MODEL_PATH), MODEL_REVISION, TOKENIZER_NAME, TOKENIZER_REVISION, QUANTIZATION
and BASE_PATH, and the token from the build secret HF_TOKEN. Fetches one format of weights and every
file beside them that serving may need, and writes what it did to `/local_model_args.json`, where
`sglang_worker/config.py` finds it. Ends with a readable line and exit code 1 when nothing usable
came.
"""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sglang_worker.settings import SETTINGS

SECRET_FILE = "/run/secrets/HF_TOKEN"  # noqa: S105

#: The formats of weights in the order in which they are preferred.
WEIGHT_FORMATS = ((".safetensors",), (".bin",), (".pt", ".pth"))

#: What serving never needs: other formats of the weights, what a training left, and the showcase.
OTHER_WEIGHTS = (".ckpt", ".gguf", ".h5", ".mlmodel", ".msgpack", ".npz", ".onnx", ".ot", ".tflite")
SHOWCASE = (".avif", ".gif", ".ipynb", ".jpeg", ".jpg", ".md", ".mp3", ".mp4", ".pdf", ".png")
SHOWCASE += (".svg", ".wav", ".webm", ".webp", ".zip")
OTHER_FOLDERS = ("coreml", "onnx", "openvino", "original", "metal")
TRAINING_LEFTOVERS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")

TOKENIZER_FILES = ("tokenizer", "vocab", "merges", "spiece", "sentencepiece", "tekken", "tiktoken")


class DownloadError(Exception):
    """The model cannot be put into the image; the text says why."""


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_useless(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        path.name.startswith(".")
        or _suffix(name) in OTHER_WEIGHTS + SHOWCASE
        or bool({part.lower() for part in path.parts[:-1]} & set(OTHER_FOLDERS))
        or (
            path.stem.lower().startswith(TRAINING_LEFTOVERS)
            and _suffix(name) in (".bin", ".pt", ".pth")
        )
    )


def choose_files(names: Iterable[str], *, weights: bool) -> list[str]:
    """Which of a repository's files to fetch: everything that is not useless, and of the weights
    only the preferred format that is there. Without `weights`, none of those."""
    useful = [name for name in names if not _is_useless(name)]
    every_format = [suffix for group in WEIGHT_FORMATS for suffix in group]
    chosen = [name for name in useful if _suffix(name) not in every_format]
    if not weights:
        return chosen
    for group in WEIGHT_FORMATS:
        found = [name for name in useful if _suffix(name) in group]
        # Some repositories hold their weights twice, once for another engine.
        found = [n for n in found if not PurePosixPath(n).name.startswith("consolidated")] or found
        if found:
            return chosen + found
    return chosen


def check_names(names: Iterable[str], source: str, *, weights: bool) -> None:
    """Whether these files are a model, or without `weights` a tokenizer."""
    bases = [PurePosixPath(name).name.lower() for name in names]
    if not weights:
        if not any(base.startswith(TOKENIZER_FILES) for base in bases):
            raise DownloadError(f"{source} has no tokenizer files")
        return
    every_format = tuple(suffix for group in WEIGHT_FORMATS for suffix in group)
    if not any(base.endswith(every_format) for base in bases):
        raise DownloadError(
            f"{source} has no weights that can be used: neither .safetensors nor .bin nor .pt files"
        )
    if not {"config.json", "params.json", "model_index.json"} & set(bases):
        raise DownloadError(f"{source} has no config.json: it is no model that SGLang can load")


def check_shards(folder: Path, source: str) -> None:
    """Whether every file is there that an index of the fetched format names."""
    for index in folder.glob("*.index.json"):
        shards = set(json.loads(index.read_text("utf-8")).get("weight_map", {}).values())
        present = {shard for shard in shards if (folder / shard).is_file()}
        if present and present != shards:
            missing = ", ".join(sorted(shards - present)[:5])
            raise DownloadError(f"{source} is incomplete: {index.name} names {missing}")


def read_token(environment: Mapping[str, str], secret_file: str) -> str | None:
    """The token: the build secret if there is one, else HF_TOKEN."""
    file = Path(secret_file)
    token = file.read_text("utf-8").strip() if file.is_file() else ""
    return token or environment.get("HF_TOKEN", "").strip() or None


def fetch(source: str, revision: str | None, token: str | None, *, weights: bool) -> Path:
    """Brings a repository's useful files onto this disk and returns their folder."""
    if (folder := Path(source)).is_dir():
        check_names([str(path) for path in folder.rglob("*")], source, weights=weights)
        return folder
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f" at revision {revision}" if revision else ""
    try:
        api = huggingface_hub.HfApi(token=token)
        names = api.list_repo_files(source, revision=revision)
        chosen = choose_files(names, weights=weights)
        check_names(chosen, source, weights=weights)
        print(f"{source}{at}: fetching {len(chosen)} of {len(names)} files", flush=True)
        patterns = [glob.escape(name) for name in chosen]
        return Path(
            huggingface_hub.snapshot_download(
                source, revision=revision, token=token, allow_patterns=patterns
            )
        )
    except DownloadError:
        raise
    except GatedRepoError as error:
        raise DownloadError(
            f"{source} is gated: accept its terms and give the build secret HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{source} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        hint = "" if token else ", or it is private and the build secret HF_TOKEN is missing"
        raise DownloadError(f"{source} is not on the model hub{hint}") from error
    except HFValidationError as error:
        raise DownloadError(f"{source!r} is neither a model's name nor a directory") from error
    except Exception as error:  # the library passes on whatever its HTTP client raises
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DownloadError(f"{source}{at} could not be fetched: {reason}") from error


def bake(environment: Mapping[str, str], secret_file: str = SECRET_FILE) -> dict[str, Any]:
    """Fetches model and tokenizer; returns what the worker must know about them."""

    def given(name: str) -> str | None:
        return environment.get(name, "").strip() or None

    model = given("MODEL_NAME") or given("MODEL_PATH")
    if not model:
        raise DownloadError("MODEL_NAME is not set: there is nothing to fetch")
    token = read_token(environment, secret_file)
    revision = given("MODEL_REVISION")
    folder = fetch(model, revision, token, weights=True)
    check_shards(folder, model)
    baked = {
        "MODEL_NAME": model,
        "MODEL_PATH": str(folder),
        "MODEL_REVISION": revision,
        "QUANTIZATION": given("QUANTIZATION"),
        "TOKENIZER_NAME": given("TOKENIZER_NAME"),
        "TOKENIZER_REVISION": given("TOKENIZER_REVISION"),
    }
    tokenizer, tokenizer_revision = baked["TOKENIZER_NAME"] or model, baked["TOKENIZER_REVISION"]
    if tokenizer != model or tokenizer_revision not in (None, revision):
        path = fetch(tokenizer, tokenizer_revision, token, weights=False)
        baked["TOKENIZER_PATH"] = str(path)
    return {key: value for key, value in baked.items() if value}


def main() -> None:
    """Bakes the model in, or says in one line why it cannot."""
    defaults = {setting.name: setting.default for setting in SETTINGS}
    caches = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    if not any(os.environ.get(name) for name in caches):
        base = os.environ.get("BASE_PATH", "").strip() or defaults["BASE_PATH"]
        os.environ["HF_HOME"] = f"{base}/huggingface-cache"
    target = os.environ.get("LOCAL_MODEL_ARGS", "").strip() or defaults["LOCAL_MODEL_ARGS"]
    try:
        baked = bake(os.environ)
        Path(target).write_text(json.dumps(baked, indent=2) + "\n", "utf-8")
    except (DownloadError, OSError) as error:
        sys.exit(f"download_model: {error}")
    print(f"{baked['MODEL_NAME']} is in the image at {baked['MODEL_PATH']}")


if __name__ == "__main__":
    main()
