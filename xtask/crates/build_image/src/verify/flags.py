"""Makes the table of flags of an image's SGLang; runs in the image, reads one JSON object from
standard input and prints one.

`script` is the text of scripts/sglang_flags.py, `reader` of the module that it reads with, `table`
the table that it starts from, `image` the place of the image's own. The image's files stay as they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Runs the script on a copy of the table."""
    asked: dict[str, str | None] = json.load(sys.stdin)
    own = Path(asked["image"] or "")
    answer: dict[str, str | None] = {"made": None, "error": None}
    answer["image"] = own.read_text("utf-8") if own.is_file() else None
    with tempfile.TemporaryDirectory() as scratch:
        script, table = Path(scratch, "scripts", "sglang_flags.py"), Path(scratch, "flags.json")
        reader = Path(scratch, "sglang_worker", "extract.py")
        script.parent.mkdir()
        if asked["reader"] is not None:
            reader.parent.mkdir()
            reader.write_text(asked["reader"], "utf-8")
        script.write_text(asked["script"] or "", "utf-8")
        if asked["table"] is not None:
            table.write_text(asked["table"], "utf-8")
        done = subprocess.run(
            [sys.executable, str(script), "--output", str(table)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            answer["made"] = table.read_text("utf-8")
        else:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            answer["error"] = lines[-1]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
