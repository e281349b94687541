"""The Hub files, the flag table, the settings, the Dockerfile and the README tell one story."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from sglang_worker.arguments import resolve
from sglang_worker.flags import GENERAL_NAMES, FlagTable, env_name
from sglang_worker.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
HUB = json.loads((ROOT / ".runpod/hub.json").read_text("utf-8"))
TESTS = json.loads((ROOT / ".runpod/tests.json").read_text("utf-8"))
TABLE_FILE = ROOT / "sglang_worker/sglang_flags.json"
TABLE = FlagTable.load(TABLE_FILE)
FLAG_DEFAULTS = {
    name: flag.get("default")
    for name, flag in json.loads(TABLE_FILE.read_text("utf-8"))["flags"].items()
}
README = (ROOT / "README.md").read_text("utf-8")

INPUTS: dict[str, dict[str, Any]] = {entry["key"]: entry["input"] for entry in HUB["config"]["env"]}
WORKER_SETTINGS = {setting.name: setting for setting in SETTINGS}
#: Read by Hugging Face's library: neither a flag nor a setting of the worker.
LIBRARY_VARIABLES = {"HF_TOKEN"}
#: The worker's own defaults for flags of SGLang. HOST's is another where a key protects the port.
WORKER_DEFAULTS = {"HOST": "", "PORT": 30000}
#: What the Hub keeps of a description.
DESCRIPTION_LIMIT = 191
INPUT_KEYS = {
    "name", "type", "description", "default", "required", "advanced", "options", "min", "max",
    "trueValue", "falseValue",
}  # fmt: skip
NUMBER_TYPES = {"int", "float", "human_readable_int"}
FLAG_KEYS = sorted(key for key in INPUTS if key in TABLE.env_names)


def flag_of(key: str) -> Any:
    return TABLE.spellings[TABLE.env_names[key]]


def as_text(value: Any) -> str:
    """A value as RunPod puts it into the environment."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def problems_of(env: dict[str, str]) -> list[str]:
    """What the worker itself says about an environment; the model need not exist."""
    resolved = resolve(TABLE, {"MODEL_NAME": "org/model"} | env)
    return resolved.problems + resolved.warnings


def base_image() -> str:
    match = re.search(
        r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    assert match
    return match[1]


def test_the_table_of_flags_is_that_of_the_pinned_image() -> None:
    tag = base_image().partition(":v")[2]
    assert tag.partition("-")[0] == TABLE.version


def test_runpod_directory_holds_the_two_hub_files_only() -> None:
    assert {path.name for path in (ROOT / ".runpod").iterdir()} == {"hub.json", "tests.json"}


def test_listing() -> None:
    assert HUB["title"]
    assert 0 < len(HUB["description"]) <= DESCRIPTION_LIMIT
    assert (HUB["type"], HUB["category"], HUB["config"]["runsOn"]) == (
        "serverless",
        "language",
        "GPU",
    )


def test_every_variable_is_declared_once_and_is_one_that_the_worker_understands() -> None:
    keys = [entry["key"] for entry in HUB["config"]["env"]]
    assert len(keys) == len(set(keys))
    unknown = set(keys) - set(TABLE.env_names) - set(WORKER_SETTINGS) - LIBRARY_VARIABLES
    assert not unknown


@pytest.mark.parametrize("key", INPUTS)
def test_input_has_the_shape_that_the_hub_documents(key: str) -> None:
    field = INPUTS[key]
    assert set(field) <= INPUT_KEYS
    assert field["name"] and field["description"]
    assert field["type"] in {"string", "number", "boolean", "huggingface"}
    values = [option["value"] for option in field.get("options", [])]
    assert len(values) == len(set(values))
    if values:
        assert field["default"] in values


@pytest.mark.parametrize("key", FLAG_KEYS)
def test_flag_variable_agrees_with_the_pinned_sglang(key: str) -> None:
    flag, field = flag_of(key), INPUTS[key]
    assert (field["type"] == "boolean") == flag.is_boolean
    assert (field["type"] == "number") == (flag.type in NUMBER_TYPES and not flag.choices)
    offered = {option["value"] for option in field.get("options", [])} - {""}
    if offered or flag.choices:
        assert offered <= set(flag.choices)
        assert offered
    default, own = field.get("default", ""), FLAG_DEFAULTS[flag.name]
    if key in WORKER_DEFAULTS:
        assert default == WORKER_DEFAULTS[key]
    elif field["type"] == "boolean":
        assert default is False and not own
    elif default != "":
        assert as_text(default) == as_text(own)


def test_no_retired_variable_is_declared() -> None:
    assert not set(INPUTS) & set(TABLE.retired_env)


@pytest.mark.parametrize("name", sorted(set(INPUTS) & set(WORKER_SETTINGS)))
def test_worker_setting_agrees_with_the_code(name: str) -> None:
    setting, field = WORKER_SETTINGS[name], INPUTS[name]
    assert str(field["default"]) == setting.default
    assert field.get("min") == setting.minimum
    assert field.get("max") == setting.maximum
    assert tuple(option["value"] for option in field.get("options", [])) == setting.choices


def test_the_form_left_as_it_is_starts_the_server() -> None:
    filled = {key: as_text(field["default"]) for key, field in INPUTS.items() if "default" in field}
    assert problems_of(filled) == []


@pytest.mark.parametrize("key", FLAG_KEYS)
def test_every_option_is_accepted(key: str) -> None:
    for option in INPUTS[key].get("options", []):
        assert problems_of({key: option["value"]}) == []


@pytest.mark.parametrize("preset", HUB["config"]["presets"], ids=lambda preset: preset["name"])
def test_preset(preset: dict[str, Any]) -> None:
    assert set(preset["defaults"]) <= set(INPUTS)
    assert preset["defaults"]["MODEL_NAME"]
    assert problems_of({key: as_text(value) for key, value in preset["defaults"].items()}) == []
    for key, value in preset["defaults"].items():
        options = [option["value"] for option in INPUTS[key].get("options", [])]
        assert not options or value in options


def test_the_token_is_a_string_without_a_default() -> None:
    assert INPUTS["HF_TOKEN"]["type"] == "string"
    assert "default" not in INPUTS["HF_TOKEN"]


def test_what_is_required_comes_first_and_is_not_hidden() -> None:
    required = [key for key, field in INPUTS.items() if field["required"]]
    assert required == ["MODEL_NAME"]
    assert next(iter(INPUTS)) == "MODEL_NAME"
    assert not INPUTS["MODEL_NAME"].get("advanced")


def cuda_of(image: str) -> tuple[int, int]:
    """The CUDA that a base image needs. SGLang's tags without a suffix are of 13 since 0.5.20."""
    match = re.search(r"-cu(\d+)(\d)$", image)
    return (int(match[1]), int(match[2])) if match else (13, 0)


@pytest.mark.parametrize("config", [HUB["config"], TESTS["config"]], ids=["hub", "tests"])
def test_cuda_versions_are_those_that_the_image_runs_on(config: dict[str, Any]) -> None:
    allowed = [tuple(map(int, version.split("."))) for version in config["allowedCudaVersions"]]
    assert min(allowed) == cuda_of(base_image())
    assert allowed == sorted(allowed)


@pytest.mark.parametrize("name", ["README.md", ".xtask/accepted.json"])
def test_what_is_said_of_cuda_is_true_of_the_image(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    said = re.findall(r"(?:built on|needs|With a|and|with) CUDA (\d+\.\d)", text)
    said += re.findall(r"hosts must offer (\d+\.\d)", text)
    assert len(said) >= 2
    assert set(said) == {"{}.{}".format(*cuda_of(base_image()))}


def release_choices(release: str) -> dict[str, list[str]]:
    """The choices of each of a release's flags, by the flag's variable."""
    if release == TABLE.version:
        return {name: list(TABLE.spellings[flag].choices) for name, flag in TABLE.env_names.items()}
    data = ROOT / "xtask/data"
    index = json.loads((data / "sglang.json").read_text("utf-8"))["releases"].index(release)
    found = {}
    for row in (data / "sglang.flags").read_text("utf-8").splitlines():
        name, _, definitions = row.partition(" ")
        for of, flag in json.loads(definitions):
            if index in of:
                choices = [str(choice) for choice in flag.get("choices") or []]
                found |= {env_name(s): choices for s in [name, *flag.get("aliases", [])]}
    return found


def test_both_lines_of_cuda_have_hub_settings_that_fit() -> None:
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    rows = page.split("<!-- lines -->")[1].split("<!-- /lines -->")[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    bake = (ROOT / "docker-bake.hcl").read_text("utf-8")
    bases = dict(re.findall(r'variable "(BASE_IMAGE\w*)" \{\s*default = "([^"]+)"', bake))
    assert re.findall(r'^target "(cu\d+)"', bake, re.MULTILINE) == ["cu12", "cu13"]
    assert [row[0] for row in cells] == ["`cu12`", "`cu13`"]
    lines = (bases["BASE_IMAGE_CU12"], bases["BASE_IMAGE_CU13"])
    assert bases["BASE_IMAGE"] == base_image()
    assert base_image() in lines, "the default is one of them"
    known = {version for version in HUB["config"]["allowedCudaVersions"] if float(version) >= 13}
    for row, base in zip(cells, lines, strict=True):
        needed, release = cuda_of(base), base.partition(":v")[2].partition("-")[0]
        assert row[1] == f"`{base}`"
        assert row[0] == f"`cu{needed[0]}`", "each line has its own major version"
        fitting = re.findall(r"`([\d.]+)`", row[2])
        assert fitting[0] == "{}.{}".format(*needed)
        assert known <= set(fitting)
        taken, lacking = release_choices(release), {}
        for key in FLAG_KEYS:
            offered = [option["value"] for option in INPUTS[key].get("options", [])]
            if gone := [v for v in offered if v and v not in taken.get(key, [])]:
                lacking[key] = gone
        said = {}
        for part in filter(None, row[3].split("; ")):
            key, *options = re.findall(r"`([^`]+)`", part)
            said[key] = options
        assert said == lacking


def test_hub_tests_bring_all_that_the_worker_needs() -> None:
    env = {entry["key"]: entry["value"] for entry in TESTS["config"]["env"]}
    assert {key for key, field in INPUTS.items() if field["required"]} <= set(env)
    assert set(env) <= set(INPUTS)
    assert problems_of(env) == []
    assert TESTS["config"]["gpuTypeId"] and TESTS["config"]["gpuCount"] == 1


def test_hub_tests_are_a_chat_a_stream_and_a_native_request() -> None:
    tests = {test["name"]: test for test in TESTS["tests"]}
    assert list(tests) == ["chat", "stream", "native"]
    env = {entry["key"]: entry["value"] for entry in TESTS["config"]["env"]}
    for name, streamed in (("chat", False), ("stream", True)):
        request = tests[name]["input"]
        assert request["openai_route"] == "/v1/chat/completions"
        assert request["openai_input"].get("stream", False) is streamed
        assert request["openai_input"]["model"] == env["SERVED_MODEL_NAME"]
    assert tests["native"]["input"]["text"]


@pytest.mark.parametrize("test", TESTS["tests"], ids=lambda test: test["name"])
def test_hub_test_waits_longer_than_the_model_may_load(test: dict[str, Any]) -> None:
    env = {entry["key"]: entry["value"] for entry in TESTS["config"]["env"]}
    assert test["timeout"] > int(env["READY_TIMEOUT"]) * 1000


def allowed_values(field: dict[str, Any]) -> str:
    """What the Hub's form takes, as the tables say it."""
    values = [option["value"] for option in field.get("options", []) if option["value"] != ""]
    if values:
        return ", ".join(f"`{value}`" for value in values)
    if field["type"] == "boolean":
        return "`true`, `false`"
    least, most = field.get("min"), field.get("max")
    if least is not None:
        return f"{least} or more" if most is None else f"{least} to {most}"
    if most is not None:
        return f"at most {most}"
    return "a number" if field["type"] == "number" else ""


def variable_rows(text: str) -> dict[str, tuple[str, str, str]]:
    table = text.split("<!-- variables -->", 1)[1].split("<!-- /variables -->", 1)[0]
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| (?:`([^`]*)` )?\| (?:(.*?) )?\| (.*) \|$", table, re.MULTILINE
    )
    assert len(rows) == len(re.findall(r"^\| `", table, re.MULTILINE))
    return {name: (default, allowed, words) for name, default, allowed, words in rows}


def with_allowed_values(text: str) -> str:
    """A page whose table says what the form takes now; as many values as before where it is cut."""

    def of(row: re.Match[str]) -> str:
        start, key, cell, words = row.groups(default="")
        allowed = allowed_values(INPUTS[key])
        beginning, more, link = cell.partition(", and [")
        if more:
            shown = beginning.count("`") // 2
            values = allowed.split(", ")
            _, _, target = link.partition("]")
            allowed = ", ".join(values[:shown]) + f", and [{len(values) - shown} more]{target}"
        return f"{start}| {allowed} | {words}" if allowed else f"{start}| | {words}"

    head, table, tail = re.split("(?<=<!-- variables -->)|(?=<!-- /variables -->)", text)
    row = re.compile(r"^(\| `([A-Z0-9_]+)` \| (?:`[^`]*` )?)\| (?:(.*?) )?\| (.*)$", re.MULTILINE)
    return head + row.sub(of, table) + tail


def test_page_lists_the_same_variables_in_the_same_order() -> None:
    for page in (ROOT / "docs/configuration.md", ROOT / "README.md"):
        text = page.read_text("utf-8")
        # `UPDATE_TABLES=1 pytest tests/test_hub_files.py` writes what the form says now.
        if os.environ.get("UPDATE_TABLES"):
            page.write_text(with_allowed_values(text), "utf-8")
        else:
            assert with_allowed_values(text) == text, page
    rows = variable_rows((ROOT / "docs/configuration.md").read_text("utf-8"))
    assert list(rows) == list(INPUTS)
    for key, field in INPUTS.items():
        default = as_text(field.get("default", ""))
        assert rows[key] == (default, allowed_values(field), field["description"]), key


def test_readme_lists_twelve_of_them_alike() -> None:
    rows = variable_rows(README)
    assert list(rows) == [key for key in INPUTS if key in rows]
    assert len(rows) == 12
    for key, (default, allowed, words) in rows.items():
        field = INPUTS[key]
        assert (default, words) == (as_text(field.get("default", "")), field["description"])
        beginning, more, _ = allowed.partition(", and [")
        assert allowed_values(field).startswith(beginning)
        if more:
            left = len(field["options"]) - 1 - beginning.count("`") // 2
            assert f", and [{left} more]" in allowed
        else:
            assert allowed == allowed_values(field)


def test_readme_names_the_pinned_sglang_and_its_cuda() -> None:
    match = re.search(r"has SGLang (\S+) and CUDA (\d+)\.(\d+)\s", README)
    assert match
    release, major, minor = match.groups()
    tags = {f"v{release}-cu{major}{minor}"} | ({f"v{release}"} if major == "13" else set())
    assert base_image().rpartition(":")[2] in tags


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def page_rows(title: str) -> set[str]:
    """The names in the first column of a section's table in docs/configuration.md."""
    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    section = text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([A-Z0-9_]+)`", cell)}


def test_page_explains_the_names_that_others_set_too() -> None:
    assert page_rows("Names that others set too") == set(GENERAL_NAMES)


def test_page_lists_the_settings_that_the_form_leaves_out() -> None:
    assert page_rows("Variables of the image") == set(WORKER_SETTINGS) - set(INPUTS)


def test_page_lists_the_build_arguments() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    arguments = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert page_rows("Build arguments") == arguments - {"MODEL_PATH"}


def test_retired_variables_of_the_legacy_worker_are_explained() -> None:
    explained = page_rows("Retired variables")
    legacy = {
        "ADDITIONAL_PORTS", "MAX_NUM_REQS", "FILE_STORAGE_PTH", "DISABLE_FLASHINFER",
        "DISABLE_FLASHINFER_SAMPLING", "DISABLE_REGEX_JUMP_FORWARD", "DISABLE_DISK_CACHE",
        "ENABLE_MLA", "ENABLE_FLASHINFER_MLA", "ATTENTION_REDUCE_IN_FP32", "EFFICIENT_WEIGHT_LOAD",
    }  # fmt: skip
    assert explained == legacy
    assert legacy <= set(TABLE.retired_env)
