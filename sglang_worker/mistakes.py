"""Mistakes that SGLang finds only once the model is loaded, or never: told before it starts."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sglang_worker.arguments import Arguments
from sglang_worker.flags import PREFIX, VLLM_NAMES, FlagTable
from sglang_worker.settings import SETTINGS
from utils import without_quotes

#: Flags that name something on the model hub or a path.
HUB_FLAGS = re.compile(r"--(model|model-path|tokenizer-path|.*-model-path|lora-paths)$")

#: Beginnings of names that have nothing to do with the worker.
FOREIGN = re.compile(
    r"(AWS|CUDA|DOCKER|FLASHINFER|HF|HUGGING\w*|KUBERNETES|LC|LD|LESS\w*|MKL|NCCL|NV|NVIDIA|OMP|PIP"
    r"|PYTHON\w*|RAY|RUNPOD|SGLANG|SGL|SSH|SSL|TOKENIZERS|\w*TORCH|TRANSFORMERS|TRITON|UV|VLLM|XDG)_"
)
#: A shorter name is like too many others.
SHORTEST = 6
ALIKE = 0.9

_URL = re.compile(r"(?i)https?://(?P<host>[^/]+)/(?:models/)?(?P<name>[\w.-]+/[\w.-]+)?")


def unknown_names(table: FlagTable, env: Mapping[str, str]) -> list[str]:
    """A line for each variable that is nearly one of the worker's, or one of vLLM's."""
    settings = [setting.name for setting in SETTINGS]
    known = {*table.env_names, *table.retired_env, *settings, "HF_TOKEN", "TOKENIZER_REVISION"}
    bare = {name.replace("_", ""): name for name in sorted(known)}
    lines = []
    for name, value in env.items():
        if name in known or not value.strip() or name.startswith(PREFIX):
            continue
        if advice := VLLM_NAMES.get(name):
            lines.append(f"{name} has no effect: it is vLLM's name; {_here(advice)}")
        elif near := _near(name, bare):
            lines.append(f"{name} is no name that the worker knows; did you mean {near}?")
    return lines


def _here(advice: str) -> str:
    return f"{advice} here" if re.fullmatch(r"[A-Z_0-9]+", advice) else advice


def _near(name: str, bare: Mapping[str, str]) -> str | None:
    if len(name) < SHORTEST or FOREIGN.match(name):
        return None
    plain = name.upper().replace("_", "").replace("-", "")
    near = [plain] if plain in bare else difflib.get_close_matches(plain, bare, 1, ALIKE)
    return bare[near[0]] if near else None


def quoted_token(env: Mapping[str, str]) -> list[str]:
    """A line when the token's quotes would be sent to the hub."""
    token = env.get("HF_TOKEN", "").strip()
    if token == without_quotes(token):
        return []
    return ["HF_TOKEN: there are quotes around the value, which the hub takes for a part of it"]


def wrong_places(arguments: Arguments, in_file: Mapping[str, str]) -> list[str]:
    """A line for each model, tokenizer or adapter that cannot be where it is said to be."""
    lines = []
    for source, flag, value in _places(arguments, in_file):
        shown = f"{source}={value!r}"
        path = adapter_path(value) if flag == "--lora-paths" else value
        if match := _URL.match(path):
            name = match["name"]
            advice = f"give the model's name, {name}" if name else "give the model's name"
            lines.append(f"{shown}: a web address; {advice}")
        elif path.startswith("~"):
            lines.append(f"{shown}: ~ is not replaced here; write the whole path")
        elif path.startswith(("/", "./", "../")) and not os.path.exists(path):
            lines.append(f"{shown}: {_missing(path)} is not there{_volume(path)}")
    return lines


def adapter_path(item: str) -> str:
    """Where an adapter is: `name=path`, `path`, or an object with `lora_path`."""
    if item.startswith("{"):
        try:
            return str(json.loads(item).get("lora_path", ""))
        except ValueError:
            return ""
    return item.partition("=")[2] or item


def _places(arguments: Arguments, in_file: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, setting in arguments.settings.items():
        if HUB_FLAGS.match(name) and setting.value:
            values = setting.value if isinstance(setting.value, list) else [str(setting.value)]
            for value in values:
                yield setting.source, name, value
    for name, value in in_file.items():
        if HUB_FLAGS.match(name) and name not in arguments.settings and value[:1] not in "[{":
            yield f"CONFIG: {name}", name, value


def _missing(path: str) -> str:
    """The first folder on the way that is not there."""
    whole = Path(path)
    return str(next((p for p in [*reversed(whole.parents), whole] if not p.exists()), whole))


def _volume(path: str) -> str:
    for place in ("/runpod-volume", "/workspace"):
        if path.startswith(place) and not os.path.isdir(place):
            return ": is a network volume attached?"
        if path.startswith(place):
            return " on the network volume"
    return " in this container"


def wrong_template(arguments: Arguments, known: set[str]) -> list[str]:
    """A line when CHAT_TEMPLATE is neither a file nor one of the names that SGLang has (`known`,
    empty where they cannot be read)."""
    setting = arguments.settings.get("--chat-template")
    text = arguments.text("--chat-template")
    if setting is None or not text or text in known or os.path.exists(text):
        return []
    if "{%" in text or "{{" in text:
        return [
            f"{setting.source}: this is a template itself; SGLang takes the path of a file that "
            "holds it, or a name that it knows"
        ]
    shown = f"{setting.source}={text!r}"
    if "/" in text or text.endswith((".jinja", ".json")):
        return [f"{shown}: there is no such file"]
    if not known:
        return []
    near = difflib.get_close_matches(text, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return [
        f"{shown}: neither a file nor a template that SGLang has, which are "
        f"{', '.join(sorted(known))}{hint}"
    ]
