"""From the environment to SGLang's command line.

What wins, from the strongest to the weakest:

1. `EXTRA_ARGS`
2. `SGLANG_ARG_<NAME>`, for a flag whose plain name something else sets (`flags.GENERAL_NAMES`)
3. the plain name; two names of one flag must agree
4. the file that CONFIG names
5. what was baked into the image, then the worker's defaults for HOST and PORT, then SGLang's own
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sglang_worker.flags import (
    GENERAL_NAMES,
    NEGATIVE_NUMBER,
    PREFIX,
    Flag,
    FlagTable,
    Retired,
    Value,
    env_name,
    normal,
    parse_value,
    split_list,
    value_problem,
)
from utils import parse_bool

#: How SGLang's documents write some flags; its parser takes them as abbreviations.
SHORT_NAMES = {
    "--tp": ("--tp-size", "--tensor-parallel-size"),
    "--dp": ("--dp-size", "--data-parallel-size"),
    "--pp": ("--pp-size", "--pipeline-parallel-size"),
    "--ep": ("--ep-size", "--expert-parallel-size"),
}

#: What a word processor or a web page makes of two hyphens.
LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


@dataclass(frozen=True)
class Assignment:
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


@dataclass
class Arguments:
    """What SGLang is started with, and all there is to say about it."""

    settings: dict[str, Assignment] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def put(self, setting: Assignment) -> None:
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
    rivals: Mapping[str, Assignment],
    retired: tuple[Retired, str, str],
) -> None:
    """A variable (or argument) for a flag that is gone: applies what took its place, and says so.

    What `rivals` sets by its present name wins.
    """
    old, name, text = retired
    boolean = old.kind == "boolean"
    if boolean and parse_bool(text) is False:
        return
    has = "no longer has" if old.gone else "has no"
    since = f"SGLang {table.version} {has} {old.name}"
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
    arguments.put(Assignment(target, parsed, name))
    hint = f"{env_name(target.name)}={value}" if not target.is_boolean else env_name(target.name)
    arguments.warnings.append(f"{name}: {since}; {shown} is used instead: set {hint}")


def _from_env(
    table: FlagTable, env: Mapping[str, str], arguments: Arguments
) -> list[tuple[Retired, str, str]]:
    """Fills `arguments` from the environment; returns the retired variables that are set."""
    plain: dict[str, list[Assignment]] = {}
    prefixed: dict[str, list[Assignment]] = {}
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
        text = _without_quotes(flag, variable, text, arguments)
        try:
            value = parse_value(flag, _number_of_gpus(flag, text, env))
        except ValueError as error:
            shown = _shown(flag, variable, text)
            arguments.problems.append(f"{shown}: {error} (for {flag.name}){_general_hint(name)}")
            continue
        if flag.kind == "boolean_optional" and spelling.startswith("--no-"):
            value = not value
        group.setdefault(flag.name, []).append(Assignment(flag, value, variable))

    chosen: dict[str, Assignment] = {}
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


def _without_quotes(flag: Flag, name: str, text: str, arguments: Arguments) -> str:
    """A value without the quotes around it: a form's field needs none, unlike a shell."""
    inner = text[1:-1]
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0] or text[0] in inner:
        return text
    if flag.secret:
        arguments.warnings.append(f"{name}: there are quotes around the value; they are part of it")
        return text
    if flag.kind == "list":
        return text  # split like a shell would, which takes them away
    arguments.warnings.append(f"{name}: the quotes around the value are left out")
    return inner.strip()


def _number_of_gpus(flag: Flag, text: str, env: Mapping[str, str]) -> str:
    """What `auto` means where a number of GPUs is asked for: all that the worker sees."""
    if flag.dest != "tp_size" or text.lower() != "auto":
        return text
    count = visible_gpus(env)
    if not count:
        raise ValueError("auto, but the worker sees no GPU: give their number")
    return str(count)


def visible_gpus(env: Mapping[str, str], devices: str = "/dev") -> int:
    """How many GPUs the worker sees: those that CUDA_VISIBLE_DEVICES leaves, else the devices that
    are there, else as many as RunPod says."""
    chosen = env.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        listed = [item.strip() for item in chosen.split(",")]
        # As CUDA does: nothing counts from the first on that is no device.
        return len(list(itertools.takewhile(lambda item: item and item != "-1", listed)))
    found = len([name for name in os.listdir(devices) if re.fullmatch(r"nvidia\d+", name)])
    told = env.get("RUNPOD_GPU_COUNT", "")
    return found or (int(told) if told.isdigit() else 0)


def _disagreement(flag_name: str, settings: list[Assignment]) -> str:
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
    table: FlagTable, text: str, env: Mapping[str, str], arguments: Arguments
) -> list[tuple[Retired, str, str]]:
    """Adds EXTRA_ARGS, after everything else; returns the retired flags in it."""
    try:
        # A backslash at the end of a line; in a form's field the line's end becomes a space.
        words = shlex.split(re.sub(r"(?:^|(?<=\s))\\(?=\s|$)", " ", text))
    except ValueError as error:
        arguments.problems.append(f"EXTRA_ARGS cannot be split like a shell would: {error}")
        return []
    words = _after_the_program(words, arguments)
    retired: list[tuple[Retired, str, str]] = []
    while words:
        word = words.pop(0)
        name, equals, inline = word.partition("=")
        if not name.startswith("--") or name == "--":
            arguments.problems.append(_stray(table, name))
            if name[:1] in LONG_DASHES or name[:1] == "-":
                del words[: len(_following(words))]
            continue
        if name in SHORT_NAMES and name not in table.spellings:
            name = next((n for n in SHORT_NAMES[name] if n in table.spellings), name)
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
            inline = _number_of_gpus(flag, inline, env)
            if taken and taken[0] == "auto":
                words[0] = taken[0] = _number_of_gpus(flag, "auto", env)
            arguments.put(_extra_setting(flag, name, inline if equals else None, words, taken))
        except ValueError as error:
            arguments.problems.append(f"EXTRA_ARGS: {name}: {error}")
    return retired


def _after_the_program(words: list[str], arguments: Arguments) -> list[str]:
    """The arguments of a whole command as SGLang's documents show it."""
    if not words or words[0].startswith(("-", *LONG_DASHES)):
        return words
    for index, word in enumerate(words):
        if word == "sglang.launch_server" or words[index : index + 2] == ["sglang", "serve"]:
            for assignment in words[:index]:
                name, equals, _ = assignment.partition("=")
                if equals and re.fullmatch(r"\w+", name):
                    arguments.problems.append(
                        f"EXTRA_ARGS: {name}=… is a variable: set it as one of the worker's"
                    )
            return words[index + (1 if word == "sglang.launch_server" else 2) :]
        if word.startswith("--"):
            break
    return words


def _stray(table: FlagTable, name: str) -> str:
    """A word that stands where a flag should. It may be a value that went astray, even a secret
    one: only what looks like a flag is repeated."""
    bare = name.lstrip("-" + LONG_DASHES)
    if name[:1] in LONG_DASHES:
        return f"EXTRA_ARGS: {name!r} begins with a long dash: write two hyphens, --{bare}"
    if re.fullmatch(r"-\w", name):
        return f"EXTRA_ARGS: {name!r} stands where a flag should"
    if name.startswith("-") and {f"--{bare}"} & {*table.spellings, *SHORT_NAMES}:
        return f"EXTRA_ARGS: {name!r} begins with one hyphen: write two, --{bare}"
    return "EXTRA_ARGS: a word stands where a flag should"


def _following(words: list[str]) -> list[str]:
    """The words up to the next flag."""
    taken = []
    for word in words:
        if word.startswith("-") and len(word) > 1 and not NEGATIVE_NUMBER.match(word):
            break
        taken.append(word)
    return taken


def _extra_setting(
    flag: Flag, name: str, inline: str | None, words: list[str], taken: list[str]
) -> Assignment:
    if flag.is_boolean:
        if inline is not None:
            raise ValueError("takes no value")
        if taken and (truth := parse_bool(taken[0])) is not None:
            shown = words.pop(0)
            advice = f"leave out {shown!r}" if truth else "leave it out to have it off"
            raise ValueError(f"is a switch and takes no value: {advice}")
        negative = flag.kind == "boolean_optional" and name.startswith("--no-")
        return Assignment(flag, not negative, "EXTRA_ARGS")
    if flag.kind == "list":
        items = [inline] if inline is not None else taken
        if inline is None:
            del words[: len(taken)]
        if flag.dest == "lora_paths":
            items = [part for item in items for part in split_list(flag, shlex.quote(item))]
        for item in items:
            if problem := value_problem(flag, item):
                raise ValueError(f"{item!r} is {problem}")
        return Assignment(flag, items, "EXTRA_ARGS")
    if inline is None:
        if flag.kind == "optional_value" and not taken:
            return Assignment(flag, None, "EXTRA_ARGS")
        if not taken:
            raise ValueError("needs a value (one that begins with a dash is given as --flag=value)")
        inline = words.pop(0)
    inline = normal(flag, inline)
    if problem := value_problem(flag, inline):
        raise ValueError(problem if flag.secret else f"{inline!r} is {problem}")
    return Assignment(flag, inline, "EXTRA_ARGS")


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
    extra_retired = _from_extra_args(table, extra_args, env, extra)
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
