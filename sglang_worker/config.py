"""The worker's whole configuration, read and judged before anything starts."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sglang_worker import cache, installed, mistakes
from sglang_worker.arguments import Arguments, Assignment, resolve
from sglang_worker.flags import PREFIX, FlagTable, value_problem
from sglang_worker.settings import Settings, read_settings
from utils import ConfigError, is_secret_name, parse_bool, secrets_in

HERE = Path(__file__).resolve().parent
EVERYWHERE = "0.0.0.0"
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = "30000"

ADMIN_KEY = "--admin-api-key"

#: With these SGLang serves gRPC instead of HTTP.
GRPC_FLAGS = ("--grpc-mode", "--smg-grpc-mode")

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*\.)*[A-Za-z0-9-]*[A-Za-z0-9]?")
_CONFIG_LINE = re.compile(
    r"""^([\w-]+)\s*:\s*(?:"([^"]*)"|'([^']*)'|([^#\n]*?))\s*(?:#.*)?$""", re.M
)


@dataclass(frozen=True)
class ServerConfig:
    """Everything that is known before the server starts."""

    settings: Settings
    arguments: Arguments
    sglang: str
    host: str
    port: int
    scheme: str
    served_model: str
    api_key: str | None
    admin_key: str | None
    embeds: bool
    lora: bool
    node_rank: int
    secrets: tuple[str, ...]
    environment: dict[str, str]
    notes: tuple[str, ...]

    @property
    def reachable_host(self) -> str:
        """Where the worker itself finds the server: loopback when it listens everywhere."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def command(self) -> list[str]:
        """The command line of the server, without what must not be seen."""
        return [
            self.settings.sglang_python or sys.executable or "python3",
            str(HERE / "launch.py"),
            "-m",
            "sglang.launch_server",
            *self.arguments.public(),
        ]


def _read_host(text: str, problems: list[str]) -> str:
    host = text.strip().strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    if not _HOST_NAME.fullmatch(host) or labels[-1].isdigit():
        problems.append(
            f"HOST={text!r}: neither an address nor a host name; "
            "if something else set HOST, set it empty or set SGLANG_ARG_HOST, which wins"
        )
    return host


def _read_port(text: str, problems: list[str]) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        problems.append(f"PORT={text}: give a port from 1 to 65535")
    return port


def _config_file(path: str, problems: list[str]) -> dict[str, str]:
    """The plain top-level values of the YAML file that CONFIG names, by flag.

    SGLang reads the file itself; the worker only has to know where it will listen and which key
    it will ask for.
    """
    file = Path(path)
    if file.suffix.lower() not in (".yaml", ".yml"):
        problems.append(
            f"CONFIG={path!r}: SGLang takes a .yaml or .yml file; "
            "if something else set CONFIG, set it empty or set SGLANG_ARG_CONFIG, which wins"
        )
        return {}
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"CONFIG={path!r} cannot be read: {error}")
        return {}
    return {
        "--" + match[1].replace("_", "-"): next(g for g in match.groups()[1:] if g is not None)
        for match in _CONFIG_LINE.finditer(text)
    }


def read_baked(path: str, problems: list[str]) -> dict[str, str]:
    """What download_model.py put into the image; empty when nothing was baked in."""
    file = Path(path)
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{path} cannot be read ({error}): build the image again")
        return {}
    if not isinstance(data, dict):
        problems.append(f"{path} holds no JSON object: build the image again")
        return {}
    return {str(key): str(value) for key, value in data.items() if value}


@dataclass(frozen=True)
class BakedModel:
    """What the model in the image gives, by flag: nothing when it is not the one to serve."""

    given: dict[str, str]
    notes: tuple[str, ...] = ()
    on_disk: bool = False


def apply_baked(
    table: FlagTable,
    env: dict[str, str],
    baked: Mapping[str, str],
    extra_args: str,
    in_file: Mapping[str, str],
) -> BakedModel:
    """Decides whether the model in the image is the one to serve.

    In the image, variables are set to the very values that were baked in; those say nothing about
    what is wanted now, nor about another model, and are taken out of `env`.
    """
    if not baked:
        return BakedModel({})
    name, path = baked.get("MODEL_NAME", ""), baked.get("MODEL_PATH", "")
    for variable in (*table.names_of(table.spellings["--model-path"]), PREFIX + "MODEL_PATH"):
        if env.get(variable, "").strip() in (name, path):
            env.pop(variable, None)
    left = [
        variable
        for variable in ("MODEL_REVISION", "QUANTIZATION", "TOKENIZER_NAME", "TOKENIZER_REVISION")
        if env.get(variable, "").strip() == baked.get(variable)
    ]
    for variable in left:
        del env[variable]
    asked = resolve(table, env, extra_args)
    model = asked.text("--model-path") or in_file.get("--model-path") or in_file.get("--model")
    if model not in (None, name, path):
        note = "another model is asked for than the one in the image"
        if left:
            note += f"; {', '.join(left)}, which the image sets, do not count for it"
        return BakedModel({}, (note,))
    revision = asked.text("--revision") or in_file.get("--revision")
    other_revision = revision is not None and revision != baked.get("MODEL_REVISION")
    given = {
        "--revision": baked.get("MODEL_REVISION", ""),
        "--quantization": baked.get("QUANTIZATION", ""),
    }
    on_disk = Path(path).is_dir() and not other_revision
    if on_disk:
        note = f"using the model in the image: {name} at {path}"
        given |= {"--model-path": path, "--served-model-name": name}
    else:
        note = f"another revision of {name} is asked for than the one in the image"
        if not other_revision:
            note = (
                f"the model that was baked into the image is not at {path}: a volume may be "
                f"mounted over it; {name} is loaded by its name instead"
            )
        given["--model-path"] = name
    tokenizer = baked.get("TOKENIZER_PATH", "")
    if tokenizer:
        given["--tokenizer-path"] = (
            tokenizer if Path(tokenizer).is_dir() else baked.get("TOKENIZER_NAME", "")
        )
    return BakedModel({flag: text for flag, text in given.items() if text}, (note,), on_disk)


def _names_hub(arguments: Arguments) -> bool:
    """Whether an argument names something that is not on this disk."""
    for name, setting in arguments.settings.items():
        if mistakes.HUB_FLAGS.match(name) and setting.value:
            values = setting.value if isinstance(setting.value, list) else [str(setting.value)]
            for value in values:
                path = mistakes.adapter_path(value) if name == "--lora-paths" else value
                if not os.path.exists(path):
                    return True
    return False


def _server_environment(
    env: Mapping[str, str],
    settings: Settings,
    table: FlagTable,
    arguments: Arguments,
    offline: bool,
) -> dict[str, str]:
    """What SGLang finds in its environment: no secret that it gets as an argument."""
    hidden = {"EXTRA_ARGS"}
    for name, spelling in table.env_names.items():
        if table.spellings[spelling].secret:
            hidden |= {name, PREFIX + name}
    result = {name: value for name, value in env.items() if name not in hidden}
    result.setdefault("PYTHONUNBUFFERED", "1")
    caches = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    if env.get("BASE_PATH", "").strip() and not any(env.get(name) for name in caches):
        result["HF_HOME"] = f"{settings.base_path}/huggingface-cache"
    if offline and "HF_HUB_OFFLINE" not in env and not _names_hub(arguments):
        result["HF_HUB_OFFLINE"] = "1"
    return result


def _fill_in(
    table: FlagTable, arguments: Arguments, defaults: Mapping[str, str], in_file: Mapping[str, str]
) -> None:
    """Adds what neither a variable nor EXTRA_ARGS nor the configuration file sets, in front."""
    added = {}
    for name, text in defaults.items():
        flag = table.spellings.get(name)
        if flag and flag.name not in arguments.settings and name not in in_file:
            if problem := value_problem(flag, text):
                arguments.problems.append(f"{flag.name}={text!r}, from the image: {problem}")
            added[flag.name] = Assignment(flag, text, "default")
    arguments.settings = added | arguments.settings


def _use_cache(
    table: FlagTable,
    arguments: Arguments,
    in_file: Mapping[str, str],
    settings: Settings,
    env: Mapping[str, str],
) -> cache.CachedModel:
    """Has SGLang read the model from this disk where a copy of it is there and up to date."""
    name = arguments.text("--model-path") or in_file.get("--model-path") or in_file.get("--model")
    if not name or not os.path.isdir(settings.model_cache):
        return cache.CachedModel()
    revision = arguments.text("--revision") or in_file.get("--revision")
    found = cache.find(settings.model_cache, name, revision, env)
    if found.path:
        flag = table.spellings["--model-path"]
        arguments.settings["--model-path"] = Assignment(flag, found.path, "the cache")
        _fill_in(table, arguments, {"--served-model-name": name}, in_file)
    return found


def _is_on(name: str, arguments: Arguments, in_file: Mapping[str, str]) -> bool:
    setting = arguments.settings.get(name)
    return bool(setting.value if setting else parse_bool(in_file.get(name, "")))


def _has_lora(arguments: Arguments, in_file: Mapping[str, str]) -> bool:
    """Whether SGLang will serve adapters, which it also does where some are given."""
    given = arguments.get("--lora-paths") or "--lora-paths" in in_file
    return bool(given) or _is_on("--enable-lora", arguments, in_file)


def _close_admin_routes(
    table: FlagTable, arguments: Arguments, in_file: Mapping[str, str], settings: Settings
) -> None:
    """Gives SGLang a key for its admin routes that nobody else knows, unless there is one."""
    flag = table.spellings.get(ADMIN_KEY)
    if settings.admin_routes or ADMIN_KEY in arguments.settings or in_file.get(ADMIN_KEY):
        return
    if flag is None:
        arguments.warnings.append(
            f"SGLang {table.version} has no {ADMIN_KEY}: any client can stop or change it"
        )
        return
    arguments.put(Assignment(flag, secrets.token_urlsafe(32), "the worker"))


def _table(
    settings: Settings, env: Mapping[str, str], warnings: list[str]
) -> tuple[FlagTable, installed.Installed]:
    """The flags of the SGLang that is installed, and which one that is."""
    found = installed.find(settings.sglang_python, env) or installed.Installed()
    try:
        data = json.loads(
            Path(settings.sglang_flags or HERE / "sglang_flags.json").read_text("utf-8")
        )
        if not settings.sglang_flags:
            data = installed.adapt(data, found, warnings)
        elif found.version not in ("", data["version"]):
            warnings.append(
                f"SGLANG_FLAGS names the flags of SGLang {data['version']}, and {found.version} "
                "is installed"
            )
        return FlagTable.of(data), found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError([f"the table of SGLang's flags cannot be read: {error!r}"]) from error


def load_config(
    environment: Mapping[str, str] | None = None, *, everywhere: bool = True
) -> ServerConfig:
    """Reads the whole configuration; ConfigError lists everything that is wrong with it.

    `everywhere` says that clients reach SGLang itself; else only the worker does, unless a key
    protects it.
    """
    original = dict(os.environ if environment is None else environment)
    env = dict(original)
    problems: list[str] = []
    warnings: list[str] = []
    settings = read_settings(env, problems, warnings)
    table, found = _table(settings, original, warnings)
    config_path = resolve(table, env, settings.extra_args).text("--config")
    in_file = _config_file(config_path, problems) if config_path else {}
    baked_data = read_baked(settings.local_model_args, problems)
    baked = apply_baked(table, env, baked_data, settings.extra_args, in_file)
    arguments = resolve(table, env, settings.extra_args)
    _fill_in(table, arguments, baked.given | {"--port": DEFAULT_PORT}, in_file)
    problems += arguments.problems + mistakes.wrong_places(arguments, in_file)
    if arguments.text("--chat-template"):
        templates = installed.chat_templates(found.folder) if found.folder.name else set()
        problems += mistakes.wrong_template(arguments, templates)
    arguments.warnings[:0] = warnings
    arguments.warnings += mistakes.unknown_names(table, original)
    arguments.warnings += mistakes.quoted_token(original)
    if env.get("TOKENIZER_REVISION", "").strip() not in ("", arguments.text("--revision") or ""):
        arguments.warnings.append(
            "TOKENIZER_REVISION has no effect: it counts when a model is baked into the image, and "
            "SGLang takes one revision for model and tokenizer; use MODEL_REVISION"
        )

    def effective(*names: str) -> str | None:
        return next((v for n in names if (v := arguments.text(n) or in_file.get(n))), None)

    model = effective("--model-path", "--model")
    if not model:
        problems.append(
            "no model: set MODEL_NAME (or MODEL_PATH) to a name on the model hub or to a directory"
        )
    for name in GRPC_FLAGS:
        if _is_on(name, arguments, in_file):
            setting = arguments.settings.get(name)
            source = setting.source if setting else "CONFIG"
            problems.append(f"{source}: {name} makes SGLang serve gRPC, not HTTP")
    notes = list(baked.notes)
    default_host = EVERYWHERE if everywhere or effective("--api-key") else LOOPBACK
    if default_host == LOOPBACK and not effective("--host"):
        notes.append(
            f"SGLang listens on {LOOPBACK} alone, since there is no API_KEY; "
            f"HOST={EVERYWHERE} opens its port, without a key"
        )
    _fill_in(table, arguments, {"--host": default_host}, in_file)
    _close_admin_routes(table, arguments, in_file, settings)
    host = _read_host(effective("--host") or default_host, problems)
    if given_host := arguments.settings.get("--host"):
        arguments.settings["--host"] = replace(given_host, value=host)
    port = _read_port(effective("--port") or DEFAULT_PORT, problems)
    if problems:
        raise ConfigError(problems)

    served_model = effective("--served-model-name") or model or "default"
    cached = _use_cache(table, arguments, in_file, settings, original)
    hidden = secrets_in(original)
    hidden += [value for name, value in in_file.items() if is_secret_name(name)]
    hidden += [str(item.value) for item in arguments.settings.values() if item.flag.secret]
    return ServerConfig(
        settings=settings,
        arguments=arguments,
        sglang=found.version or table.version,
        host=host,
        port=port,
        scheme="https" if effective("--ssl-certfile") else "http",
        served_model=served_model,
        api_key=effective("--api-key"),
        admin_key=effective(ADMIN_KEY),
        embeds=_is_on("--is-embedding", arguments, in_file),
        lora=_has_lora(arguments, in_file),
        node_rank=int(effective("--node-rank") or "0"),
        secrets=tuple(sorted({secret for secret in hidden if secret})),
        environment=_server_environment(
            original, settings, table, arguments, baked.on_disk or bool(cached.path)
        ),
        notes=(*notes, *((cached.note,) if cached.note else ())),
    )
