"""Checks an image from within: its files, its Python, its packages and SGLang's flags. Runs in the
image, reads one JSON object from standard input and prints one, with a list of checks.

`files` are what the Dockerfile copies, by their places; `modules` are imported; `packages`, each
with the requirement that names it, and `python` are what is asked for; `script` reads SGLang's
parser with the module `reader`, and `table` is the repository's table of its flags. Nothing in the
image is changed. Without `files` only the packages' conflicts are told.
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
import tempfile
from pathlib import Path
from typing import Any

TABLE = "sglang_worker/sglang_flags.json"
# The fields that come from the parser itself. A table may have more, guessed from help texts.
SAID = ("kind", "type", "choices", "default", "aliases", "dest", "nargs", "required", "deprecated")


def check(name: str, wrong: list[str], helps: str, fine: str, *notes: str) -> dict[str, Any]:
    """A check with its verdict and words."""
    words = [*wrong, helps] if wrong and helps else wrong or [fine]
    return told(name, "failed" if wrong else "passed", *words, *notes)


def told(name: str, verdict: str, *words: str) -> dict[str, Any]:
    """A check as the report has it."""
    return {"name": name, "verdict": verdict, "words": words}


def files(asked: dict[str, Any]) -> dict[str, Any]:
    """Whether every copied file is there, as it is in the work tree. The flags have their own."""
    wrong = []
    for place, (path, text) in asked["files"].items():
        here, found = text.encode("latin-1"), Path("/", place)
        try:
            if found.is_symlink():
                what = f"a link to {os.readlink(found)}"
            elif found.is_file():
                data = found.read_bytes()
                if data == here or (path == TABLE and asked["script"]):
                    continue
                what = f"not what {path} is here ({len(data)} bytes, {len(here)} here)"
            else:
                what = "no file" if found.exists() else "not in the image"
        except OSError as error:
            what = f"not to be read ({error.strerror})"
        wrong.append(f"{found} is {what}, and the Dockerfile copies {path} there")
    helps = "build the image again, or see what in the build changes them or takes them away"
    fine = f"{len(asked['files'])} files of the repository, each as it is here"
    return check("files", wrong, helps, fine)


def trouble_with(module: str) -> str | None:
    """Why a module cannot be imported, in a line."""
    try:
        importlib.import_module(module)
    except BaseException as error:
        last = str(error).strip().splitlines()[-1:] or [""]
        return f"{type(error).__name__}: {last[0]}"
    return None


def modules(names: list[str]) -> dict[str, Any]:
    """Whether the worker's modules import."""
    if not names:
        return told("modules", "skipped", "the Dockerfile copies no Python module into WORKDIR")
    troubles = {name: trouble_with(name) for name in names}
    wrong = [f"{name} can't be imported: {why}" for name, why in troubles.items() if why]
    helps = "see what the Dockerfile copies and what requirements.txt names"
    return check("modules", wrong, helps, f"{len(names)} modules import")


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


def sglang_version() -> str | None:
    """SGLang's release, also where it is a folder and no package."""
    if found := version_of("sglang"):
        return found
    try:
        import sglang
    except ImportError:
        return None
    return str(getattr(sglang, "__version__", "")) or None


def versions(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Python and what requirements.txt names, against what is asked for."""
    python = "{}.{}.{}".format(*sys.version_info[:3])
    wanted = asked["packages"] | {"python": f"python{asked['python']}"}
    installed = {name: version_of(name) for name in asked["packages"]}
    wrongly = unfit(wanted, installed | {"python": python})
    old = f"Python is {python}, and the worker is written for {asked['python']}"
    helps = "take a base image with another Python"
    wrong = []
    for name, text in asked["packages"].items():
        version, asks = installed[name], f"and requirements.txt asks for {text}"
        if version is None and ";" not in text:
            wrong.append(f"{name} is not installed, {asks}: see the build's `pip install`")
        elif version and name in (wrongly or []):
            wrong.append(f"{name} is {version}, {asks}: something later in the build replaces it")
    sglang = sglang_version()
    if sglang is None:
        wrong.append("SGLang is not installed: take one of SGLang's own images as the base image")
    seen = [f"{name} {version}" for name, version in installed.items() if version]
    fine = ", ".join([*seen, f"SGLang {sglang}"])
    unknown = "not compared with what is asked for: the image has neither packaging nor pip"
    return [
        check("python", [old] if "python" in (wrongly or []) else [], helps, f"Python {python}"),
        check("versions", wrong, "", fine, *([unknown] if wrongly is None else [])),
    ]


def conflicts() -> tuple[str | None, list[str]]:
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
            return name, []
        if found:
            return name, found
    return None, []


def packages(base: list[str] | None, checker: str | None, found: list[str]) -> dict[str, Any]:
    """Whether the packages fit each other, apart from what the base image has already."""
    if checker is None:
        return told("packages", "skipped", "the image has neither pip nor uv to check them with")
    own = [line for line in found if line in (base or [])]
    new = [line for line in found if line not in own]
    more = [f"the base image itself has {len(own)} more"] if own else []
    fine = f"{checker} check finds no conflict that the worker brings"
    if new and base is None:
        helps = "the base image, which may have had them before, could not be asked: pull it"
        return told("packages", "warning", *new, helps)
    helps = "not in the base image: choose versions in requirements.txt that fit what that has"
    return check("packages", new, helps, fine, *more)


def made_table(asked: dict[str, Any]) -> str:
    """The repository's table brought up to what the image's parser takes."""
    with tempfile.TemporaryDirectory() as scratch:
        script, table = Path(scratch, "scripts", "sglang_flags.py"), Path(scratch, "flags.json")
        reader = Path(scratch, "sglang_worker", "extract.py")
        for path, text in (
            (script, asked["script"]),
            (reader, asked["reader"]),
            (table, asked["table"]),
        ):
            if text is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, "utf-8")
        done = subprocess.run(
            [sys.executable, str(script), "--output", str(table)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return table.read_text("utf-8")
        raise ValueError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])


def differences(table: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """How the flags that a parser takes differ from a table's: what is added, gone and changed."""
    both = [name for name in made if name in table]
    kinds = {
        "added": [name for name in made if name not in table],
        "gone": [name for name in table if name not in made],
        "changed": [
            name
            for name in both
            if any(table[name].get(field) != made[name].get(field) for field in SAID)
        ],
    }
    told = {kind: some[:12] + ["…"] * (len(some) > 12) for kind, some in kinds.items() if some}
    return [f"{len(kinds[kind])} {kind}: {', '.join(some)}" for kind, some in told.items()]


def unlike(text: str | None, release: str, takes: dict[str, Any]) -> tuple[str, list[str]]:
    """The release that a table of flags is for, and how it is not what SGLang's parser takes."""
    if text is None:
        return release, ["missing, and engine.py reads it"]
    try:
        table = json.loads(text)
        version, lines = table["version"], differences(table["flags"], takes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return release, ["no table of flags"]
    if version != release:
        return version, [f"for SGLang {version}, and the image has {release}:", *lines]
    return release, [f"not what its SGLang {release} takes:", *lines] if lines else []


def flags(asked: dict[str, Any]) -> dict[str, Any]:
    """The flag tables of the image and of the repository against SGLang's own parser."""
    if asked["script"] is None:
        why = "the repository has no scripts/sglang_flags.py, which reads SGLang's parser"
        return told("flags", "skipped", why)
    place = Path(TABLE)
    try:
        text = made_table(asked)
        made = json.loads(text)
        release, takes = made["version"], made["flags"]
    except (ValueError, KeyError, TypeError) as error:
        return check("flags", [f"SGLang's parser can't be read in the image: {error}"], "", "")
    own = place.read_text("utf-8") if place.is_file() else None
    _, in_image = unlike(own, release, takes)
    version, here = unlike(asked["table"], release, takes)
    if asked["update"]:
        words = [f"{TABLE} is SGLang {release}'s already"]
        if asked["table"] != text:
            before = [f"before, it was {here[0]}", *here[1:]] if here else []
            words = [f"{TABLE} is written, for SGLang {release}", *before]
        if in_image:
            words.append("the image still has another table: build it again")
        return told("flags", "warning" if in_image else "passed", *words) | {"table": text}
    wrong, notes = [], []
    # The build writes the table of a base image with another SGLang.
    into = notes if version != release else wrong
    for whose, lines, all_of in (("image", in_image, wrong), ("repository", here, into)):
        all_of += [f"the {whose}'s {TABLE} is {line}" for line in lines[:1]] + lines[1:]
    helps = "`cargo xtask build-image --update-flags` writes the repository's; then build again"
    fine = f"{len(takes)} flags of SGLang {release}, as its own parser has them"
    return check("flags", wrong, helps, fine, *notes)


def main() -> None:
    """Reads what is asked and answers it."""
    asked: dict[str, Any] = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    # Whatever a module prints goes to standard error.
    os.dup2(2, 1)
    checker, found = conflicts()
    answer: Any = found if checker else None
    if "files" in asked:
        copied, imports = files(asked), modules(asked["modules"])
        python, fitting = versions(asked)
        fit = packages(asked.get("base"), checker, found)
        answer = [copied, python, imports, fit, fitting, flags(asked)]
    json.dump(answer, answers)
    answers.flush()
    # Threads that a module has started must not keep this from ending.
    os._exit(0)


if __name__ == "__main__":
    main()
