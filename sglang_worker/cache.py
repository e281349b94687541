"""A model that RunPod, or an earlier worker, has put on this disk: whether it is the one to serve.

RunPod's model cache and a network volume share one path. What is there is used without the hub
when it is whole and the hub either has the same commit or cannot be asked, so that an outage or a
missing token does no harm and an old copy is not served for ever.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from utils import parse_bool

HUB = "https://huggingface.co"
HUB_TIMEOUT = 10.0
MODEL_NAME = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
INDEX = ".index.json"
SAFE, OTHERS = "*.safetensors", ("*.bin", "*.pt", "*.pth", "*.gguf")


@dataclass(frozen=True)
class CachedModel:
    """A copy of a model: where it is when it is served, and a line for the log."""

    path: str = ""
    note: str = ""


def find(cache: str, name: str, revision: str | None, env: Mapping[str, str]) -> CachedModel:
    """The copy of a model below `cache` to serve."""
    if not MODEL_NAME.fullmatch(name) or os.path.exists(name):
        return CachedModel()
    folder = Path(cache) / f"models--{name.replace('/', '--')}"
    commit = _commit_of(folder, revision or "main")
    if not commit:
        return CachedModel()
    snapshot = folder / "snapshots" / commit
    copy = f"the copy of {name} in {cache} (commit {commit[:12]})"
    if missing := missing_files(snapshot):
        return CachedModel(note=f"{copy} is not used: {missing}")
    if revision and COMMIT.fullmatch(revision):
        return CachedModel(str(snapshot), f"{copy} is served: it is the revision asked for")
    current, why = _hub_commit(name, revision or "main", env)
    if current and current != commit:
        return CachedModel(note=f"{copy} is not used: the hub has commit {current[:12]}")
    return CachedModel(str(snapshot), f"{copy} is served: {why}")


def vocabulary(model: str, env: Mapping[str, str]) -> int | None:
    """How many tokens a model knows, by its configuration on this disk; None where that is not to
    be found. Of several revisions the largest number counts."""
    hub = Path.home() / ".cache" / "huggingface" / "hub"
    if home := env.get("HF_HOME"):
        hub = Path(home, "hub")
    if own := env.get("HF_HUB_CACHE"):
        hub = Path(own)
    folders = [Path(model)]
    if MODEL_NAME.fullmatch(model) and not os.path.isdir(model):
        folders = [*(hub / f"models--{model.replace('/', '--')}" / "snapshots").glob("*")]
    return max(filter(None, map(_vocabulary_in, folders)), default=None)


def _vocabulary_in(folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        # A model that sees has its language's configuration in a part of its own.
        parts = [config, *(part for part in config.values() if isinstance(part, dict))]
        return max(int(part.get("vocab_size") or 0) for part in parts)
    except (OSError, ValueError, TypeError, AttributeError):
        return 0


def _commit_of(folder: Path, revision: str) -> str:
    """The commit that a revision has in the cache; empty when it has none there."""
    if COMMIT.fullmatch(revision):
        return revision if (folder / "snapshots" / revision).is_dir() else ""
    refs = folder / "refs"
    reference = refs / revision
    if ".." in Path(revision).parts or not reference.is_relative_to(refs):
        return ""
    try:
        commit = reference.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    return commit if COMMIT.fullmatch(commit) and (folder / "snapshots" / commit).is_dir() else ""


def missing_files(snapshot: Path) -> str:
    """What a copy lacks, in words; empty when it is whole."""
    gone = [path for path in snapshot.rglob("*") if path.is_symlink() and not path.exists()]
    if gone:
        return f"{gone[0].relative_to(snapshot)} is not there"
    if not any((snapshot / name).is_file() for name in ("config.json", "params.json")):
        return "config.json is not there"
    for pattern in (SAFE, *OTHERS):
        indexes = sorted(snapshot.glob(pattern + INDEX))
        if indexes:
            return _missing_of(indexes[0])
        if any(snapshot.glob(pattern)):
            return ""
    return "it has no weights"


def _missing_of(index: Path) -> str:
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        missing = sorted(name for name in names if not (index.parent / name).is_file())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{index.name} cannot be read"
    if not missing:
        return ""
    return f"{len(missing)} of {len(names)} weight files are not there, such as {missing[0]}"


def _hub_commit(name: str, revision: str, env: Mapping[str, str]) -> tuple[str, str]:
    """The commit that a revision has on the hub, or nothing; and why the copy may be served."""
    if parse_bool(env.get("HF_HUB_OFFLINE", "")):
        return "", "HF_HUB_OFFLINE is set"
    endpoint = env.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB
    url = f"{endpoint}/api/models/{quote(name)}/revision/{quote(revision, safe='')}"
    token = env.get("HF_TOKEN", "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT) as response:  # noqa: S310
            commit = str(json.load(response)["sha"])
    except urllib.error.HTTPError as error:
        return "", f"the hub refuses with {error.code}"
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        return "", f"the hub could not be asked ({error})"
    return commit, "the hub has the same commit"
