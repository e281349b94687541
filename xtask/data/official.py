#!/usr/bin/env python3
"""Writes official.json: which files each commit of the official worker repository has.

    git clone https://github.com/runpod-workers/worker-sglang /tmp/official
    python3 xtask/data/official.py /tmp/official > xtask/data/official.json

Branches and tags alone: pull requests hold the changes of forks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ADDRESS = "https://github.com/runpod-workers/worker-sglang"


def git(repository: Path, *arguments: str) -> list[str]:
    """Lines that git prints."""
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def files(repository: Path, commit: str) -> list[tuple[str, str, str]]:
    """Path, mode and blob of each file."""
    found = []
    for line in git(repository, "ls-tree", "-r", commit):
        told, path = line.split("\t")
        mode, _, blob = told.split(" ")
        found.append((path, mode, blob))
    return found


def main() -> None:
    repository = Path(sys.argv[1])
    known: dict[tuple[str, str, str], int] = {}
    commits = []
    order = ["rev-list", "--topo-order", "--branches", "--tags", "--remotes"]
    for commit in git(repository, *order):
        indexes = [known.setdefault(file, len(known)) for file in files(repository, commit)]
        commits.append(json.dumps([commit, *indexes]))
    lines = [json.dumps(list(file)) for file in known]
    print(
        f'{{\n"repository": {json.dumps(ADDRESS)},\n"files": [\n'
        + ",\n".join(lines)
        + '\n],\n"commits": [\n'
        + ",\n".join(commits)
        + "\n]\n}"
    )


if __name__ == "__main__":
    main()
