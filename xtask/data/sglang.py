"""Writes sglang.json and sglang.flags beside it from readings of SGLang's command line.

Usage: python3 xtask/data/sglang.py DIR

DIR holds one `sglang-<version>.json` a release, with every flag of `launch_server` (kind, type,
choices, default, aliases, deprecated, replacement), and `env-var-history.json`, which says for the
flags that the first workers used in which of many more releases they existed. The result holds
each distinct definition once, with the releases it applies to, so that all releases fit into a
fraction of the space. The definitions lie in sglang.flags, a flag a line, so that a name can be
looked up without reading any of them; for the same reason aliases have a table of their own.
"""

import json
import re
import sys
from pathlib import Path

# What SGLang itself named when it dropped a flag, from its deprecation messages and changelogs.
# A value after the flag is part of the advice. None: nothing took the flag's place.
SUCCESSORS = {
    "--additional-ports": None,
    "--attention-reduce-in-fp32": "--triton-attention-reduce-in-fp32",
    "--disable-disk-cache": "--disable-outlines-disk-cache",
    "--disable-flashinfer": "--attention-backend triton",
    "--disable-flashinfer-sampling": "--sampling-backend pytorch",
    "--disable-regex-jump-forward": None,
    "--efficient-weight-load": None,
    "--enable-flashinfer-mla": "--attention-backend flashinfer",
    "--enable-flashmla": "--attention-backend flashmla",
    "--enable-mla": None,
    "--file-storage-pth": "--file-storage-path",
    "--max-num-reqs": None,
}
# Nothing took its place, but this does nearly the same.
NEAREST = {"--max-num-reqs": "--max-running-requests"}


def order(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def compact(flag: dict) -> dict:
    short = {
        "kind": flag["kind"],
        "type": flag.get("type"),
        "choices": flag.get("choices"),
        "default": flag.get("default"),
        "aliases": flag.get("aliases"),
        "required": flag.get("required"),
        "deprecated": flag.get("deprecation") or flag.get("deprecated"),
        "replacement": flag.get("replacement"),
        "effect": flag.get("effect"),
        "nargs": flag.get("nargs"),
    }
    return {k: v for k, v in short.items() if v not in (None, False, [], "")}


def main() -> None:
    source = Path(sys.argv[1])
    tables = {}
    for path in source.glob("sglang-*.json"):
        table = json.loads(path.read_text())
        tables[table["version"]] = table["flags"]
    releases = sorted(tables, key=order)
    flags: dict[str, list] = {}
    for index, release in enumerate(releases):
        for name, flag in tables[release].items():
            definition = compact(flag)
            for known in flags.setdefault(name, []):
                if known[1] == definition:
                    known[0].append(index)
                    break
            else:
                flags[name].append([[index], definition])

    aliases: dict[str, list] = {}
    for name, definitions in sorted(flags.items()):
        for of, definition in definitions:
            for alias in definition.get("aliases", []):
                aliases.setdefault(alias, []).extend([index, name] for index in of)

    history = json.loads((source / "env-var-history.json").read_text())
    seen = sorted({v for entry in history.values() for v in entry["versions"]}, key=order)
    present = {
        entry["flag"]: [
            seen.index(v) for v in sorted(entry["versions"], key=order) if entry["versions"][v]
        ]
        for entry in history.values()
    }

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def rows(table: dict) -> str:
        return ",\n".join(f"{line(k)}:{line(v)}" for k, v in sorted(table.items()))

    text = (
        '{\n"generated_by":"python3 xtask/data/sglang.py DIR",\n'
        f'"releases":{line(releases)},\n"aliases":{{\n{rows(aliases)}\n}},\n'
        f'"history_releases":{line(seen)},\n"history":{{\n{rows(present)}\n}},\n'
        f'"successors":{{\n{rows(SUCCESSORS)}\n}},\n"nearest":{{\n{rows(NEAREST)}\n}}\n}}\n'
    )
    here = Path(__file__).parent
    (here / "sglang.json").write_text(text)
    (here / "sglang.flags").write_text(
        "".join(f"{name} {line(value)}\n" for name, value in sorted(flags.items()))
    )


main()
