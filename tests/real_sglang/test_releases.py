"""The static reading of SGLang's source against what is known of its releases.

It takes the releases' wheels, some 20 MB each, from the folder that SGLANG_WHEELS names, and
fetches those that are not there. What is known are the tables of the releases' own parsers, as
scripts/sglang_flags.py writes them, where SGLANG_TABLES names a folder of `sglang-RELEASE.json`;
else what the tool knows, which the same reader wrote once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from sglang_worker import extract, installed

TABLES = os.environ.get("SGLANG_TABLES", "")
WHEELS = os.environ.get("SGLANG_WHEELS", "")
DATA = ROOT / "xtask" / "data"
RELEASES: list[str] = json.loads((DATA / "sglang.json").read_text("utf-8"))["releases"]
TABLE = json.loads((ROOT / "sglang_worker/sglang_flags.json").read_text("utf-8"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not WHEELS, reason="SGLANG_WHEELS names no folder for SGLang's wheels"),
]


def known(release: str) -> dict[str, dict[str, Any]]:
    """What is known of a release: each flag's definition."""
    if TABLES:
        return dict(json.loads(Path(TABLES, f"sglang-{release}.json").read_text("utf-8"))["flags"])
    index, found = RELEASES.index(release), {}
    for row in (DATA / "sglang.flags").read_text("utf-8").splitlines():
        name, _, definitions = row.partition(" ")
        for of, definition in json.loads(definitions):
            if index in of:
                found[name] = definition
    return found


def package_of(release: str, folder: Path) -> Path:
    """The unpacked source of a release."""
    if not list(Path(WHEELS).glob(f"sglang-{release}-*.whl")):
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            WHEELS,
        ]
        subprocess.run([*command, f"sglang=={release}"], check=True, timeout=600)
    (wheel,) = Path(WHEELS).glob(f"sglang-{release}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".py")])
    return folder / "sglang"


@pytest.mark.parametrize("release", RELEASES[-5:])
def test_the_static_reading_finds_every_flag(release: str, tmp_path: Path) -> None:
    package = package_of(release, tmp_path)
    flags, expected = extract.read_flags(extract.parser_from_source(package)), known(release)
    extract.check(release, flags)
    assert set(flags) == set(expected)
    for name, flag in flags.items():
        facts = expected[name]
        assert flag["kind"] == facts["kind"], name
        assert flag["aliases"] == facts.get("aliases", []), name
        if flag["choices"] is not None:
            assert sorted(map(str, flag["choices"])) == sorted(map(str, facts["choices"])), name
    assert len(installed.chat_templates(package)) > 10


def test_the_static_reading_is_what_the_pinned_parser_says(tmp_path: Path) -> None:
    package = package_of(TABLE["version"], tmp_path)
    flags = extract.read_flags(extract.parser_from_source(package))
    expected = TABLE["flags"]
    assert set(flags) == set(expected)
    for name, flag in flags.items():
        if isinstance(flag["choices"], list):
            flag["choices"], of = sorted(flag["choices"], key=str), expected[name]["choices"]
            expected[name]["choices"] = sorted(of, key=str)
        assert flag == expected[name], name
