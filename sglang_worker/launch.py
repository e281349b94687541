"""Runs a Python module like `python -m` does, with arguments that `ps` must not show.

`python3 launch.py -m sglang.launch_server --port=30000` reads one JSON object from standard input,
`{"parent": PID, "arguments": ["--api-key=..."]}`, adds those arguments to the visible ones and runs
the module as `__main__`. The process dies with the parent that started it, even when that parent
was killed. Nothing but this file runs before the module does, and none of the worker's own modules
can be imported in its place.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Has the kernel end this process with its parent; ends it now if the parent is gone."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: the worker still ends the process group when it can
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Takes `-m MODULE ARGUMENT…` from the command line and runs it."""
    if len(sys.argv) < 3 or sys.argv[1] != "-m":
        sys.exit("usage: launch.py -m MODULE [ARGUMENT...], with a JSON object on standard input")
    message = json.load(sys.stdin)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    die_with(message["parent"])
    module = sys.argv[2]
    sys.argv[:] = [module, *sys.argv[3:], *message["arguments"]]
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
