"""SGLang's parser as `sglang_flags.json` describes it, abbreviations included."""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
from typing import Any

from sglang import load_flags

UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def human_readable_int(text: str) -> int:
    """`32k`, `1M`, `1Ki` or a plain number."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)", text):
        return int(float(match[1]) * UNITS[match[2]])
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid integer {text!r}") from error


def json_list_type(text: str) -> list[Any]:
    """A list in JSON."""
    value = json.loads(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError("not a list")
    return value


TYPES: dict[str | None, Any] = {
    "int": int,
    "float": float,
    "loads": json.loads,
    "human_readable_int": human_readable_int,
    "json_list_type": json_list_type,
}


def type_named(name: str | None) -> Any:
    """The function that SGLang registers as a type, or one of its name where it is not here."""
    if name in TYPES or name in (None, "str"):
        return TYPES.get(name, str)

    def parse(text: str) -> str:
        return text

    parse.__name__ = str(name)
    return parse


class DeprecatedAction(argparse.Action):
    """Warns, or refuses when it has an error message."""

    def __init__(
        self,
        *args: Any,
        error_message: str | None = None,
        new_flag: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.error_message = error_message
        self.new_flag = new_flag
        super().__init__(*args, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        if self.error_message:
            parser.error(self.error_message)
        print(f"{self.option_strings[0]} is deprecated", file=sys.stderr)


class DeprecatedAliasStoreAction(argparse.Action):
    """An old name for a flag that takes a value."""

    def __init__(self, *args: Any, new_flag: str | None = None, **kwargs: Any) -> None:
        self.new_flag = new_flag
        super().__init__(*args, **kwargs)

    def __call__(self, _: Any, namespace: Any, values: Any, __: Any = None) -> None:
        setattr(namespace, self.dest, values)


class ServerArgs:
    """Registers every flag of the table."""

    @staticmethod
    def add_cli_args(parser: argparse.ArgumentParser) -> None:
        for name, flag in load_flags()["flags"].items():
            kind = flag["kind"]
            options: dict[str, Any] = {"dest": flag["dest"], "default": flag["default"]}
            options["help"] = flag.get("deprecation") or (
                "A JSON string." if flag.get("json") else "A flag."
            )
            if flag.get("hidden"):
                options["help"] = argparse.SUPPRESS
            spellings = [name, *flag["aliases"]]
            if kind == "store_true":
                options["action"] = "store_true"
            elif kind == "no_value":
                options["action"] = DeprecatedAction
                if "stops" in (flag.get("effect") or ""):
                    options["error_message"] = f"{name} is no longer supported"
                elif flag.get("replacement"):
                    options["new_flag"] = flag["replacement"]
            elif kind == "boolean_optional":
                options["action"] = argparse.BooleanOptionalAction
                spellings = [s for s in spellings if not s.startswith("--no-")]
            else:
                options["type"] = type_named(flag["type"])
                if flag["choices"]:
                    options["choices"] = flag["choices"]
                if flag.get("nargs"):
                    options["nargs"] = flag["nargs"]
                if flag.get("required"):
                    options["required"] = True
                if flag["deprecated"] and flag.get("replacement"):
                    options["action"] = DeprecatedAliasStoreAction
                    options["new_flag"] = flag["replacement"]
            parser.add_argument(*spellings, **options)


@functools.cache
def build_parser() -> argparse.ArgumentParser:
    """The parser with every flag."""
    parser = argparse.ArgumentParser(prog="sglang")
    ServerArgs.add_cli_args(parser)
    return parser


def prepare_server_args(argv: list[str]) -> argparse.Namespace:
    """Parses like SGLang does: a --config file's values come before the rest."""
    parser = build_parser()
    if "--config" in argv:
        index = argv.index("--config")
        with open(argv[index + 1], encoding="utf-8") as file:
            lines = [line.split("#")[0].strip() for line in file]
        given: list[str] = []
        for line in filter(None, lines):
            key, _, value = line.partition(":")
            given += [f"--{key.strip()}", value.strip().strip("\"'")]
        argv = given + argv[:index] + argv[index + 2 :]
    return parser.parse_args(argv)
