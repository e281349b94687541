"""The files around the image agree with each other and with what is in the repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sglang_worker.arguments import resolve
from sglang_worker.flags import FlagTable
from sglang_worker.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
TABLE = FlagTable.load(ROOT / "sglang_worker/sglang_flags.json")
BUILD_ARGUMENTS = {
    "MODEL_NAME", "MODEL_PATH", "TOKENIZER_NAME", "BASE_PATH", "QUANTIZATION", "MODEL_REVISION",
    "TOKENIZER_REVISION",
}  # fmt: skip
BANNER_LIMIT = 150_000


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their lines joined and comments left out."""
    lines = [line for line in read("Dockerfile").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(word, rest) for word, rest in pairs]


def arguments_of(word: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == word]


def copied() -> list[str]:
    sources = []
    for rest in arguments_of("COPY"):
        *names, _target = rest.split()
        sources += names
    return sources


def base_images() -> dict[str, str]:
    """The base image that each file takes when nobody names one."""
    patterns = {
        "Dockerfile": r"^ARG BASE_IMAGE=(\S+)$",
        "docker-bake.hcl": r'variable "BASE_IMAGE" \{\s*default = "([^"]+)"',
        "docker-compose.yml": r"\$\{BASE_IMAGE:-([^}]+)\}",
    }
    found = {
        name: re.search(pattern, read(name), re.MULTILINE) for name, pattern in patterns.items()
    }
    return {name: match[1] if match else "" for name, match in found.items()}


def test_all_files_name_the_pinned_base_image() -> None:
    assert len(set(base_images().values())) == 1
    tag = base_images()["Dockerfile"].partition(":v")[2]
    assert tag.partition("-")[0] == TABLE.version


def test_exactly_the_files_that_the_worker_needs_are_copied() -> None:
    modules = {path.name for path in ROOT.glob("*.py")}
    others = {"requirements.txt", "sglang_worker", "test_input.json", "scripts/sglang_flags.py"}
    of_the_package = {name for name in copied() if name.startswith("sglang_worker/")}
    assert sorted(set(copied()) - of_the_package) == sorted(modules | others)
    assert all((ROOT / name).is_file() for name in of_the_package)


def test_build_context_is_what_is_copied() -> None:
    lines = [
        line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    of_the_package = {"!sglang_worker/*.py", "!sglang_worker/sglang_flags.json"}
    whole = {f"!{name}" for name in copied() if not name.startswith("sglang_worker")}
    assert sorted(lines[1:]) == sorted(whole | of_the_package)
    there = {path.name for path in (ROOT / "sglang_worker").iterdir()} - {"__pycache__"}
    assert all(name.endswith(".py") or name == "sglang_flags.json" for name in there)


def test_build_arguments_are_those_that_the_legacy_image_had() -> None:
    given = {rest.split("=")[0] for rest in arguments_of("ARG")}
    assert given == BUILD_ARGUMENTS | {"BASE_IMAGE"}


def test_environment_keeps_what_the_legacy_image_set() -> None:
    env = " ".join(arguments_of("ENV"))
    names = set(re.findall(r"(?:^|\s)([A-Z_]+)=", env))
    kept = {
        "HF_DATASETS_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HOME",
        "HF_HUB_ENABLE_HF_TRANSFER",
        "PYTHONPATH",
    }
    assert kept | (BUILD_ARGUMENTS - {"MODEL_PATH"}) <= names
    for name in ("HF_DATASETS_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        assert f'{name}="${{BASE_PATH}}/huggingface-cache/' in env
    # Modules that users put at the root are found through it.
    assert 'PYTHONPATH="/${PYTHONPATH:+:${PYTHONPATH}}"' in env


def test_the_download_step_has_the_modules_that_it_imports() -> None:
    wanted, found = {"download_model.py"}, set()
    while wanted - found:
        name = (wanted - found).pop()
        found.add(name)
        imports = re.findall(r"^\s*(?:from|import) ([\w.]+)", read(name), re.MULTILINE)
        files = {module.replace(".", "/") + ".py" for module in imports}
        wanted |= {file for file in files if (ROOT / file).is_file()}
        if name.startswith("sglang_worker/"):
            wanted.add("sglang_worker/__init__.py")
    before = []
    for word, rest in instructions():
        if word == "RUN" and "download_model.py" in rest:
            break
        before += rest.split()[:-1] if word == "COPY" else []
    assert wanted <= set(before)


def test_the_token_is_a_secret_mount_only() -> None:
    assert not any("HF_TOKEN" in rest for word in ("ARG", "ENV") for rest in arguments_of(word))
    steps = [rest for rest in arguments_of("RUN") if "download_model.py" in rest]
    assert len(steps) == 1
    assert steps[0].startswith("--mount=type=secret,id=HF_TOKEN,required=false ")
    assert sum("HF_TOKEN" in rest for _, rest in instructions()) == 1


def test_uv_and_the_sdk_come_from_the_package_index() -> None:
    steps = arguments_of("RUN")
    assert not any("curl" in step or "wget" in step for step in steps)
    install = next(step for step in steps if "uv pip install" in step)
    assert "--break-system-packages" in install and install.endswith("-r requirements.txt")
    assert "pip install --no-cache-dir uv" in steps[steps.index(install) - 1]
    assert re.search(r"^runpod>=1\.12,<1\.13$", read("requirements.txt"), re.MULTILINE)


def test_the_image_asks_its_own_sglang_for_its_flags() -> None:
    steps = [f"{word} {rest}" for word, rest in instructions()]
    asked = steps.index(
        "RUN python3 scripts/sglang_flags.py "
        "--output sglang_worker/sglang_flags.json --if-different"
    )
    assert steps.index("COPY sglang_worker ./sglang_worker") < asked


def test_signals_reach_python() -> None:
    (command,) = arguments_of("CMD")
    assert json.loads(command) == ["python3", "handler.py"]
    assert not arguments_of("ENTRYPOINT")


def test_no_frontend_has_to_be_pulled() -> None:
    assert "syntax=" not in read("Dockerfile").splitlines()[0].replace(" ", "")


def compose_program() -> list[str] | None:
    """The Compose that is installed: the plugin of docker, or the program of its own."""
    candidates = [["docker", "compose"], ["docker-compose"]]
    for command in candidates:
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, "version"], capture_output=True, check=False, timeout=60
            )
            if done.returncode == 0:
                return command
    return None


def test_compose_accepts_the_file() -> None:
    command = compose_program()
    if command is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    done = subprocess.run(
        [*command, "-f", str(ROOT / "docker-compose.yml"), "config"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "worker-sglang:dev" in done.stdout
    assert "handler.py" in done.stdout


def test_compose_sets_only_what_the_worker_understands() -> None:
    block = (
        read("docker-compose.yml").split("    environment:\n", 1)[1].split("    volumes:\n", 1)[0]
    )
    pairs = re.findall(
        r'^      ([A-Z_]+): (?:"([^"]*)"|\$\{\w+:-([^}]*)\}|(\S+))$', block, re.MULTILINE
    )
    env = {name: next((value for value in values if value), "") for name, *values in pairs}
    assert len(pairs) == len(re.findall(r"^      [A-Z_]+:", block, re.MULTILINE))
    known = set(TABLE.env_names) | {setting.name for setting in SETTINGS} | {"HF_TOKEN"}
    assert set(env) <= known
    resolved = resolve(TABLE, env)
    assert resolved.problems + resolved.warnings == []


def test_bake_target_builds_this_dockerfile_and_mounts_the_token() -> None:
    text = read("docker-bake.hcl")
    assert set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE)) == {
        "REPOSITORY", "IMAGE", "VERSION", "BASE_IMAGE", "BASE_IMAGE_CU12", "BASE_IMAGE_CU13",
        "MODEL_NAME", "BASE_PATH",
    }  # fmt: skip
    assert 'secret = ["id=HF_TOKEN,env=HF_TOKEN"]' in text
    assert 'tags       = ["${REPOSITORY}/${IMAGE}:${VERSION}"]' in text
    passed = set(re.findall(r"^    (\w+)\s+= \w+$", text, re.MULTILINE))
    assert passed <= BUILD_ARGUMENTS | {"BASE_IMAGE"}
    assert 'targets = ["worker-sglang"]' in text, "one target by default"
    for line in ("cu12", "cu13"):
        target = text.split(f'target "{line}" {{')[1].split("\n}\n")[0]
        assert 'inherits = ["worker-sglang"]' in target
        assert f'tags     = ["${{REPOSITORY}}/${{IMAGE}}:${{VERSION}}-{line}"]' in target
        assert f"BASE_IMAGE = BASE_IMAGE_{line.upper()}" in target


def test_example_job_is_a_chat() -> None:
    job = json.loads(read("test_input.json"))
    assert job["input"]["openai_route"] == "/v1/chat/completions"
    assert job["input"]["openai_input"]["messages"]


def test_banner_is_a_small_png() -> None:
    banner = (ROOT / "public/worker-sglang_banner.png").read_bytes()
    assert banner.startswith(b"\x89PNG")
    assert len(banner) < BANNER_LIMIT
