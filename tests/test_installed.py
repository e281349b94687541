"""The flags are those of the SGLang that is installed, whatever release the table is for.

The sources here are made up: as small as can be, in the two shapes that SGLang's have.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Worker

from sglang_worker import extract, installed
from sglang_worker.config import load_config
from sglang_worker.flags import FlagTable

TABLE_FILE = ROOT / "sglang_worker/sglang_flags.json"
TABLE = json.loads(TABLE_FILE.read_text("utf-8"))
MODEL = {"LOCAL_MODEL_ARGS": "/nonexistent", "MODEL_NAME": "org/model", "ADMIN_ROUTES": "true"}

#: As up to 0.5.19: one dataclass, and a registration for each of its fields.
REGISTERED = """
import argparse, dataclasses, json, os
from sglang.srt.parser.names import Parsers, MODES, MORE
from sglang.srt.elsewhere import Kind

BACKENDS = ["triton", "flashinfer"]
SAMPLERS = {"pytorch", "ascend"}

class DeprecatedAction(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        raise ValueError(self.help)

@dataclasses.dataclass
class ServerArgs:
    model_path: str
    tp_size: int = 1
    host: str = "127.0.0.1"
    limit: int = 10 * 1024

    @staticmethod
    def add_cli_args(parser):
        parsers = list(Parsers.table.keys())
        parser.add_argument("--model-path", "--model", type=str, required=True)
        parser.add_argument("--host", type=str, default=ServerArgs.host)
        parser.add_argument("--port", type=int, default=30000)
        parser.add_argument("--api-key", type=str)
        parser.add_argument("--tensor-parallel-size", "--tp-size", type=int,
                            default=ServerArgs.tp_size)
        parser.add_argument("--limit", type=int, default=ServerArgs.limit)
        parser.add_argument("--new-switch", action="store_true")
        parser.add_argument("--both-ways", action=argparse.BooleanOptionalAction, default=True)
        parser.add_argument("--items", nargs="+", type=float)
        parser.add_argument("--maybe", nargs="?", const=None, type=str)
        parser.add_argument("--extra", type=str, default="{}")
        parser.add_argument("--hooks", type=json.loads)
        parser.add_argument("--backend", choices=BACKENDS + ["new"])
        parser.add_argument("--sampler", choices=SAMPLERS)
        parser.add_argument("--parser", choices=["auto"] + parsers)
        parser.add_argument("--mode", choices=[*MODES, "last"])
        parser.add_argument("--kind", choices=[k.name.lower() for k in Kind])
        parser.add_argument("--open", choices=os.listdir("/"))
        parser.add_argument("--unread", choices=MORE)
        parser.add_argument("--old", action=DeprecatedAction, help="Deprecated. Use --backend.")
"""
NAMES = """
class Parsers:
    table = {"one": object, "two": object}
MODES = ["first", "second"]
MORE = sorted(open("names"))
"""
KINDS = """
import enum
class Kind(enum.IntEnum):
    NONE = 0
    ALL = 1
"""
#: As from 0.5.21 on: the fields of a dataclass for each group are flags by their types.
FIELDS = """
from __future__ import annotations
import json
from dataclasses import dataclass
from typing import Annotated as A, List, Literal, Optional
from sglang.srt.arg_groups.choices import BACKENDS, SAMPLERS
from sglang.srt.arg_groups.arg import Arg

@dataclass
class Serving:
    model_path: A[str, Arg(help="The model.", aliases=["--model"])]
    host: A[str, "Where to listen."] = "127.0.0.1"
    port: A[int, "The port."] = 30000
    api_key: A[Optional[str], "The key."] = None
    tp_size: A[int, Arg(help="GPUs.", aliases=["--tensor-parallel-size"])] = 1
    new_switch: A[bool, "A switch."] = False
    items: A[Optional[List[float]], "Some."] = None
    extra: A[str, "Some."] = "{}"
    hooks: A[Optional[dict], Arg(help="JSON.", type_parser=json.loads)] = None
    backend: A[Optional[str], Arg(help="One.", choices=BACKENDS)] = None
    sampler: A[Optional[str], Arg(help="One.", choices=SAMPLERS)] = None
    kind: A[Literal["none", "all"], "One."] = "none"
    named: A[str, Arg(help="Another name.", cli_name="--other-name")] = ""
    inner: A[int, Arg(help="No flag.", no_cli=True)] = 0
    plain: int = 0
"""
CHOICES = """
BACKENDS = ["triton", "flashinfer", "new"]
BUILT_IN = frozenset({"pytorch", "ascend"})
SAMPLERS = set(BUILT_IN)
"""
ARGS = """
def _parsers():
    import sys
    if "x" in sys.modules:
        return list(sys.modules["x"].names)
    from sglang.srt.parser.names import MODES
    return list(MODES)

class ServerArgs:
    @classmethod
    def add_cli_args(cls, parser):
        parsers = _parsers()
        parser.add_argument("--parser", choices=["auto"] + parsers)
"""


def write(folder: Path, files: dict[str, str], version: str = "0.6.0") -> Path:
    """A package that looks like SGLang."""
    package = folder / "sglang"
    files = {"__init__.py": "", "version.py": f'__version__ = "{version}"\n'} | files
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def older(folder: Path, version: str = "0.6.0") -> Path:
    numbers = [f'        parser.add_argument("--number-{n}", type=int)\n' for n in range(100)]
    files = {
        "srt/server_args.py": REGISTERED + "".join(numbers),
        "srt/parser/names.py": NAMES,
        "srt/elsewhere.py": KINDS,
    }
    return write(folder, files, version)


def newer(folder: Path, version: str = "0.6.0") -> Path:
    many = "".join(f'    number_{n}: A[int, "A number."] = {n}\n' for n in range(100))
    files = {
        "srt/server_args.py": ARGS,
        "srt/arg_groups/choices.py": CHOICES,
        "srt/arg_groups/fields/serving.py": FIELDS,
        "srt/arg_groups/fields/numbers.py": FIELDS.split("@dataclass", 1)[0]
        + "@dataclass\nclass Numbers:\n" + many,
        "srt/parser/names.py": NAMES,
    }  # fmt: skip
    return write(folder, files, version)


def read(package: Path) -> dict[str, dict[str, Any]]:
    return extract.read_flags(extract.parser_from_source(package))


def test_registrations_are_read(tmp_path: Path) -> None:
    flags = read(older(tmp_path))
    kinds = {name: flag["kind"] for name, flag in flags.items() if "number" not in name}
    assert kinds == {
        "--model-path": "value", "--host": "value", "--port": "value", "--api-key": "value",
        "--tensor-parallel-size": "value", "--limit": "value", "--new-switch": "store_true",
        "--both-ways": "boolean_optional", "--items": "list", "--maybe": "optional_value",
        "--extra": "value", "--hooks": "value", "--backend": "value", "--sampler": "value",
        "--parser": "value", "--mode": "value", "--kind": "value", "--open": "value",
        "--unread": "value", "--old": "no_value",
    }  # fmt: skip
    choices = {name: flag["choices"] for name, flag in flags.items() if flag["choices"]}
    assert choices == {
        "--backend": ["triton", "flashinfer", "new"],
        "--sampler": ["ascend", "pytorch"],
        "--parser": ["auto", "one", "two"],
        "--mode": ["first", "second", "last"],
        "--kind": ["none", "all"],
    }
    assert flags["--model-path"]["aliases"] == ["--model"] and flags["--model-path"]["required"]
    assert flags["--tensor-parallel-size"]["default"] == 1
    assert flags["--tensor-parallel-size"]["dest"] == "tensor_parallel_size"
    assert flags["--limit"]["default"] == 10 * 1024
    assert (flags["--items"]["type"], flags["--hooks"]["type"]) == ("float", "loads")
    assert flags["--extra"]["json"]
    assert "stops" in flags["--old"]["effect"] and flags["--old"]["replacement"] == "--backend"


def test_fields_are_read(tmp_path: Path) -> None:
    flags = read(newer(tmp_path))
    assert len(flags) == 114
    assert not {"--inner", "--plain", "--named"} & set(flags)
    assert flags["--model-path"]["aliases"] == ["--model"] and flags["--model-path"]["required"]
    kinds = {name: flags[name]["kind"] for name in ("--new-switch", "--items", "--tp-size")}
    assert kinds == {"--new-switch": "store_true", "--items": "list", "--tp-size": "value"}
    assert (flags["--items"]["type"], flags["--hooks"]["type"]) == ("float", "loads")
    assert (flags["--tp-size"]["type"], flags["--number-7"]["default"]) == ("int", 7)
    assert flags["--backend"]["choices"] == ["triton", "flashinfer", "new"]
    assert flags["--sampler"]["choices"] == ["ascend", "pytorch"]
    assert flags["--kind"]["choices"] == ["none", "all"]
    assert flags["--parser"]["choices"] == ["auto", "first", "second"]
    assert "--other-name" in flags


@pytest.fixture(params=[older, newer])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An installed SGLang that the table does not know, in both shapes."""
    return request.param(tmp_path)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has the configuration find this SGLang."""

    def use(package: Path) -> None:
        monkeypatch.delitem(sys.modules, "sglang", raising=False)
        monkeypatch.syspath_prepend(str(package.parent))

    return use


def test_the_installed_release_decides(package: Path, use: Callable[[Path], None]) -> None:
    use(package)
    config = load_config(MODEL | {"NEW_SWITCH": "true", "BACKEND": "new", "TP_SIZE": "2"})
    assert config.sglang == "0.6.0"
    passed = config.arguments.public()
    assert "--new-switch" in passed and "--backend=new" in passed
    assert any(word in passed for word in ("--tp-size=2", "--tensor-parallel-size=2"))
    assert config.arguments.warnings == []


def test_what_it_lacks_is_said_and_not_passed(package: Path, use: Callable[[Path], None]) -> None:
    use(package)
    config = load_config(MODEL | {"ATTENTION_BACKEND": "fa3"})
    assert not any("attention" in word for word in config.arguments.public())
    assert config.arguments.warnings == [
        "ATTENTION_BACKEND has no effect: SGLang 0.6.0 no longer has --attention-backend; "
        "nothing takes its place; remove it"
    ]


def test_an_older_release_has_not_dropped_what_it_does_not_have_yet(
    tmp_path: Path, use: Callable[[Path], None]
) -> None:
    use(older(tmp_path, "0.4.0"))
    config = load_config(MODEL | {"ATTENTION_BACKEND": "fa3"})
    (line,) = config.arguments.warnings
    assert "SGLang 0.4.0 has no --attention-backend;" in line


def test_choices_that_only_running_code_knows_are_not_judged(
    tmp_path: Path, use: Callable[[Path], None]
) -> None:
    use(older(tmp_path))
    assert "--open=any" in load_config(MODEL | {"OPEN": "any"}).arguments.public()
    assert "--unread=any" in load_config(MODEL | {"UNREAD": "any"}).arguments.public()


@pytest.mark.parametrize("text", ["def (", "class ServerArgs: pass\n", ""])
def test_a_source_that_cannot_be_read_is_said(
    tmp_path: Path, use: Callable[[Path], None], text: str
) -> None:
    use(write(tmp_path, {"srt/server_args.py": text}))
    config = load_config(MODEL | {"TP_SIZE": "2"})
    (line,) = config.arguments.warnings
    assert line.startswith("SGLang 0.6.0 is installed, but its flags cannot be read from ")
    assert f"those of {TABLE['version']} are taken" in line
    assert config.sglang == "0.6.0", "the log names what is installed"
    assert "--tp-size=2" in config.arguments.public()


def test_a_table_of_the_same_release_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installed.Installed(TABLE["version"], tmp_path)
    assert installed.adapt(TABLE, found, []) is TABLE
    assert installed.adapt(TABLE, installed.Installed("", tmp_path), []) is TABLE


def test_a_table_that_somebody_names_is_taken(package: Path, use: Callable[[Path], None]) -> None:
    use(package)
    config = load_config(MODEL | {"SGLANG_FLAGS": str(TABLE_FILE), "ATTENTION_BACKEND": "fa3"})
    assert "--attention-backend=fa3" in config.arguments.public()
    assert config.arguments.warnings == [
        f"SGLANG_FLAGS names the flags of SGLang {TABLE['version']}, and 0.6.0 is installed"
    ]
    assert config.sglang == "0.6.0"


def test_another_python_is_asked(tmp_path: Path) -> None:
    package = newer(tmp_path)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    found = installed.find(str(python), {"PATH": "/usr/bin:/bin"})
    assert found == installed.Installed("0.6.0", package)
    assert installed.find("/nonexistent/python", {}) is None
    assert installed.find("/bin/false", {}) is None
    config = load_config(MODEL | {"SGLANG_PYTHON": str(python), "NEW_SWITCH": "1"})
    assert (config.sglang, config.command[0]) == ("0.6.0", str(python))


def test_it_prints_what_this_python_has(tmp_path: Path) -> None:
    package = older(tmp_path)
    for path, expected in ((tmp_path, ["0.6.0", str(package)]), (tmp_path / "none", None)):
        done = subprocess.run(
            [sys.executable, "-I", "-c", textwrap.dedent(f"""
                import runpy, sys
                sys.path.insert(0, {str(path)!r})
                runpy.run_path({installed.__file__!r}, run_name="__main__")
            """)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout) == expected


def test_a_retired_flag_that_is_back_is_a_flag(tmp_path: Path) -> None:
    table = FlagTable.of(
        installed.adapt(
            TABLE | {"retired": {"--backend": {"kind": "value", "gone": "0.1"}}},
            installed.Installed("0.6.0", older(tmp_path)),
            [],
        )
    )
    assert "BACKEND" in table.env_names and "BACKEND" not in table.retired_env


def test_a_worker_starts_what_is_installed(
    package: Path, start_worker: Callable[..., Worker]
) -> None:
    (package / "launch_server.py").write_text(
        "import sys\nprint('started with', sys.argv[1:], flush=True)\nsys.exit(3)\n"
    )
    worker = start_worker(
        {"PYTHONPATH": str(package.parent), "NEW_SWITCH": "on"},
        arguments=[str(ROOT / "engine.py")],
    )
    worker.wait(20)
    assert "starting SGLang 0.6.0: " in worker.log
    assert "started with" in worker.log and "'--new-switch'" in worker.log
