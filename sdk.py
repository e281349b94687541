"""RunPod's SDK as the worker wants it: small, quiet, and quickly imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def load() -> Any:
    """The SDK's package."""
    if not os.environ.get("RUNPOD_DEBUG_LEVEL"):
        # Its default is DEBUG, where it prints every job's output.
        os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")
    return _import()


def jobs_in_progress() -> Callable[[], int]:
    """Tells how many jobs the SDK has taken and not yet reported."""
    from runpod.serverless.modules.worker_state import JobsProgress

    return JobsProgress().get_job_count


def _placeholders() -> dict[str, ModuleType]:
    """What the SDK imports and a worker never uses: the SSH library of its command-line tools, a
    quarter of the worker's memory, and a look at the processor for its debugger that takes a
    second."""
    ssh, processor = ModuleType("paramiko"), ModuleType("cpuinfo")
    processor.get_cpu_info = lambda: {"brand_raw": "unknown"}  # type: ignore[attr-defined]
    return {
        name: module
        for name, module in (("paramiko", ssh), ("cpuinfo", processor))
        if name not in sys.modules
    }


def _import() -> Any:
    placeholders = _placeholders()
    sys.modules.update(placeholders)
    try:
        import runpod
    except AttributeError:  # some day it does use them
        _forget("runpod", placeholders)
        import runpod
    finally:
        _forget("", placeholders)
    return runpod


def _forget(package: str, modules: dict[str, ModuleType]) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package or sys.modules[name] is modules.get(name, ...):
            del sys.modules[name]
