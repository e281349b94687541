"""The worker's own settings: every environment variable that is not a flag of SGLang.

`SETTINGS` is the one table of them; tests, documentation and `read_settings` all use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One environment variable of the worker."""

    name: str
    default: str
    unit: str
    description: str
    kind: type = str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False

    @property
    def attribute(self) -> str:
        """Its name in `Settings`."""
        return self.name.lower()


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "EXTRA_ARGS",
        "",
        "command line",
        "More arguments for SGLang, split like a shell would. They come last, so they win over "
        "the variables.",
    ),
    Setting(
        "MAX_CONCURRENCY",
        "300",
        "jobs",
        "How many jobs the worker takes at once; SGLang batches and queues them itself.",
        kind=int,
        minimum=1,
        maximum=10_000,
    ),
    Setting(
        "READY_TIMEOUT",
        "2400",
        "seconds",
        "How long SGLang may take to load the model and warm up before the worker gives up.",
        kind=int,
        minimum=1,
        maximum=86_400,
    ),
    Setting(
        "REQUEST_TIMEOUT",
        "3600",
        "seconds",
        "How long SGLang may work on one request before it is aborted and its job fails; "
        "0 means no limit. Waiting for the model to load does not count.",
        kind=int,
        minimum=0,
        maximum=604_800,
    ),
    Setting(
        "STREAM_WINDOW_MS",
        "100",
        "milliseconds",
        "How long a stream's events are gathered before they are sent on together; the first "
        "goes at once. RunPod limits how many items a second a job may send.",
        kind=int,
        minimum=0,
        maximum=10_000,
        advanced=True,
    ),
    Setting(
        "WORKER_LOG_LEVEL",
        "info",
        "level",
        "What the worker itself logs. SGLang's own level is LOG_LEVEL.",
        choices=("debug", "info", "warning", "error"),
        advanced=True,
    ),
    Setting(
        "BASE_PATH",
        "/runpod-volume",
        "directory",
        "Where models are kept when they are downloaded, in its folder huggingface-cache.",
        advanced=True,
    ),
    Setting(
        "LOCAL_MODEL_ARGS",
        "/local_model_args.json",
        "file",
        "What was baked into the image at build time, as download_model.py wrote it.",
        advanced=True,
    ),
    Setting(
        "SGLANG_PYTHON",
        "",
        "program",
        "The Python that runs SGLang; empty means the worker's own.",
        advanced=True,
    ),
    Setting(
        "SGLANG_FLAGS",
        "",
        "file",
        "The table of SGLang's flags; empty means the sglang_flags.json beside this module.",
        advanced=True,
    ),
)


@dataclass(frozen=True)
class Settings:
    """The worker's settings as read from the environment; the fields are those of `SETTINGS`."""

    extra_args: str
    max_concurrency: int
    ready_timeout: int
    request_timeout: int
    stream_window_ms: int
    worker_log_level: str
    base_path: str
    local_model_args: str
    sglang_python: str
    sglang_flags: str

    @property
    def stream_window(self) -> float:
        """The window in seconds."""
        return self.stream_window_ms / 1000


def _number(setting: Setting, text: str, problems: list[str]) -> int:
    limits = f"a whole number from {setting.minimum} to {setting.maximum}"
    try:
        number = int(text)
    except ValueError:
        problems.append(f"{setting.name}={text!r}: not a number; give {limits} ({setting.unit})")
        return int(setting.default)
    assert setting.minimum is not None and setting.maximum is not None
    if not setting.minimum <= number <= setting.maximum:
        problems.append(f"{setting.name}={text}: give {limits} ({setting.unit})")
        return int(setting.default)
    return number


def read_settings(env: Mapping[str, str], problems: list[str]) -> Settings:
    """Reads every setting; unset and empty mean the default. What is wrong goes to `problems`."""
    values: dict[str, str | int] = {}
    for setting in SETTINGS:
        text = env.get(setting.name, "").strip() or setting.default
        if setting.kind is int:
            values[setting.attribute] = _number(setting, text, problems)
            continue
        if setting.choices:
            text = text.lower()
            if text not in setting.choices:
                options = ", ".join(setting.choices)
                problems.append(f"{setting.name}={text!r}: give one of {options}")
                text = setting.default
        values[setting.attribute] = text
    return Settings(**values)  # type: ignore[arg-type]
