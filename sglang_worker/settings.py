"""The worker's own settings: every environment variable that is not a flag of SGLang.

`SETTINGS` is the one table of them; tests, documentation and `read_settings` all use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from utils import parse_bool, without_quotes


@dataclass(frozen=True)
class Setting:
    """One environment variable of the worker; README.md and docs/configuration.md describe it."""

    name: str
    default: str
    unit: str
    kind: type = str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """Its name in `Settings`."""
        return self.name.lower()


SETTINGS: tuple[Setting, ...] = (
    Setting("EXTRA_ARGS", "", "command line"),
    Setting("MAX_CONCURRENCY", "300", "jobs", int, 1, 10_000),
    Setting("LOADING_CONCURRENCY", "1", "jobs", int, 1, 10_000),
    Setting("READY_TIMEOUT", "2400", "seconds", int, 1, 86_400),
    Setting("REQUEST_TIMEOUT", "3600", "seconds", int, 0, 604_800),
    Setting("STREAM_WINDOW_MS", "100", "milliseconds", int, 0, 10_000),
    Setting("STREAM_ALL_EVENTS", "false", "switch", bool),
    Setting("SHUTDOWN_TIMEOUT", "30", "seconds", int, 1, 3_600),
    Setting("PORT_HEALTH", "0", "port", int, 0, 65_535),
    Setting("HEALTH_CHECK_PATH", "/ping", "path"),
    Setting("ADMIN_ROUTES", "false", "switch", bool),
    Setting("REFUSE_CRASHING_JOBS", "true", "switch", bool),
    Setting("WORKER_LOG_LEVEL", "info", "level", choices=("debug", "info", "warning", "error")),
    Setting("BASE_PATH", "/runpod-volume", "directory"),
    Setting("MODEL_CACHE", "/runpod-volume/huggingface-cache/hub", "directory"),
    Setting("LOCAL_MODEL_ARGS", "/local_model_args.json", "file"),
    Setting("SGLANG_PYTHON", "", "program"),
    Setting("SGLANG_FLAGS", "", "file"),
)
#: `cargo xtask compare` reads the variables off this table and does not follow the code below.
ENVIRONMENT_INTERFACE = SETTINGS


@dataclass(frozen=True)
class Settings:
    """The worker's settings as read from the environment; the fields are those of `SETTINGS`."""

    extra_args: str
    max_concurrency: int
    loading_concurrency: int
    ready_timeout: int
    request_timeout: int
    stream_window_ms: int
    stream_all_events: bool
    shutdown_timeout: int
    port_health: int
    health_check_path: str
    admin_routes: bool
    refuse_crashing_jobs: bool
    worker_log_level: str
    base_path: str
    model_cache: str
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


def read_settings(
    env: Mapping[str, str], problems: list[str], warnings: list[str] | None = None
) -> Settings:
    """Reads every setting; unset and empty mean the default. What is wrong goes to `problems`,
    what is only said to `warnings`."""
    values: dict[str, str | int | bool] = {}
    for setting in SETTINGS:
        given = env.get(setting.name, "").strip()
        if given != without_quotes(given) and warnings is not None:
            warnings.append(f"{setting.name}: the quotes around the value are left out")
        text = without_quotes(given) or setting.default
        if setting.kind is int:
            values[setting.attribute] = _number(setting, text, problems)
            continue
        if setting.kind is bool:
            switch = parse_bool(text)
            if switch is None:
                problems.append(f"{setting.name}={text!r}: give true or false")
            values[setting.attribute] = bool(switch)
            continue
        if setting.choices:
            text = text.lower()
            if text not in setting.choices:
                options = ", ".join(setting.choices)
                problems.append(f"{setting.name}={text!r}: give one of {options}")
                text = setting.default
        values[setting.attribute] = text
    return Settings(**values)  # type: ignore[arg-type]
