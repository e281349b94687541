"""Runs the checks with the real SGLang: `cargo xtask test --stage real-sglang` does.

SGLANG_PYTHON names the Python of an environment that has SGLang. Without it this asks whether to
make one under `target/`, which takes 10 GB and some minutes; `SGLANG_INSTALL=yes` answers that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / "target" / "sglang-venv"
GIGABYTES = 10


def release() -> str:
    """The newest release that this repository builds on."""
    text = (ROOT / "docker-bake.hcl").read_text("utf-8")
    found = re.search(r'"BASE_IMAGE_CU13" \{\s*default = "[^"]*:v([\d.]+)', text)
    assert found, "docker-bake.hcl names no BASE_IMAGE_CU13"
    return found[1]


def agreed(question: str) -> bool:
    """Whether somebody says yes, in the environment or at the terminal."""
    if answer := os.environ.get("SGLANG_INSTALL"):
        return answer.lower() == "yes"
    try:
        with open("/dev/tty", "r+", buffering=1) as terminal:
            terminal.write(f"{question} [y/N] ")
            return terminal.readline().strip().lower() in ("y", "yes")
    except OSError:
        return False


def python_with_sglang() -> str:
    """The Python that has SGLang, made when it may be."""
    if given := os.environ.get("SGLANG_PYTHON"):
        return given
    python, done = PLACE / "bin" / "python", PLACE / "complete"
    if done.is_file():
        return str(python)
    need = f"SGLang {release()} with all that it needs takes {GIGABYTES} GB, in {PLACE}"
    free = shutil.disk_usage(ROOT).free // 10**9
    if free < GIGABYTES:
        sys.exit(f"{need}: {free} GB are free. Set SGLANG_PYTHON to a Python that has SGLang.")
    if not agreed(f"{need}. Install it?"):
        sys.exit(
            f"{need}: nothing is installed without a yes. Set SGLANG_PYTHON to a Python that has "
            "SGLang, or SGLANG_INSTALL=yes."
        )
    subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", f"sglang=={release()}"]
    subprocess.run(pip, check=True)
    done.touch()
    return str(python)


def main() -> None:
    """Runs the tests that are marked `real`."""
    wheels = os.environ.get("SGLANG_WHEELS") or str(ROOT / "target" / "sglang-wheels")
    environment = os.environ | {"SGLANG_PYTHON": python_with_sglang(), "SGLANG_WHEELS": wheels}
    command = [sys.executable, "-m", "pytest", "--quiet", "-m", "real", "tests/real_sglang"]
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
