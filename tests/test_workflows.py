"""The workflows and scripts of CI agree with what they use, and are safe to run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = [
    *(ROOT / ".ci" / name for name in ("bare", "room", "run")),
    *(ROOT / "tests/standin" / name for name in ("base-image.sh", "debootstrap.sh")),
]
NAMES = [path.name for path in WORKFLOWS]
#: An expression that gives a secret's value, and not only whether there is one.
GIVES_A_SECRET = re.compile(r"secrets\.\w+(?! != '')\b").search

sys.path.insert(0, str(ROOT / ".github"))
from release_notes import NoNotesError, release_notes  # noqa: E402


def load(name: str) -> dict[str, Any]:
    text = (ROOT / ".github/workflows" / name).read_text("utf-8")
    # BaseLoader: `on` stays a word.
    return dict(yaml.load(text, Loader=yaml.BaseLoader))


def jobs(name: str) -> dict[str, Any]:
    return dict(load(name)["jobs"])


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job["steps"])


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in steps(job))


def call(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **options,
    )  # fmt: skip


def zizmor(*paths: Path) -> subprocess.CompletedProcess[str]:
    return call(BIN / "zizmor", "--offline", "--no-progress", "--persona=auditor", *paths)


def shellcheck(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return call(BIN / "shellcheck", *arguments, **options)


def test_zizmor_has_nothing_to_say() -> None:
    done = zizmor(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


def test_zizmor_would_say_something(tmp_path: Path) -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    worse = tmp_path / ".github/workflows/ci.yml"
    worse.parent.mkdir(parents=True)
    worse.write_text(text.replace("run: .ci/run", "run: echo ${{ github.event.issue.title }}"))
    assert worse.read_text() != text
    done = zizmor(worse)
    assert done.returncode != 0
    assert "template-injection" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    done = shellcheck("--external-sources", script)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_workflows_shell_passes_shellcheck(name: str) -> None:
    for job in jobs(name).values():
        for step in steps(job):
            if "run" in step:
                done = shellcheck("--shell=bash", "-", input=step["run"])
                assert done.returncode == 0, (step["name"], done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_workflows_get_no_more_rights_than_they_need(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) <= 120
        writing = [right for right, kind in job["permissions"].items() if kind != "read"]
        assert writing == (["contents"] if "gh release" in commands(job) else [])


def test_actions_are_pinned_and_alike() -> None:
    uses = {
        line.split("uses: ")[1]
        for path in WORKFLOWS
        for line in path.read_text("utf-8").splitlines()
        if "uses: " in line
    }
    assert len(uses) == 1, uses
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses.pop())
    # Wheels are built on every system that they are for.
    runners = {job["runs-on"] for name in NAMES for job in jobs(name).values()}
    runners.discard("${{ matrix.runner }}")
    assert len(runners) == 1, runners
    assert not any(runner.endswith("-latest") for runner in runners)


def test_the_tests_own_tools_are_pinned() -> None:
    lines = (ROOT / "tests/requirements.txt").read_text("utf-8").splitlines()
    named = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in named)


def bake() -> dict[str, str]:
    """The variables of docker-bake.hcl with their defaults."""
    text = (ROOT / "docker-bake.hcl").read_text("utf-8")
    return dict(re.findall(r'variable "(\w+)" \{\s*default = "([^"]*)"', text))


@pytest.mark.parametrize("name", ["dev.yml", "release.yml"])
def test_the_variables_are_those_of_the_bake_file(name: str) -> None:
    job, declared = jobs(name)["image"], bake()
    tag = re.findall(
        r"\$\{(\w+)\}", (ROOT / "docker-bake.hcl").read_text().split("tags", 1)[1].split("\n")[0]
    )
    given = dict(job["env"])
    assert set(given) <= set(declared)
    for variable in tag:
        # dev.yml computes the version, which a workflow's expressions can't.
        assert variable in given or f"{variable}=dev-" in commands(job)
    for variable in ("REPOSITORY", "IMAGE"):
        assert given[variable] == f"${{{{ vars.{variable} || '{declared[variable]}' }}}}"
    assert f'--tag "{"/".join(f"${v}" for v in tag[:2])}:${tag[2]}"' in commands(job)


def test_a_release_is_checked_before_anything_is_pushed() -> None:
    release = jobs("release.yml")
    assert release["image"]["needs"] == "check"
    assert release["release"]["needs"] == "image"
    before = commands(release["check"])
    for command in ("release_notes.py", "cargo xtask hub-lint", "cargo xtask compare", ".ci/run"):
        assert command in before
    image = commands(release["image"])
    assert "-- --provenance=mode=max --sbom=true" in image
    for job in (release["image"], jobs("dev.yml")["image"]):
        # What is pushed is what was built and checked, and not built a second time.
        # Nobody waits two hours to hear that a secret is missing.
        order = ["_PUSH", "cargo xtask build-image", "docker login", "docker push"]
        order = order if job is release["image"] else order[1:]
        assert [commands(job).count(command) for command in order] == [1] * len(order)
        assert sorted(order, key=commands(job).index) == order
        assert "--push" not in commands(job)


@pytest.mark.parametrize("name", NAMES)
def test_a_token_is_seen_by_its_step_alone_and_never_on_a_command_line(name: str) -> None:
    for job in jobs(name).values():
        assert "secrets." not in str(job.get("env", {}))
        for step in steps(job):
            assert "${{" not in step.get("run", "")
            if "secrets." in str(step):
                assert job["environment"]
                if "env" in step and not any(map(GIVES_A_SECRET, step["env"].values())):
                    continue
                assert "--password-stdin" in step["run"]
                assert not re.search(r"docker login.*REGISTRY_TOKEN", step["run"])


def test_room_is_made_on_githubs_runners_only() -> None:
    script = (ROOT / ".ci/room").read_text("utf-8")
    guarded = script.split("if [ ", 1)[1].split("\nfi\n")[0]
    assert script.count("rm -rf") == guarded.count("rm -rf") == 1
    assert "github-hosted" in guarded.split("\n")[0]


CHANGES = "# Changelog\n\n## Unreleased\n\n- x\n\n## 1.2.0 - 2026-02-03\n\n- a\n- b\n\n## [1.1.0]\n"


def test_release_notes_are_the_versions_own() -> None:
    assert release_notes(CHANGES, "v1.2.0") == "- a\n- b"
    with pytest.raises(NoNotesError, match=r"no section 1\.3\.0"):
        release_notes(CHANGES, "v1.3.0")
    with pytest.raises(NoNotesError, match=r"nothing below 1\.1\.0"):
        release_notes(CHANGES, "v1.1.0")
    for tag in ("1.2.0", "v1.2", "vUnreleased", "v1.2.0\n"):
        with pytest.raises(NoNotesError, match="names no version"):
            release_notes(CHANGES, tag)


def test_an_unknown_version_ends_with_words() -> None:
    done = call(sys.executable, ROOT / ".github/release_notes.py", "v9.9.9")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("release_notes: CHANGELOG.md has no section 9.9.9")
