"""SGLang's flags, and how the environment sets them.

Every `launch_server` flag has an environment variable: its name without the dashes in front, in
capitals, with underscores (`--kv-cache-dtype` is KV_CACHE_DTYPE). So has every alias. Which flags
there are, their types and choices, and which ones SGLang has dropped is read from
`sglang_flags.json`; no list of them stands in code.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import is_secret_name, parse_bool

#: `SGLANG_ARG_PORT` sets --port and wins over `PORT`.
PREFIX = "SGLANG_ARG_"

#: Names so general that a base image, a shell or a platform may set them for a purpose of its own.
#: The plain name counts here too, and a value that SGLang cannot use stops the worker with a line
#: that says so. Set the variable empty to have it ignored, or its `SGLANG_ARG_` form, which wins.
#: docs/configuration.md says what each of them is here.
GENERAL_NAMES = frozenset(
    {
        "CONFIG",
        "DEVICE",
        "DTYPE",
        "HOST",
        "LOG_LEVEL",
        "MODEL",
        "NCCL_PORT",
        "NNODES",
        "NODE_RANK",
        "PORT",
        "REVISION",
    }
)

#: Names that the worker has always understood and that are not a flag's own name.
EXTRA_NAMES: dict[str, str] = {
    "MODEL_NAME": "--model-path",
    "MODEL_REVISION": "--revision",
    "TOKENIZER_NAME": "--tokenizer-path",
}

BOOLEAN_KINDS = frozenset({"store_true", "no_value", "boolean_optional"})

#: Flags whose numbers have limits that SGLang finds out about when the model is loaded, by the
#: field that they fill: the least and the greatest value, and what another one is.
LIMITS: dict[str, tuple[float, float, str]] = {
    "tp_size": (1, math.inf, "not a number of GPUs from 1 on, nor auto, which means all of them"),
    "dp_size": (1, math.inf, "not a number from 1 on"),
    "pp_size": (1, math.inf, "not a number from 1 on"),
    "ep_size": (1, math.inf, "not a number from 1 on"),
    "nnodes": (1, math.inf, "not a number from 1 on"),
    "node_rank": (0, math.inf, "not a number from 0 on"),
    "mem_fraction_static": (0.001, 0.999, "not a part of the GPU's memory: write 90 % as 0.9"),
}

#: The levels that SGLang's log and its HTTP server know, and what other programs call them.
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_LEVEL_NAMES = {"warn": "warning", "fatal": "critical", "err": "error"}

_HUMAN_INT = re.compile(r"\d+(?:\.\d+)?[kMGT]|\d+(?:Ki|Mi|Gi|Ti)")
NEGATIVE_NUMBER = re.compile(r"-\d+$|-\d*\.\d+$")

Value = bool | str | list[str] | None


def env_name(flag: str) -> str:
    """`--kv-cache-dtype` → `KV_CACHE_DTYPE`."""
    return flag.removeprefix("--").upper().replace("-", "_")


@dataclass(frozen=True)
class Flag:
    """One flag as SGLang's parser registers it."""

    name: str
    kind: str
    type: str | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    dest: str = ""
    effect: str = ""
    replacement: str = ""
    json: bool = False
    default: Any = None

    @property
    def is_boolean(self) -> bool:
        return self.kind in BOOLEAN_KINDS

    @property
    def stops_the_launch(self) -> bool:
        """Still registered, but only to refuse."""
        return "stops" in self.effect

    @property
    def secret(self) -> bool:
        return is_secret_name(self.name)


@dataclass(frozen=True)
class Retired:
    """A flag that SGLang once had: the first known release without it (`gone`), what SGLang named
    in its place (`instead`, a flag that takes over the value, or a flag and its value), or else the
    flag that comes nearest."""

    name: str
    kind: str
    gone: str | None = None
    instead: tuple[str, ...] = ()
    nearest: str | None = None


class FlagTable:
    """The flags of one SGLang release, by every spelling."""

    def __init__(self, version: str, flags: Iterable[Flag], retired: Iterable[Retired]) -> None:
        self.version = version
        self.flags = {flag.name: flag for flag in flags}
        self.spellings = {
            spelling: flag for flag in self.flags.values() for spelling in flag.aliases
        } | self.flags
        self.retired = {old.name: old for old in retired if old.name not in self.spellings}
        for flag in self.flags.values():
            if flag.stops_the_launch:
                nearest = flag.replacement.split("=")[0] or None
                self.retired[flag.name] = Retired(flag.name, "boolean", version, (), nearest)
        self.env_names = {env_name(spelling): spelling for spelling in self.spellings}
        self.env_names |= {
            name: flag for name, flag in EXTRA_NAMES.items() if flag in self.spellings
        }
        self.retired_env = {env_name(name): old for name, old in self.retired.items()}

    @classmethod
    def load(cls, path: str | Path) -> FlagTable:
        """Reads a table as `scripts/sglang_flags.py` writes it."""
        return cls.of(json.loads(Path(path).read_text("utf-8")))

    @classmethod
    def of(cls, data: dict[str, Any]) -> FlagTable:
        """The table that `extract` made."""
        flags = [
            Flag(
                name,
                kind=entry["kind"],
                type=entry.get("type"),
                choices=tuple(str(item) for item in entry.get("choices") or () if item is not None),
                aliases=tuple(entry.get("aliases") or ()),
                dest=entry.get("dest", ""),
                effect=entry.get("effect") or "",
                replacement=entry.get("replacement") or "",
                json=bool(entry.get("json")),
                default=entry.get("default"),
            )
            for name, entry in data["flags"].items()
        ]
        retired = [
            Retired(
                name,
                entry["kind"],
                entry.get("gone"),
                tuple(entry.get("instead") or ()),
                entry.get("nearest"),
            )
            for name, entry in data.get("retired", {}).items()
        ]
        return cls(data["version"], flags, retired)

    def names_of(self, flag: Flag) -> list[str]:
        """Every environment variable that sets `flag`."""
        return [
            name for name, spelling in self.env_names.items() if self.spellings[spelling] is flag
        ]


def normal(flag: Flag, text: str) -> str:
    """`text` as SGLang wants it where others write it otherwise: the levels of its log."""
    if flag.dest in ("log_level", "log_level_http"):
        word = text.lower()
        return LOG_LEVEL_NAMES.get(word, word)
    return text


def _fits(convert: Callable[[str], Any], text: str) -> bool:
    try:
        convert(text)
    except ValueError:
        return False
    return True


def _more_levels(flag: Flag) -> tuple[str, ...]:
    return ("trace",) if flag.dest == "log_level_http" else ()


def _json_problem(text: str) -> str | None:
    try:
        json.loads(text)
    except ValueError as error:
        return f"not JSON ({error})"
    return None


def value_problem(flag: Flag, text: str) -> str | None:
    """Why `text` is no value of `flag`, or None."""
    if flag.choices and text not in flag.choices:
        near = [choice for choice in flag.choices if choice.lower() == text.lower()]
        near = near or difflib.get_close_matches(text, flag.choices, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"not one of {', '.join(flag.choices)}{hint}"
    if flag.type == "int" and not _fits(int, text):
        return "not a whole number"
    if flag.type == "float" and not _fits(float, text):
        return "not a number"
    if flag.dest in LIMITS:
        least, greatest, advice = LIMITS[flag.dest]
        if not least <= float(text) <= greatest:
            return advice
    if flag.dest.startswith("log_level") and text not in (*LOG_LEVELS, *_more_levels(flag)):
        return f"not one of {', '.join(LOG_LEVELS)}"
    if flag.json and (text.startswith("{") or flag.default == "{}"):
        return _json_problem(text)
    if flag.type == "human_readable_int":
        if not _fits(int, text) and not _HUMAN_INT.fullmatch(text):
            return "not a whole number, nor one like 32k, 1M or 1Ki"
    elif flag.type == "loads":
        return _json_problem(text)
    elif flag.type == "json_list_type" and not (
        _fits(json.loads, text) and isinstance(json.loads(text), list)
    ):
        return "not a JSON list"
    return None


def split_list(flag: Flag, text: str) -> list[str]:
    """The items of a list: JSON when it is a list of it, one item when it is an object, else words
    as a shell would split them. Numbers and fixed choices may also have commas between them."""
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if isinstance(items, list):
            return [item if isinstance(item, str) else json.dumps(item) for item in items]
    if text.startswith("{"):
        try:
            objects = json.loads(f"[{text}]")
        except ValueError:
            objects = []
        return [json.dumps(item) for item in objects] if len(objects) > 1 else [text]
    if flag.type in ("int", "float") or flag.choices:
        text = text.replace(",", " ")
    items = shlex.split(text)
    if flag.dest == "lora_paths":
        items = [part for item in items for part in _adapters(item)]
    return items


def _adapters(item: str) -> list[str]:
    """Adapters with commas between them, unless a path has them."""
    parts = [part.strip() for part in item.split(",")]
    return parts if all(parts) and not os.path.exists(item.rpartition("=")[2]) else [item]


def parse_value(flag: Flag, text: str) -> Value:
    """The value that `text` gives `flag`; ValueError says what is wrong with it."""
    text = normal(flag, text)
    if flag.is_boolean:
        truth = parse_bool(text)
        if truth is None:
            raise ValueError("neither true nor false (give true, 1, yes, on, false, 0, no or off)")
        return truth
    if flag.kind == "list":
        items = split_list(flag, text)
        for item in items:
            if problem := value_problem(flag, item):
                raise ValueError(f"{item!r} is {problem}")
            if item.startswith("-") and not NEGATIVE_NUMBER.match(item):
                raise ValueError(f"{item!r} would be taken for a flag")
        return items
    if flag.kind == "optional_value":
        truth = parse_bool(text)
        if truth is not None:
            return None if truth else False
    if problem := value_problem(flag, text):
        raise ValueError(problem)
    return text
