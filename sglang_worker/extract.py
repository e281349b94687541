"""SGLang's command line as a table: asked of its own parser, or read from its source.

The parser knows everything, but importing it takes most of a minute. The source is read in a tenth
of a second: what it registers is registered anew, with a parser of Python's own, so that both ways
end in the same table. What only running code could tell, some choices and defaults, is left out.
Nothing but the standard library is imported, so the build's script can use this by its path.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FEWEST_FLAGS = 100
NEEDED = ("--model-path", "--host", "--port", "--api-key")
VALUE_KINDS = {"+": "list", "*": "list", "?": "optional_value"}
#: How a help text says that its flag, a string by its type, takes JSON.
TAKES_JSON = re.compile(
    r"(?i)\b(?:(?:inline|per-GPU) JSON|in JSON format"
    r"|JSON (?:string|content|object|config for|with schema))\b"
)


class ImplausibleError(Exception):
    """What came out cannot be SGLang's command line."""


# From a parser


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
    if (
        takes_value
        and type_name == "str"
        and (action.default == "{}" or TAKES_JSON.search(help_text))
    ):
        entry["json"] = True
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


# What a table may be, and what it keeps of the one before


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def retire(
    old: dict[str, Any], version: str, flags: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What was retired before or is missing now, less what the release has (again)."""
    live = {spelling for name, flag in flags.items() for spelling in [name, *flag["aliases"]]}
    retired = dict(old.get("retired", {}))
    for name, flag in old.get("flags", {}).items():
        kind = flag["kind"] if flag["kind"] in ("value", "list", "optional_value") else "boolean"
        nearest = (flag.get("replacement") or "").partition("=")[0]
        # What an older release has not yet is not gone.
        gone = version if _order(version) >= _order(old["version"]) else None
        entry = {"kind": kind, "last": old["version"], "gone": gone, "instead": None}
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


# From the source


class _Unknown:
    """What only running code could tell."""


UNKNOWN = _Unknown()


class _Action(argparse.Action):
    """An action of SGLang's own, as far as its registration tells."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.new_flag = kwargs.pop("new_flag", None)
        self.error_message = kwargs.pop("error_message", None)
        kwargs.pop("const_value", None)
        name = type(self).__name__
        if name.startswith("Deprecated") and not name.endswith("AliasStoreAction"):
            kwargs.setdefault("nargs", 0)
        if name.endswith("StoreTrueAction"):
            kwargs.setdefault("const", True)
            kwargs.setdefault("default", False)
        super().__init__(*args, **kwargs)


class _Source:
    """The files that register flags, and the names that they define."""

    def __init__(self, package: Path) -> None:
        groups = package / "srt" / "arg_groups"
        files = [package / "srt" / "server_args.py", groups / "choices.py"]
        files += sorted((groups / "fields").glob("*.py"))
        self.trees = [ast.parse(f.read_text("utf-8")) for f in files if f.is_file()]
        self.names: dict[str, ast.expr] = {}
        self.fields: dict[str, ast.AnnAssign] = {}
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self.names.setdefault(node.targets[0].id, node.value)
        for node in self._classes():
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    self.fields[item.target.id] = item

    def _classes(self) -> Iterator[ast.ClassDef]:
        """The classes whose fields are flags: ServerArgs, or since 0.5.21 one for each group."""
        for number, tree in enumerate(self.trees):
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and (number or node.name == "ServerArgs"):
                    yield node

    def registrations(self) -> Iterator[ast.Call]:
        """Every `parser.add_argument(...)` of ServerArgs."""
        for node in ast.walk(self.trees[0]):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("add_cli_args"):
                for call in ast.walk(node):
                    if isinstance(call, ast.Call) and _name(call.func) == "add_argument":
                        yield call

    def value(self, node: ast.expr | None, depth: int = 0) -> Any:
        """What an expression is, or UNKNOWN."""
        if node is None or depth > 8:
            return UNKNOWN
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            pass
        if isinstance(node, ast.Name):
            if node.id in ("str", "int", "float", "bool"):
                return {"str": str, "int": int, "float": float, "bool": bool}[node.id]
            return self.value(self.names.get(node.id), depth + 1)
        if _name(node) == "SUPPRESS":
            return argparse.SUPPRESS
        if isinstance(node, ast.JoinedStr):
            parts = [self.value(part, depth + 1) for part in node.values]
            return "".join(part for part in parts if isinstance(part, str))
        return self._composed(node, depth)

    def _composed(self, node: ast.expr, depth: int) -> Any:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
            same = type(left) is type(right) and isinstance(left, (list, str))
            return left + right if same else UNKNOWN
        if isinstance(node, ast.Dict):
            pairs = [
                (self.value(k), self.value(v, depth + 1))
                for k, v in zip(node.keys, node.values, strict=True)
            ]
            return {key: value for key, value in pairs if UNKNOWN not in (key, value)}
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            items = [self.value(item, depth + 1) for item in node.elts]
            return UNKNOWN if UNKNOWN in items else items
        if isinstance(node, ast.Call):
            name, arguments = _name(node.func), node.args
            if name in ("list", "sorted", "tuple", "set") and len(arguments) == 1:
                value = self.value(arguments[0], depth + 1)
                return sorted(value) if isinstance(value, list) and name == "set" else value
            if name == "field":
                factory = next((k for k in node.keywords if k.arg == "default_factory"), None)
                return [] if factory and _name(factory.value) == "list" else UNKNOWN
            if name == "_declared_default" and arguments:
                return self.default(self.value(arguments[0], depth + 1))
        if isinstance(node, ast.Attribute) and _name(node.value) == "ServerArgs":
            return self.default(node.attr)
        return UNKNOWN

    def default(self, field: Any) -> Any:
        """The default of a field."""
        item = self.fields.get(field)
        return self.value(item.value) if item and item.value else UNKNOWN


def _name(node: ast.expr | None) -> str:
    """`json.loads` and `loads` → `loads`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _converter(node: ast.expr | None) -> Any:
    """A function of the name that SGLang registers as a type."""
    known = {"int": int, "float": float, "str": str, "": str}
    name = _name(node)
    return known.get(name) or type(name, (str,), {})


def _keywords(source: _Source, call: ast.Call) -> dict[str, Any]:
    """The arguments of a registration that can be told; actions and types by their names."""
    result: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg in ("type", "type_parser"):
            result["type"] = _converter(keyword.value)
            continue
        if keyword.arg == "action":
            known = source.value(keyword.value)
            name = _name(keyword.value)
            builtin = argparse.BooleanOptionalAction if name == "BooleanOptionalAction" else None
            own = type(name or "Action", (_Action,), {})
            result["action"] = known if isinstance(known, str) else builtin or own
            continue
        value = source.value(keyword.value)
        if keyword.arg and value is not UNKNOWN:
            result[keyword.arg] = value
    return result


def _inner_type(node: ast.expr) -> ast.expr:
    """`Optional[X]` and `X | None` → `X`."""
    if isinstance(node, ast.Subscript) and _name(node.value) == "Optional":
        return node.slice
    if isinstance(node, ast.Subscript) and _name(node.value) == "Union":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        parts = [node.left, node.right]
    else:
        return node
    rest = [p for p in parts if not (isinstance(p, ast.Constant) and p.value is None)]
    return rest[0] if len(rest) == 1 else node


def _from_type(source: _Source, node: ast.expr, given: dict[str, Any]) -> dict[str, Any]:
    """What a field's type adds to its registration, as SGLang derives it."""
    inner = _inner_type(node)
    of = _name(inner.value) if isinstance(inner, ast.Subscript) else ""
    if of == "Literal" and isinstance(inner, ast.Subscript):
        values = source.value(inner.slice)
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        if UNKNOWN in values:
            return {"type": str} | given
        kind = type(values[0])
        return {"type": kind if kind in (int, float) else str, "choices": values} | given
    if of.lower() == "list" and "type" not in given and isinstance(inner, ast.Subscript):
        return {"type": _scalar(inner.slice), "nargs": "+"} | given
    if _name(inner) == "bool" and "type" not in given:
        return {key: value for key, value in given.items() if key == "help"} | {
            "action": "store_true"
        }
    return {"type": _scalar(inner)} | given


def _scalar(node: ast.expr) -> Any:
    return {"int": int, "float": float}.get(_name(node), str)


def _register_field(
    parser: argparse.ArgumentParser, source: _Source, name: str, item: ast.AnnAssign
) -> None:
    annotation = item.annotation
    if not isinstance(annotation, ast.Subscript) or _name(annotation.value) not in (
        "A",
        "Annotated",
    ):
        return
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else []
    given: dict[str, Any] | None = None
    for part in parts[1:]:
        if isinstance(part, ast.Call) and _name(part.func) == "Arg":
            given = _keywords(source, part)
            break
        if isinstance(part, (ast.Constant, ast.JoinedStr, ast.BinOp)):
            given = {"help": source.value(part)}
            break
    if given is None or given.pop("no_cli", False):
        return
    names = [given.pop("cli_name", "--" + name.replace("_", "-"))]
    names += given.pop("aliases", None) or []
    more = given.pop("action_kwargs", None) or {}
    for key in ("resolvable", "fallback"):
        given.pop(key, None)
    given = {key: value for key, value in given.items() if value is not None}
    registration = given | more if "action" in given else _from_type(source, parts[0], given)
    if item.value is None and "action" not in given:
        registration.setdefault("required", True)
    default = source.value(item.value)
    if default is not UNKNOWN:
        registration["default"] = default
    _register(parser, names, registration | {"dest": name})


def _register(parser: argparse.ArgumentParser, names: list[Any], given: dict[str, Any]) -> None:
    if isinstance(given.get("action"), str):
        for key in ("type", "choices", "nargs", "required"):
            given.pop(key, None)
        given = {k: value for k, value in given.items() if value is not None or k == "default"}
    given["help"] = str(given.get("help", "")).replace("%", "%%")
    parser.add_argument(*names, **given)


def parser_from_source(package: Path) -> argparse.ArgumentParser:
    """A parser with what the source in this folder registers; OSError or ValueError when it
    cannot be read."""
    try:
        source = _Source(package)
    except SyntaxError as error:
        raise ValueError(f"SGLang's source is no Python that this one reads: {error}") from error
    parser = argparse.ArgumentParser(prog="sglang", add_help=False, conflict_handler="resolve")
    try:
        for name, item in source.fields.items():
            _register_field(parser, source, name, item)
        for call in source.registrations():
            names = [source.value(argument) for argument in call.args]
            if names and all(isinstance(name, str) for name in names):
                _register(parser, names, _keywords(source, call))
    except (TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"SGLang's source registers its flags in a new way: {error}") from error
    return parser
