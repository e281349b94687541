"""Writes what the tool knows of SGLang's releases: sglang.json, sglang.flags and sglang.variables
beside this file.

    pip download --no-deps --dest WHEELS sglang==0.5.23
    python3 xtask/data/sglang.py WHEELS/*.whl

Each argument is a release's wheel. What its source registers as flags of `launch_server` is read by
the worker's own reader (sglang_worker/extract.py), without installing anything; what is known of
other releases stays. The result holds each distinct definition once, with the releases that it
applies to, so that all releases fit into a fraction of the space. The definitions lie in
sglang.flags, a flag a line, so that a name can be looked up without reading any of them; for the
same reason aliases have a table of their own. sglang.variables holds the names of the environment
variables in the sources, of all releases together; a name that ends in `_` is what others begin
with. "history", which says for the flags that the first
workers used in which of many older releases they existed under that very name, stays as it is.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent

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
    "--enable-deepep-moe": "--moe-a2a-backend deepep",
    "--enable-ep-moe": None,
    "--enable-flashinfer-cutlass-moe": "--moe-runner-backend flashinfer_cutlass",
    "--enable-flashinfer-mla": "--attention-backend flashinfer",
    "--enable-flashinfer-mxfp4-moe": "--moe-runner-backend flashinfer_mxfp4",
    "--enable-flashinfer-trtllm-moe": "--moe-runner-backend flashinfer_trtllm",
    "--enable-flashmla": "--attention-backend flashmla",
    "--enable-mla": None,
    "--enable-triton-kernel-moe": "--moe-runner-backend triton_kernel",
    "--file-storage-pth": "--file-storage-path",
    "--max-num-reqs": None,
}
# Nothing took its place, but this does nearly the same.
NEAREST = {"--enable-ep-moe": "--ep-size", "--max-num-reqs": "--max-running-requests"}


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
    # 0 is a default, though it equals False.
    return {k: v for k, v in short.items() if v is not False and v not in (None, [], "")}


def extractor() -> ModuleType:
    """The worker's reader, by its path: the worker itself need not be importable."""
    path = HERE.parent.parent / "sglang_worker" / "extract.py"
    spec = importlib.util.spec_from_file_location("extract", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variables(wheel: Path) -> set[str]:
    """The names of SGLang's own environment variables in the sources of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if name.endswith(".py")]
        texts = (archive.read(name).decode("utf-8", "replace") for name in files)
        return {name for text in texts for name in re.findall(r"\b(?:SGLANG|SGL)_[A-Z0-9_]+\b", text)}


def read(wheel: Path) -> tuple[str, dict[str, dict]]:
    """The release of a wheel, and the definition of each of its flags."""
    extract = extractor()
    version = wheel.name.split("-")[1]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        archive.extractall(folder, names)
        flags = extract.read_flags(extract.parser_from_source(Path(folder) / "sglang"))
    if missing := [name for name in extract.NEEDED if name not in flags]:
        sys.exit(f"{wheel}: no {', '.join(missing)}: this is not SGLang's command line")
    return version, {name: compact(flag) for name, flag in flags.items()}


def known(about: dict) -> dict[str, dict[str, dict]]:
    """What the files hold now, by release."""
    tables: dict[str, dict[str, dict]] = {release: {} for release in about["releases"]}
    for row in (HERE / "sglang.flags").read_text("utf-8").splitlines():
        name, _, definitions = row.partition(" ")
        for of, definition in json.loads(definitions):
            for index in of:
                tables[about["releases"][index]][name] = definition
    return tables


def main() -> None:
    about = json.loads((HERE / "sglang.json").read_text("utf-8"))
    tables = known(about) | dict(read(Path(wheel)) for wheel in sys.argv[1:])
    releases = sorted(tables, key=order)
    flags: dict[str, list] = {}
    for index, release in enumerate(releases):
        for name, definition in tables[release].items():
            for one in flags.setdefault(name, []):
                if one[1] == definition:
                    one[0].append(index)
                    break
            else:
                flags[name].append([[index], definition])

    aliases: dict[str, list] = {}
    for name, definitions in sorted(flags.items()):
        for of, definition in definitions:
            for alias in definition.get("aliases", []):
                aliases.setdefault(alias, []).extend([index, name] for index in of)

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def rows(table: dict) -> str:
        return ",\n".join(f"{line(k)}:{line(v)}" for k, v in sorted(table.items()))

    text = (
        '{\n"generated_by":"python3 xtask/data/sglang.py WHEEL...",\n'
        f'"releases":{line(releases)},\n"aliases":{{\n{rows(aliases)}\n}},\n'
        f'"history_releases":{line(about["history_releases"])},\n"history":{{\n{rows(about["history"])}\n}},\n'
        f'"successors":{{\n{rows(SUCCESSORS)}\n}},\n"nearest":{{\n{rows(NEAREST)}\n}}\n}}\n'
    )
    (HERE / "sglang.json").write_text(text)
    (HERE / "sglang.flags").write_text(
        "".join(f"{name} {line(value)}\n" for name, value in sorted(flags.items()))
    )
    names = set((HERE / "sglang.variables").read_text("utf-8").split())
    names = names.union(*(variables(Path(wheel)) for wheel in sys.argv[1:]))
    (HERE / "sglang.variables").write_text("".join(f"{name}\n" for name in sorted(names)))


main()
