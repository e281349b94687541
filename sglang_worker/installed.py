"""Which SGLang is installed, and its flags when the table is another release's.

Run by another Python it prints what that one has: `python3 installed.py`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A template that SGLang knows by its name, as it registers one.
_TEMPLATE = re.compile(r"""\bname\s*=\s*["']([\w.-]+)["']""")
_VERSION = re.compile(r"""^__version__\s*=.*?["'](\d[\w.+-]*)["']""", re.M)


@dataclass(frozen=True)
class Installed:
    """The SGLang that is going to run: its release, empty when that cannot be told, and where."""

    version: str = ""
    folder: Path = Path()


def own() -> Installed | None:
    """What this Python would import, without doing so: that takes most of a minute."""
    try:
        spec = importlib.util.find_spec("sglang")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    folder = Path(spec.origin).parent
    try:
        return Installed(importlib.metadata.version("sglang"), folder)
    except importlib.metadata.PackageNotFoundError:
        pass
    for name in ("_version.py", "version.py", "__init__.py"):
        file = folder / name
        if file.is_file() and (match := _VERSION.search(file.read_text("utf-8", "replace"))):
            return Installed(match[1], folder)
    return Installed("", folder)


def find(python: str, env: Mapping[str, str]) -> Installed | None:
    """What `python` would import, or this Python when that is empty."""
    if not python or python == sys.executable:
        return own()
    try:
        done = subprocess.run(
            [python, __file__],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        version, folder = json.loads(done.stdout)
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return None  # the start itself says what is wrong with it
    return Installed(version, Path(folder))


def adapt(data: dict[str, Any], found: Installed, warnings: list[str]) -> dict[str, Any]:
    """The table `data` for the release that is installed: read from its source when it is another
    one's. When that fails, `data` as it is and a warning."""
    if found.version in ("", data["version"]):
        return data
    from sglang_worker import extract  # not needed in the image, whose build has asked the parser

    try:
        flags = extract.read_flags(extract.parser_from_source(found.folder))
        extract.check(found.version, flags)
    except (OSError, ValueError, extract.ImplausibleError) as error:
        warnings.append(
            f"SGLang {found.version} is installed, but its flags cannot be read from "
            f"{found.folder} ({error}): those of {data['version']} are taken, so new ones are "
            "unknown, and ones that are gone stop the server"
        )
        return data
    retired = extract.retire(data, found.version, flags)
    return {"version": found.version, "flags": flags, "retired": retired}


def chat_templates(folder: Path) -> set[str]:
    """The names of the chat templates that come with the SGLang in `folder`, and some more that
    stand beside them; empty when they cannot be found."""
    files = [folder / "srt" / "conversation.py", *(folder / "srt" / "parser").glob("*.py")]
    return {
        name
        for file in files
        if file.is_file()
        for name in _TEMPLATE.findall(file.read_text("utf-8", "replace"))
    }


if __name__ == "__main__":
    here = own()
    print(json.dumps([here.version, str(here.folder)] if here else None))
