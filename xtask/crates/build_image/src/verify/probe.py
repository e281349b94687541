"""Says what an image's Python is, has and can import; runs in the image, reads one JSON object from
standard input and prints one.

`modules` are imported; `packages` (each with the requirement that names it) are asked for their
versions, which are held against what is asked for, as is Python's against `python`; a table of SGLang's flags in the
working directory is asked for the release that it is of. Whatever a module prints goes to standard
error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from typing import Any


def trouble_with(module: str) -> str | None:
    """Why a module cannot be imported, in a line."""
    try:
        importlib.import_module(module)
    except BaseException as error:
        last = str(error).strip().splitlines()[-1:] or [""]
        return f"{type(error).__name__}: {last[0]}"
    return None


def version_of(package: str) -> str | None:
    """The version that is installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def unfit(wanted: dict[str, str], versions: dict[str, str | None]) -> list[str] | None:
    """The names whose versions are not what a requirement asks for; None where nothing can tell.

    A pre-release counts as its release.
    """
    for place in ("packaging", "pip._vendor.packaging", "setuptools._vendor.packaging"):
        try:
            requirements = importlib.import_module(f"{place}.requirements")
            releases = importlib.import_module(f"{place}.version")
            break
        except ImportError:
            continue
    else:
        return None
    found = []
    for name, text in wanted.items():
        try:
            specifier = requirements.Requirement(text).specifier
            version = releases.Version(versions.get(name) or "").base_version
        except ValueError:
            continue
        if not specifier.contains(version, prereleases=True):
            found.append(name)
    return found


def conflicts() -> dict[str, Any]:
    """What the packages ask of each other and don't get, by whichever checker is there."""
    checkers = []
    if importlib.util.find_spec("pip"):
        checkers.append(("pip", [sys.executable, "-m", "pip", "--no-color", "check"]))
    if uv := shutil.which("uv"):
        checkers.append(("uv", [uv, "--no-config", "pip", "check", "--python", sys.executable]))
    for name, command in checkers:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        lines = [line.strip() for line in done.stdout.splitlines() + done.stderr.splitlines()]
        # uv counts what it looked at, and says what is wrong line by line behind that.
        found = [line for line in lines if " requires " in line or " has requirement " in line]
        if done.returncode == 0:
            return {"checker": name, "conflicts": []}
        if found:
            return {"checker": name, "conflicts": found}
    return {"checker": None, "conflicts": []}


def sglang_version() -> str | None:
    """SGLang's release, also where it is a folder and no package."""
    if found := version_of("sglang"):
        return found
    try:
        import sglang
    except ImportError:
        return None
    return str(getattr(sglang, "__version__", "")) or None


def table_version() -> str | None:
    """The release that the table of flags is of."""
    try:
        with open("sglang_worker/sglang_flags.json", encoding="utf-8") as file:
            return str(json.load(file)["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main() -> None:
    """Reads what is asked and answers it."""
    asked: dict[str, Any] = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    python = "{}.{}.{}".format(*sys.version_info[:3])
    packages = {name: version_of(name) for name in asked["packages"]}
    wanted = asked["packages"] | {"python": f"python{asked['python']}"}
    answer = {
        "python": python,
        "modules": {name: trouble_with(name) for name in asked["modules"]},
        "packages": packages,
        "unfit": unfit(wanted, packages | {"python": python}),
        "sglang": sglang_version() if asked["modules"] else None,
        "table": table_version(),
    }
    json.dump(answer | conflicts(), answers)
    answers.flush()
    # Threads that a module has started must not keep this from ending.
    os._exit(0)


if __name__ == "__main__":
    main()
