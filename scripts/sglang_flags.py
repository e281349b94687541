"""Writes `sglang_flags.json`: every flag of an SGLang release, read from its own parser.

Run it with the Python that has SGLang, in an image or in a virtual environment:

    python3 scripts/sglang_flags.py --output sglang_worker/sglang_flags.json

With `--if-different` it does nothing when the table is already that release's. Flags that the
existing table has and the release has not are kept under "retired", with the last release that took
them. A result that cannot be right is refused, and the existing table stays as it was.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

FEWEST_FLAGS = 100
NEEDED = ("--model-path", "--host", "--port", "--api-key")
VALUE_KINDS = {"+": "list", "*": "list", "?": "optional_value"}


class ImplausibleError(Exception):
    """What came out cannot be SGLang's command line."""


def installed_version() -> str:
    """The release of the SGLang that this Python imports."""
    try:
        return importlib.metadata.version("sglang")
    except importlib.metadata.PackageNotFoundError:
        import sglang

        return str(sglang.__version__)


def build_parser() -> argparse.ArgumentParser:
    """A parser with everything that SGLang registers."""
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser(prog="sglang", add_help=False)
    ServerArgs.add_cli_args(parser)
    return parser


def plain(value: Any) -> Any:
    """A default as JSON can hold it."""
    try:
        json.dumps(value)
    except TypeError:
        return plain(value.value) if hasattr(value, "value") else str(value)
    return value


def kind_of(action: argparse.Action) -> str:
    """How a flag takes its value."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "boolean_optional"
    if action.nargs == 0:
        stores_true = isinstance(action, argparse._StoreTrueAction) or action.const is True
        return "store_true" if stores_true else "no_value"
    if isinstance(action.nargs, int):
        return "list"
    return VALUE_KINDS.get(action.nargs or "", "value")


def is_deprecated(action: argparse.Action, help_text: str) -> bool:
    """Whether SGLang calls this flag deprecated: by the class of its action, or in its help, which
    may also name another flag that is."""
    names = "|".join(map(re.escape, action.option_strings))
    return type(action).__name__.startswith("Deprecated") or bool(
        re.match(r"\W*deprecated\b", help_text, re.IGNORECASE)
        or re.search(rf"(?:^|\s)(?:{names}) is deprecated", help_text)
    )


def entry_of(action: argparse.Action) -> tuple[str, dict[str, Any]]:
    """A flag's name and what the table says about it."""
    spellings = [option for option in action.option_strings if option.startswith("--")]
    name, kind = spellings[0], kind_of(action)
    help_text = action.help or ""
    hidden = help_text == argparse.SUPPRESS
    deprecated = is_deprecated(action, help_text)
    takes_value = kind in ("value", "list", "optional_value")
    type_name = getattr(action.type, "__name__", None) or (
        str(action.type) if action.type else "str"
    )
    entry: dict[str, Any] = {
        "kind": kind,
        "type": type_name if takes_value else None,
        "choices": [plain(c) for c in action.choices] if action.choices is not None else None,
        "default": plain(action.default),
        "aliases": spellings[1:],
        "deprecated": deprecated,
        "dest": action.dest,
    }
    if isinstance(action.choices, (set, frozenset)):
        entry["choices"] = sorted(entry["choices"])
    if takes_value and action.nargs is not None:
        entry["nargs"] = action.nargs
    if action.required:
        entry["required"] = True
    if hidden:
        entry["hidden"] = True
    replacement = getattr(action, "new_flag", None)
    named = re.search(r"[Uu]se\s+'?(--[\w-]+(?:\{[\w,]+\})?(?:=\w+)?)", help_text)
    if replacement is None and deprecated and named:
        replacement = named[1]
    if deprecated:
        entry["deprecation"] = help_text if not hidden else f"Use {replacement}"
    if replacement:
        entry["replacement"] = replacement
    if kind == "no_value" and not replacement:
        entry["effect"] = "warns, does nothing"
    if getattr(action, "error_message", None):
        entry["effect"] = "raises an error: the launch stops"
    return name, entry


def read_flags(parser: argparse.ArgumentParser) -> dict[str, dict[str, Any]]:
    """Every long option of a parser."""
    return dict(
        entry_of(action)
        for action in parser._actions
        if any(option.startswith("--") for option in action.option_strings)
        and not isinstance(action, argparse._HelpAction)
    )


def retire(
    old: dict[str, Any], version: str, flags: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What was retired before or is missing now, less what the release has (again)."""
    live = {spelling for name, flag in flags.items() for spelling in [name, *flag["aliases"]]}
    retired = dict(old.get("retired", {}))
    for name, flag in old.get("flags", {}).items():
        kind = flag["kind"] if flag["kind"] in ("value", "list", "optional_value") else "boolean"
        nearest = (flag.get("replacement") or "").partition("=")[0]
        entry = {"kind": kind, "last": old["version"], "gone": version, "instead": None}
        entry["nearest"] = nearest if nearest in live else None
        for spelling in [name, *flag["aliases"]]:
            # An alias's flag may live on under its other name.
            heir = next((s for s in [name, *flag["aliases"]] if s in live), None)
            instead = [heir] if heir and not spelling.startswith("--no-") else None
            retired[spelling] = entry | {"instead": instead}
    return {name: entry for name, entry in sorted(retired.items()) if name not in live}


def check(version: str, flags: dict[str, dict[str, Any]]) -> None:
    """Refuses what cannot be right."""
    if not re.match(r"\d+\.\d+", version):
        raise ImplausibleError(f"{version!r} is no version of SGLang")
    if len(flags) < FEWEST_FLAGS:
        raise ImplausibleError(f"only {len(flags)} flags; SGLang has several hundred")
    known = {spelling for name, flag in flags.items() for spelling in [name, *flag["aliases"]]}
    if missing := [name for name in NEEDED if name not in known]:
        raise ImplausibleError(f"{', '.join(missing)} missing: this is not SGLang's command line")


def render(version: str, flags: dict[str, Any], retired: dict[str, Any]) -> str:
    """The file: one flag a line, so that a difference can be read."""

    def lines(table: dict[str, Any]) -> str:
        return ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items())

    blocks = [f'  "version": {json.dumps(version)}']
    blocks.append('  "flags": {\n' + lines(flags) + "\n  }")
    blocks.append('  "retired": {\n' + lines(retired) + "\n  }" if retired else '  "retired": {}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main() -> None:
    """Reads the parser and writes the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--output", type=Path, required=True, help="the table to write")
    options.add_argument(
        "--if-different", action="store_true", help="leave a table of the same release alone"
    )
    given = options.parse_args()
    old: dict[str, Any] = {}
    if given.output.is_file():
        old = json.loads(given.output.read_text("utf-8"))
    try:
        version = installed_version()
        if given.if_different and old.get("version") == version:
            print(f"{given.output} is SGLang {version}'s already")
            return
        flags = read_flags(build_parser())
        check(version, flags)
    except ImportError as error:
        sys.exit(f"sglang_flags: SGLang cannot be imported: {error}")
    except ImplausibleError as error:
        sys.exit(f"sglang_flags: refused: {error}")
    if old.get("flags") and len(flags) * 2 < len(old["flags"]):
        sys.exit(f"sglang_flags: refused: {len(flags)} flags, {len(old['flags'])} before")
    temporary = given.output.with_name(given.output.name + ".new")
    temporary.write_text(render(version, flags, retire(old, version, flags)), "utf-8")
    temporary.replace(given.output)
    print(f"{given.output}: {len(flags)} flags of SGLang {version}")


if __name__ == "__main__":
    main()
