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
from pathlib import Path
from typing import Any

#: A template that SGLang knows by its name, as it registers one.
_TEMPLATE = re.compile(r"""\bname\s*=\s*["']([\w.-]+)["']""")
_VERSION = re.compile(r"""^__version__\s*=.*?["'](\d[\w.+-]*)["']""", re.M)


def own() -> tuple[str, str] | None:
    """The release that this Python would import and its folder; importing it takes a minute."""
    try:
        spec = importlib.util.find_spec("sglang")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    folder = Path(spec.origin).parent
    try:
        return importlib.metadata.version("sglang"), str(folder)
    except importlib.metadata.PackageNotFoundError:
        pass
    for name in ("_version.py", "version.py", "__init__.py"):
        file = folder / name
        if file.is_file() and (match := _VERSION.search(file.read_text("utf-8", "replace"))):
            return match[1], str(folder)
    return None


def find(python: str, env: Mapping[str, str]) -> tuple[str, Path] | None:
    """Release and folder of the SGLang that `python`, or without one this Python, will run."""
    if not python or python == sys.executable:
        found = own()
    else:
        try:
            done = subprocess.run(
                [python, __file__],
                env=dict(env),
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            found = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None  # the start itself says what is wrong with it
    return (found[0], Path(found[1])) if found else None


def adapt(data: dict[str, Any], version: str, folder: Path, warnings: list[str]) -> dict[str, Any]:
    """The table `data` for the release that is installed: read from its source when it is another
    one's. When that fails, `data` as it is and a warning."""
    if version == data["version"]:
        return data
    from sglang_worker import extract  # not needed in the image, whose build has asked the parser

    try:
        flags = extract.read_flags(extract.parser_from_source(folder))
        extract.check(version, flags)
    except (OSError, ValueError, extract.ImplausibleError) as error:
        warnings.append(
            f"SGLang {version} is installed, the table of flags is {data['version']}'s, and the "
            f"flags of the former cannot be read from {folder} ({error}): "
            "new flags are taken for unknown ones"
        )
        return data
    return {
        "version": version,
        "flags": flags,
        "retired": extract.retire(data, version, flags),
    }


def chat_templates(folder: Path) -> set[str]:
    """The names of the chat templates that come with the SGLang in `folder`; empty when unknown."""
    for place in ("srt/parser/conversation.py", "srt/conversation.py"):
        file = folder / place
        if file.is_file():
            return set(_TEMPLATE.findall(file.read_text("utf-8", "replace")))
    return set()


if __name__ == "__main__":
    print(json.dumps(own()))
