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
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def _extractor() -> ModuleType:
    """The worker's own reader, by its path: neither the worker's folder nor its modules may come
    in SGLang's way."""
    path = Path(__file__).resolve().parent.parent / "sglang_worker" / "extract.py"
    spec = importlib.util.spec_from_file_location("extract", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


extract = _extractor()


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


def render(version: str, flags: dict[str, Any], retired: dict[str, Any]) -> str:
    """The file: one flag a line, so that a difference can be read."""

    def lines(table: dict[str, Any]) -> str:
        return ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items())

    # The worker reads a variable for each of these flags, and takes these words (in any case) as
    # `true`: `cargo xtask compare` goes by this.
    blocks = [f'  "version": {json.dumps(version)}', '  "environment_interface": true']
    blocks.append('  "true_words": ["1", "on", "true", "yes"]')
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
        flags = extract.read_flags(build_parser())
        extract.check(version, flags)
    except ImportError as error:
        sys.exit(f"sglang_flags: SGLang cannot be imported: {error}")
    except extract.ImplausibleError as error:
        sys.exit(f"sglang_flags: refused: {error}")
    if old.get("flags") and len(flags) * 2 < len(old["flags"]):
        sys.exit(f"sglang_flags: refused: {len(flags)} flags, {len(old['flags'])} before")
    temporary = given.output.with_name(given.output.name + ".new")
    temporary.write_text(render(version, flags, extract.retire(old, version, flags)), "utf-8")
    temporary.replace(given.output)
    print(f"{given.output}: {len(flags)} flags of SGLang {version}")


if __name__ == "__main__":
    main()
