"""A stand-in for SGLang: its command line and its wire shapes, without a model.

It needs nothing beyond Python's standard library, so it can be put on PYTHONPATH or copied into an
image. Its flags are those of `sglang_flags.json`: the file that STANDIN_FLAGS names, the one beside
this package, or the repository's.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


@functools.cache
def load_flags() -> dict[str, Any]:
    """The table of flags that this stand-in accepts."""
    places = [_HERE / "sglang_flags.json"]
    places += [parent / "sglang_worker/sglang_flags.json" for parent in _HERE.parents]
    if named := os.environ.get("STANDIN_FLAGS"):
        places.insert(0, Path(named))
    for place in places:
        if place.is_file():
            return dict(json.loads(place.read_text("utf-8")))
    raise FileNotFoundError("sglang_flags.json: set STANDIN_FLAGS to where it is")


__version__: str = load_flags()["version"]
