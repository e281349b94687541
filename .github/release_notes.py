"""Prints what CHANGELOG.md says about a version: the text of its release.

    python3 .github/release_notes.py v1.2.3

Ends with 1 where the changelog has nothing to say about it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
#: A tag: `v` and a version of Semantic Versioning.
TAG = re.compile(r"v((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z.-]+)?)", re.ASCII)
HEADING = re.compile(r"^## +\[?([^\s\]]+)", re.MULTILINE)


class NoNotesError(Exception):
    """There is nothing to release under this name."""


def release_notes(changelog: str, tag: str) -> str:
    """The section of a tag's version."""
    version = TAG.fullmatch(tag)
    if not version:
        raise NoNotesError(f"{tag!r} names no version: a release's tag is like v1.2.3")
    headings = list(HEADING.finditer(changelog))
    for number, heading in enumerate(headings):
        if heading[1].removeprefix("v") != version[1]:
            continue
        begin = changelog.find("\n", heading.end())
        end = headings[number + 1].start() if number + 1 < len(headings) else len(changelog)
        notes = changelog[begin:end].strip() if begin >= 0 else ""
        if not notes:
            raise NoNotesError(f"CHANGELOG.md says nothing below {version[1]}")
        return notes
    raise NoNotesError(
        f"CHANGELOG.md has no section {version[1]}; "
        f'turn "## Unreleased" into "## {version[1]}" with the date, and tag that commit'
    )


def main() -> None:
    """Prints the notes of the tag that is given."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("tag", help="the release's tag: v1.2.3")
    given = options.parse_args()
    try:
        print(release_notes(CHANGELOG.read_text("utf-8"), given.tag))
    except NoNotesError as error:
        sys.exit(f"release_notes: {error}")


if __name__ == "__main__":
    main()
