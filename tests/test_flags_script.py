"""The script that writes the table of SGLang's flags."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STANDIN

from utils import TRUE_WORDS

SCRIPT = ROOT / "scripts" / "sglang_flags.py"
TABLE = ROOT / "sglang_worker" / "sglang_flags.json"


def run(output: Path, *arguments: str, path: Path = STANDIN, **env: str) -> Any:
    """Runs the script with the SGLang that `path` holds."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--output", str(output), *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(path)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_writes_what_the_parser_registers(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    done = run(output)
    assert done.returncode == 0, done.stderr
    written, expected = json.loads(output.read_text()), json.loads(TABLE.read_text())
    assert written["version"] == expected["version"]
    assert written["true_words"] == expected["true_words"] == sorted(TRUE_WORDS)
    assert list(written["flags"]) == list(expected["flags"])
    for name, flag in expected["flags"].items():
        assert written["flags"][name] == flag, name


def test_what_a_release_drops_is_kept_as_retired(tmp_path: Path) -> None:
    newer = json.loads(TABLE.read_text())
    pinned, newer["version"] = newer["version"], "9.9.9"
    del newer["flags"]["--dtype"]
    newer["flags"]["--tp-size"]["aliases"] = []
    newer["flags"]["--enable-mla"] = newer["flags"]["--trust-remote-code"] | {"dest": "mla"}
    newer["flags"]["--something-new"] = newer["flags"]["--tokenizer-path"] | {"dest": "new"}
    flags = tmp_path / "newer.json"
    flags.write_text(json.dumps(newer))
    output = tmp_path / "flags.json"
    shutil.copy(TABLE, output)
    done = run(output, "--if-different", STANDIN_FLAGS=str(flags))
    assert done.returncode == 0, done.stderr
    written = json.loads(output.read_text())
    assert written["version"] == "9.9.9"
    assert "--something-new" in written["flags"]
    retired = written["retired"]
    expected = {"kind": "value", "last": pinned, "gone": "9.9.9", "instead": None}
    assert retired["--dtype"] == expected | {"nearest": None}
    assert retired["--tensor-parallel-size"]["instead"] == ["--tp-size"]
    assert retired["--max-num-reqs"]["gone"] == "0.3.2", "what was known stays known"
    assert "--enable-mla" not in retired, "what is back is not retired"


def test_it_leaves_a_table_of_the_same_release_alone(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    shutil.copy(TABLE, output)
    done = run(output, "--if-different")
    assert (done.returncode, output.read_text()) == (0, TABLE.read_text())
    assert "already" in done.stdout


def test_the_table_is_to_the_letter_what_is_written(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    shutil.copy(TABLE, output)
    assert run(output).returncode == 0
    assert output.read_text() == TABLE.read_text()


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    assert run(output).returncode == 0
    first = output.read_text()
    assert run(output).returncode == 0
    assert output.read_text() == first


def write_sglang(folder: Path, version: str, registration: str) -> Path:
    """A package that only looks like SGLang."""
    package = folder / "fake" / "sglang"
    (package / "srt").mkdir(parents=True)
    (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    (package / "srt" / "__init__.py").write_text("")
    (package / "srt" / "server_args.py").write_text(
        "class ServerArgs:\n"
        "    @staticmethod\n"
        "    def add_cli_args(parser):\n"
        f"        {registration}\n"
    )
    return package.parent


MANY = "[parser.add_argument(f'--flag-{n}') for n in range(300)]"
ALL = MANY + "; [parser.add_argument(n) for n in ('--model-path', '--host', '--port', '--api-key')]"


@pytest.mark.parametrize(
    ("version", "registration", "words"),
    [
        ("0.6.0", "parser.add_argument('--model-path')", "only 1 flags"),
        ("0.6.0", MANY, "--model-path, --host, --port, --api-key missing"),
        ("unknown", ALL, "'unknown' is no version"),
        ("0.6.0", "import no_such_thing", "SGLang cannot be imported"),
    ],
)
def test_an_implausible_result_is_refused(
    tmp_path: Path, version: str, registration: str, words: str
) -> None:
    output = tmp_path / "flags.json"
    shutil.copy(TABLE, output)
    done = run(output, path=write_sglang(tmp_path, version, registration))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert output.read_text() == TABLE.read_text(), "the table stays as it was"


@pytest.mark.parametrize(
    ("help_text", "deprecated"),
    [
        ("Deprecated. Use --new instead.", True),
        ("[Deprecated] Use --new instead.", True),
        ("(Deprecated: use --new) Does a thing.", True),
        ("(Deprecated, use --new) Does a thing.", True),
        ("Note: --old is deprecated now.", True),
        ("Does a thing. Replaces the deprecated --older.", False),
        ("Takes JSON. The key `a` is deprecated; --older is deprecated too.", False),
        ("Does a thing.", False),
    ],
)
def test_deprecated_is_what_says_so_of_itself(
    tmp_path: Path, help_text: str, deprecated: bool
) -> None:
    output = tmp_path / "flags.json"
    more = f"; parser.add_argument('--old', help={help_text!r})"
    done = run(output, path=write_sglang(tmp_path, "0.6.0", ALL + more))
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["flags"]["--old"]["deprecated"] is deprecated


def test_half_as_many_flags_as_before_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    shutil.copy(TABLE, output)
    fewer = ALL.replace("300", "150")
    done = run(output, path=write_sglang(tmp_path, "0.6.0", fewer))
    assert done.returncode == 1
    before = len(json.loads(TABLE.read_text())["flags"])
    assert f"refused: 154 flags, {before} before" in done.stderr


def test_a_plausible_result_is_taken(tmp_path: Path) -> None:
    output = tmp_path / "flags.json"
    done = run(output, path=write_sglang(tmp_path, "0.6.0", ALL))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(output.read_text())["flags"]) == 304
