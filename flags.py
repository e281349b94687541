"""SGLang's flags, and how the environment sets them.

Every `launch_server` flag has an environment variable: its name without the dashes in front, in
capitals, with underscores (`--kv-cache-dtype` is KV_CACHE_DTYPE). So has every alias. Which flags
there are, their types and choices, and which ones SGLang has dropped is read from
`sglang_flags.json`; no list of them stands in code.

What wins, from the strongest to the weakest:

1. `EXTRA_ARGS`
2. `SGLANG_ARG_<NAME>`, for a flag whose plain name something else sets (see `GENERAL_NAMES`)
3. the plain name; two names of one flag must agree
4. the file that CONFIG names
5. what was baked into the image, then the worker's defaults for HOST and PORT, then SGLang's own
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils import is_secret_name, parse_bool

#: `SGLANG_ARG_PORT` sets --port and wins over `PORT`.
PREFIX = "SGLANG_ARG_"

#: Names so general that a base image, a shell or a platform may set them for a purpose of its own.
#: The plain name counts here too, and a value that SGLang cannot use stops the worker with a line
#: that says so. Set the variable empty to have it ignored, or its `SGLANG_ARG_` form, which wins.
GENERAL_NAMES: dict[str, str] = {
    "CONFIG": "A YAML file of SGLang arguments; flags set by a variable or EXTRA_ARGS win over it.",
    "DEVICE": "The device that SGLang runs on, not an index of a GPU.",
    "DTYPE": "The type of the weights and activations.",
    "HOST": "What SGLang binds to, 0.0.0.0 by default. Some shells set it to the machine's type.",
    "LOG_LEVEL": "SGLang's log level; the worker's own is WORKER_LOG_LEVEL.",
    "MODEL": "The same as MODEL_NAME and MODEL_PATH.",
    "NCCL_PORT": "The port for NCCL's set-up.",
    "NNODES": "How many nodes serve one model.",
    "NODE_RANK": "Which of the nodes this is.",
    "PORT": "Where SGLang listens, 30000 by default; on load-balancer endpoints the public port.",
    "REVISION": "The same as MODEL_REVISION.",
}

#: Names that the worker has always understood and that are not a flag's own name.
EXTRA_NAMES: dict[str, str] = {
    "MODEL_NAME": "--model-path",
    "MODEL_REVISION": "--revision",
    "TOKENIZER_NAME": "--tokenizer-path",
}

BOOLEAN_KINDS = frozenset({"store_true", "no_value", "boolean_optional"})

_HUMAN_INT = re.compile(r"\d+(?:\.\d+)?[kMGT]|\d+(?:Ki|Mi|Gi|Ti)")
_NEGATIVE_NUMBER = re.compile(r"-\d+$|-\d*\.\d+$")

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
    deprecation: str = ""
    replacement: str = ""

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
    """A flag that SGLang once had: the newest known release that took it (`last`), the first known
    one without it (`gone`), what SGLang named in its place (`instead`, a flag that takes over the
    value, or a flag and its value), or else the flag that comes nearest."""

    name: str
    kind: str
    last: str | None = None
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
                self.retired[flag.name] = Retired(flag.name, "boolean", None, version, (), nearest)
        self.env_names = {env_name(spelling): spelling for spelling in self.spellings}
        self.env_names |= {
            name: flag for name, flag in EXTRA_NAMES.items() if flag in self.spellings
        }
        self.retired_env = {env_name(name): old for name, old in self.retired.items()}

    @classmethod
    def load(cls, path: str | Path) -> FlagTable:
        """Reads a table as `scripts/sglang_flags.py` writes it."""
        data = json.loads(Path(path).read_text("utf-8"))
        flags = [
            Flag(
                name,
                kind=entry["kind"],
                type=entry.get("type"),
                choices=tuple(str(item) for item in entry.get("choices") or () if item is not None),
                aliases=tuple(entry.get("aliases") or ()),
                dest=entry.get("dest", ""),
                effect=entry.get("effect") or "",
                deprecation=entry.get("deprecation") or "",
                replacement=entry.get("replacement") or "",
            )
            for name, entry in data["flags"].items()
        ]
        retired = [
            Retired(
                name,
                entry["kind"],
                entry.get("last"),
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


@dataclass(frozen=True)
class Setting:
    """A flag with the value that it gets and where that came from."""

    flag: Flag
    value: Value
    source: str

    def tokens(self) -> list[str]:
        """The arguments to pass: whole names only, since SGLang's parser takes abbreviations."""
        name, value = self.flag.name, self.value
        if self.flag.kind == "boolean_optional":
            return [name if value else "--no-" + name.removeprefix("--")]
        if isinstance(value, bool):
            return [name] if value else []
        if value is None:
            return [name]
        if isinstance(value, list):
            return [name, *value]
        if name == "--config":  # SGLang looks for this one as a word of its own
            return [name, value]
        return [f"{name}={value}"]


def _fits(convert: Callable[[str], Any], text: str) -> bool:
    try:
        convert(text)
    except ValueError:
        return False
    return True


def _value_problem(flag: Flag, text: str) -> str | None:
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
    if flag.type == "human_readable_int":
        if not _fits(int, text) and not _HUMAN_INT.fullmatch(text):
            return "not a whole number, nor one like 32k, 1M or 1Ki"
    elif flag.type == "loads" and not _fits(json.loads, text):
        return "not JSON"
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
        return [text]
    if flag.type in ("int", "float") or flag.choices:
        text = text.replace(",", " ")
    return shlex.split(text)


def parse_value(flag: Flag, text: str) -> Value:
    """The value that `text` gives `flag`; ValueError says what is wrong with it."""
    if flag.is_boolean:
        truth = parse_bool(text)
        if truth is None:
            raise ValueError("neither true nor false (give true, 1, yes, on, false, 0, no or off)")
        return truth
    if flag.kind == "list":
        items = split_list(flag, text)
        for item in items:
            if problem := _value_problem(flag, item):
                raise ValueError(f"{item!r} is {problem}")
            if item.startswith("-") and not _NEGATIVE_NUMBER.match(item):
                raise ValueError(f"{item!r} would be taken for a flag")
        return items
    if flag.kind == "optional_value":
        truth = parse_bool(text)
        if truth is not None:
            return None if truth else False
    if problem := _value_problem(flag, text):
        raise ValueError(problem)
    return text


@dataclass
class Arguments:
    """What SGLang is started with, and all there is to say about it."""

    settings: dict[str, Setting] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def put(self, setting: Setting) -> None:
        """Sets a flag; what was there before gives way, and the new one comes last."""
        self.settings.pop(setting.flag.name, None)
        self.settings[setting.flag.name] = setting

    def get(self, name: str) -> Value:
        """The value of the flag of this name; None when it is not set."""
        setting = self.settings.get(name)
        return setting.value if setting else None

    def text(self, name: str) -> str | None:
        """The value of a flag that takes one, or None."""
        value = self.get(name)
        return value if isinstance(value, str) else None

    def public(self) -> list[str]:
        """The arguments that anyone may see."""
        return self._tokens(secret=False)

    def secret(self) -> list[str]:
        """The arguments that must not be on a command line."""
        return self._tokens(secret=True)

    def _tokens(self, *, secret: bool) -> list[str]:
        return [
            token
            for setting in self.settings.values()
            if setting.flag.secret is secret
            for token in setting.tokens()
        ]


def _shown(flag: Flag, name: str, text: str) -> str:
    return name if flag.secret else f"{name}={text!r}"


def _retire(
    table: FlagTable,
    arguments: Arguments,
    rivals: Mapping[str, Setting],
    retired: tuple[Retired, str, str],
) -> None:
    """A variable (or argument) for a flag that is gone: applies what took its place, and says so.

    What `rivals` sets by its present name wins.
    """
    old, name, text = retired
    boolean = old.kind == "boolean"
    if boolean and parse_bool(text) is False:
        return
    since = f"SGLang {table.version} no longer has {old.name}"
    if old.gone and old.gone != table.version:
        since += f" (dropped in {old.gone})"
    target = table.spellings.get(old.instead[0]) if old.instead else None
    if target is None:
        if old.nearest:
            near = f"{env_name(old.nearest)} ({old.nearest})"
            advice = f"the nearest is {near}"
        else:
            advice = "nothing takes its place; remove it"
        arguments.warnings.append(f"{name} has no effect: {since}; {advice}")
        return
    value = old.instead[1] if len(old.instead) > 1 else text
    shown = " ".join(old.instead)
    if boolean and parse_bool(text) is None:
        arguments.warnings.append(f"{name}={text!r} has no effect: neither true nor false; {since}")
        return
    if rival := rivals.get(target.name):
        arguments.warnings.append(
            f"{name} has no effect: {since}; {rival.source} sets {target.name} itself"
        )
        return
    try:
        parsed = parse_value(target, "true" if target.is_boolean else value)
    except ValueError as error:
        arguments.warnings.append(
            f"{name}={text!r} has no effect: {since}; {shown}: {value!r} is {error}"
        )
        return
    arguments.put(Setting(target, parsed, name))
    hint = f"{env_name(target.name)}={value}" if not target.is_boolean else env_name(target.name)
    arguments.warnings.append(f"{name}: {since}; {shown} is used instead: set {hint}")


def _from_env(
    table: FlagTable, env: Mapping[str, str], arguments: Arguments
) -> list[tuple[Retired, str, str]]:
    """Fills `arguments` from the environment; returns the retired variables that are set."""
    plain: dict[str, list[Setting]] = {}
    prefixed: dict[str, list[Setting]] = {}
    retired: list[tuple[Retired, str, str]] = []
    for variable, raw in env.items():
        text = raw.strip()
        if not text:
            continue
        name, group = variable, plain
        if variable.startswith(PREFIX):
            name, group = variable.removeprefix(PREFIX), prefixed
        if old := table.retired_env.get(name):
            retired.append((old, variable, text))
            continue
        spelling = table.env_names.get(name)
        if spelling is None:
            if group is prefixed:
                near = difflib.get_close_matches(name, table.env_names, 1)
                hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
                arguments.problems.append(
                    f"{variable}: SGLang {table.version} has no flag of that name{hint}"
                )
            continue
        flag = table.spellings[spelling]
        try:
            value = parse_value(flag, text)
        except ValueError as error:
            shown = _shown(flag, variable, text)
            arguments.problems.append(f"{shown}: {error} (for {flag.name}){_general_hint(name)}")
            continue
        if flag.kind == "boolean_optional" and spelling.startswith("--no-"):
            value = not value
        group.setdefault(flag.name, []).append(Setting(flag, value, variable))

    chosen: dict[str, Setting] = {}
    for flag_name, flag in table.flags.items():
        candidates = prefixed.get(flag_name) or plain.get(flag_name)
        if not candidates:
            continue
        if any(other.value != candidates[0].value for other in candidates):
            arguments.problems.append(_disagreement(flag_name, candidates))
        # An old spelling that SGLang still takes as a flag of its own fills the same field.
        key = f"{flag.kind}:{flag.dest}" if flag.dest and flag.kind != "no_value" else flag_name
        rival = chosen.setdefault(key, candidates[0])
        if rival is not candidates[0] and rival.value != candidates[0].value:
            arguments.problems.append(_disagreement(flag_name, [rival, candidates[0]]))
        arguments.put(candidates[0])
    return retired


def _disagreement(flag_name: str, settings: list[Setting]) -> str:
    if settings[0].flag.secret:
        names = " and ".join(setting.source for setting in settings)
        return f"{names} both set {flag_name} and disagree: set only one of them"
    shown = " and ".join(f"{setting.source}={_plain(setting.value)}" for setting in settings)
    return f"{shown} both set {flag_name} and disagree: set only one of them"


def _plain(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else str(value)


def _general_hint(name: str) -> str:
    if name not in GENERAL_NAMES:
        return ""
    return f"; if something else set {name}, set it empty or set {PREFIX}{name}, which wins"


def _from_extra_args(
    table: FlagTable, text: str, arguments: Arguments
) -> list[tuple[Retired, str, str]]:
    """Adds EXTRA_ARGS, after everything else; returns the retired flags in it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        arguments.problems.append(f"EXTRA_ARGS cannot be split like a shell would: {error}")
        return []
    retired: list[tuple[Retired, str, str]] = []
    while words:
        word = words.pop(0)
        name, equals, inline = word.partition("=")
        if not name.startswith("--") or name == "--":
            # The word may be a value that went astray, even a secret one: don't repeat it.
            shown = repr(name) if re.fullmatch(r"-\w", name) else "a word"
            arguments.problems.append(f"EXTRA_ARGS: {shown} stands where a flag should")
            continue
        taken = [] if equals else _following(words)
        if old := table.retired.get(name):
            if not equals and old.kind != "boolean":
                del words[: len(taken) if old.kind == "list" else 1]
            value = inline if equals else (" ".join(taken) if taken else "true")
            retired.append((old, f"EXTRA_ARGS: {name}", value))
            continue
        flag = table.spellings.get(name)
        if flag is None:
            arguments.problems.append(_unknown(table, name))
            if taken:
                del words[: len(taken)]
            continue
        try:
            arguments.put(_extra_setting(flag, name, inline if equals else None, words, taken))
        except ValueError as error:
            arguments.problems.append(f"EXTRA_ARGS: {name}: {error}")
    return retired


def _following(words: list[str]) -> list[str]:
    """The words up to the next flag."""
    taken = []
    for word in words:
        if word.startswith("-") and len(word) > 1 and not _NEGATIVE_NUMBER.match(word):
            break
        taken.append(word)
    return taken


def _extra_setting(
    flag: Flag, name: str, inline: str | None, words: list[str], taken: list[str]
) -> Setting:
    if flag.is_boolean:
        if inline is not None:
            raise ValueError("takes no value")
        negative = flag.kind == "boolean_optional" and name.startswith("--no-")
        return Setting(flag, not negative, "EXTRA_ARGS")
    if flag.kind == "list":
        items = [inline] if inline is not None else taken
        if inline is None:
            del words[: len(taken)]
        for item in items:
            if problem := _value_problem(flag, item):
                raise ValueError(f"{item!r} is {problem}")
        return Setting(flag, items, "EXTRA_ARGS")
    if inline is None:
        if flag.kind == "optional_value" and not taken:
            return Setting(flag, None, "EXTRA_ARGS")
        if not taken:
            raise ValueError("needs a value (one that begins with a dash is given as --flag=value)")
        inline = words.pop(0)
    if problem := _value_problem(flag, inline):
        raise ValueError(problem if flag.secret else f"{inline!r} is {problem}")
    return Setting(flag, inline, "EXTRA_ARGS")


def _unknown(table: FlagTable, name: str) -> str:
    line = f"EXTRA_ARGS: SGLang {table.version} has no flag {name}"
    longer = [spelling for spelling in table.spellings if spelling.startswith(name)]
    if longer:
        shown = ", ".join(sorted(longer)[:5]) + (", …" if len(longer) > 5 else "")
        return f"{line}; abbreviations are not taken: write the whole name ({shown})"
    near = difflib.get_close_matches(name, table.spellings, 1)
    return f"{line}; did you mean {near[0]}?" if near else line


def resolve(table: FlagTable, env: Mapping[str, str], extra_args: str = "") -> Arguments:
    """Turns the environment and EXTRA_ARGS into SGLang's arguments.

    Nothing is raised: `problems` holds every line that must stop the start, `warnings` every line
    that must only be said.
    """
    arguments, extra = Arguments(), Arguments()
    retired = _from_env(table, env, arguments)
    extra_retired = _from_extra_args(table, extra_args, extra)
    rivals = arguments.settings | extra.settings
    for entry in retired:
        _retire(table, arguments, rivals, entry)
    for entry in extra_retired:
        _retire(table, extra, rivals, entry)
    for setting in extra.settings.values():
        arguments.put(setting)
    arguments.warnings += extra.warnings
    arguments.problems += extra.problems
    return arguments
