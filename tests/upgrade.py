"""Takes newer releases of SGLang in copies of this repository, as docs/upgrading-sglang.md says.

`cargo xtask test --stage upgrade` runs it. What the image's own SGLang would say of its flags is
taken from what the tool knows of the release; everything else is done as a person would do it, and
at the end the worker's tests, hub-lint, compare and `build-image --check` must pass.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = "sglang_worker/sglang_flags.json"
#: What a release's base image is called, and the CUDA that it needs.
IMAGE = "lmsysorg/sglang:v{}"
CUDA = "13.0"
LINE = "BASE_IMAGE_CU13"
BAKE = "docker-bake.hcl"
DOCUMENT = "docs/configuration.md"


def known(repository: Path, release: str) -> dict[str, Any]:
    """A release's flags: what the tool knows of them, and for the rest what the pinned one says."""
    data = repository / "xtask" / "data"
    index = json.loads((data / "sglang.json").read_text("utf-8"))["releases"].index(release)
    pinned = json.loads((repository / TABLE).read_text("utf-8"))["flags"]
    flags = {}
    for row in (data / "sglang.flags").read_text("utf-8").splitlines():
        name, _, definitions = row.partition(" ")
        for of, definition in json.loads(definitions):
            if index not in of:
                continue
            before = pinned.get(name, {"dest": name[2:].replace("-", "_")})
            kept = {
                key: before[key] for key in ("dest", "json", "hidden", "default") if key in before
            }
            flag = (
                {"type": None, "choices": None, "default": None, "aliases": []} | kept | definition
            )
            text = flag.get("deprecated")
            flag |= {"deprecated": bool(text)} | ({"deprecation": text} if text else {})
            flags[name] = flag
    return {"version": release, "flags": flags, "retired": {}}


class Walk:
    """One release, taken in a copy."""

    def __init__(self, release: str, xtask: str, folder: Path, tests: list[str]) -> None:
        self.release, self.xtask, self.folder = release, xtask, folder
        self.tests = tests
        tracked = self.call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                            of=ROOT).split("\0")  # fmt: skip
        for name in filter(None, tracked):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        self.call("git", "init", "--quiet")
        self.call("git", "add", "--all")
        about = ["-c", "user.name=walk", "-c", "user.email=walk@localhost"]
        self.call("git", *about, "commit", "--quiet", "--no-verify", "--message", "before")

    def call(self, *command: str, of: Path | None = None, may_fail: bool = False) -> str:
        """What a command prints; it ends the walk where it fails."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            command, cwd=of or self.folder, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode and not may_fail:
            print(done.stdout)
            sys.exit(f"SGLang {self.release}: `{' '.join(command)}` failed")
        return done.stdout

    def tool(self, *words: str, may_fail: bool = False) -> None:
        """Runs a task on the copy; by itself the tool would take the repository that holds it."""
        self.call(self.xtask, "--repo", str(self.folder), *words, may_fail=may_fail)

    def replace(self, old: str, new: str, *names: str) -> None:
        """Writes `new` for `old`, which must be in each of the files."""
        for name in names:
            file = self.folder / name
            text = file.read_text("utf-8")
            if old not in text:
                sys.exit(f"SGLang {self.release}: {name} does not say {old!r}")
            file.write_text(text.replace(old, new), "utf-8")

    def take(self) -> None:
        """The steps of docs/upgrading-sglang.md."""
        dockerfile = (self.folder / "Dockerfile").read_text("utf-8")
        (pinned,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
        base = IMAGE.format(self.release)
        self.replace(pinned, base, "Dockerfile", "docker-compose.yml")
        self.replace(f"| `BASE_IMAGE` | `{pinned}`", f"| `BASE_IMAGE` | `{base}`", DOCUMENT)
        # The default becomes the release, and so does its line; the other one stays.
        bake = (self.folder / BAKE).read_text("utf-8")
        bases = dict(re.findall(r'variable "(BASE_IMAGE\w*)" \{\s*default = "([^"]+)"', bake))
        for name in ("BASE_IMAGE", LINE):
            start = f'variable "{name}" {{\n  default = "'
            self.replace(start + bases[name], start + base, BAKE)
        row = re.compile(rf"\| `{re.escape(bases[LINE])}` \| (.*) \| .* \|")
        file = self.folder / DOCUMENT
        text, count = row.subn(rf"| `{base}` | \1 | |", file.read_text("utf-8"))
        if count != 1:
            sys.exit(f"SGLang {self.release}: {DOCUMENT} has no row for {bases[LINE]}")
        file.write_text(text, "utf-8")
        self.table()
        self.cuda()
        if self.xtask:
            self.tool("hub-lint", "--unsafe-fixes", may_fail=True)
        self.options()
        self.pages(pinned)

    def pages(self, pinned: str) -> None:
        """What the README says of the release, and the tables of the form's values."""
        (old,) = re.findall(r":v([\d.]+?)(?:-cu\d+)?$", pinned)
        self.replace(f"has SGLang {old} ", f"has SGLang {self.release} ", "README.md")
        test = ["-m", "pytest", "--quiet", "--numprocesses=0", "tests/test_hub_files.py"]
        self.call("env", "UPDATE_TABLES=1", sys.executable, *test, may_fail=True)

    def table(self) -> None:
        """What `build-image --update-flags` would write: the script, run with the stand-in for the
        release."""
        flags = self.folder / "target" / "flags.json"
        flags.parent.mkdir()
        flags.write_text(json.dumps(known(self.folder, self.release)), "utf-8")
        standin = f"PYTHONPATH={self.folder}/tests/standin"
        script = ["scripts/sglang_flags.py", "--output", TABLE]
        self.call("env", standin, f"STANDIN_FLAGS={flags}", sys.executable, *script)

    def cuda(self) -> None:
        """The hosts that the image runs on, and what is said about them."""
        for name in (".runpod/hub.json", ".runpod/tests.json"):
            file = self.folder / name
            text = file.read_text("utf-8")
            (listed,) = re.findall(r'"allowedCudaVersions": (\[[^\]]*\])', text)
            fits = [v for v in json.loads(listed) if float(v) >= float(CUDA)]
            file.write_text(text.replace(listed, json.dumps(fits)), "utf-8")
        for name in ("README.md", ".xtask/accepted.json"):
            self.replace("12.9", CUDA, name)

    def options(self) -> None:
        """Takes out of the form what the release does not take any more."""
        table = json.loads((self.folder / TABLE).read_text("utf-8"))["flags"]
        by_name = {
            spelling[2:].upper().replace("-", "_"): flag
            for name, flag in table.items()
            for spelling in (name, *flag["aliases"])
        }
        file = self.folder / ".runpod" / "hub.json"
        text = file.read_text("utf-8")
        for entry in json.loads(text)["config"]["env"]:
            choices = by_name.get(entry["key"], {}).get("choices")
            for option in entry["input"].get("options", []):
                value = option["value"]
                if choices and value and value not in map(str, choices):
                    text = self.without(text, entry["key"], value)
        file.write_text(text, "utf-8")

    def without(self, text: str, key: str, value: str) -> str:
        head, mark, rest = text.partition(f'"key": "{key}"')
        line = re.compile(rf'\n\s*\{{ "label": "[^"]*", "value": "{re.escape(value)}" \}}(,?)')
        match = line.search(rest)
        if not match:
            sys.exit(f"SGLang {self.release}: hub.json has no line for {key}={value}")
        before, after = rest[: match.start()], rest[match.end() :]
        # The last of a list has no comma, and then the one before has one too many.
        return head + mark + (before if match[1] else before.rstrip(",")) + after

    def judge(self) -> None:
        """Everything that must hold at the end."""
        tests = ["-m", "pytest", "--quiet", "--numprocesses=2", *self.tests]
        print(self.call(sys.executable, *tests).splitlines()[-1], flush=True)
        if self.xtask:
            for command in (["hub-lint"], ["compare"], ["build-image", "--check"]):
                self.tool(*command)
                print(f"passed  {' '.join(command)}", flush=True)


def main() -> None:
    """Takes each release and leaves nothing behind."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--xtask", default="", help="the tool; without it only the tests are run")
    options.add_argument("--keep", action="store_true", help="leave the copies behind")
    options.add_argument("--tests", nargs="+", default=["tests"], help="which tests; all")
    options.add_argument("releases", nargs="+")
    given = options.parse_args()
    for release in given.releases:
        folder = tempfile.mkdtemp(prefix="upgrade-")
        print(f"SGLang {release}" + (f" in {folder}" if given.keep else ""), flush=True)
        try:
            walk = Walk(release, given.xtask, Path(folder), given.tests)
            walk.take()
            walk.judge()
        finally:
            if not given.keep:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
