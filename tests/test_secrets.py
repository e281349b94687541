"""What must not be seen: on a command line, in a log, in a job's output."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from runpod_api import RunPod

from utils import MASK, Redactor, is_secret_name, log, setup_logging

SECRETS = {
    "API_KEY": "sk-client-0001",
    "ADMIN_API_KEY": "sk-admin-0002",
    "SSL_KEYFILE_PASSWORD": "keyfile-pass-0003",
    "HF_TOKEN": "hf_hub-token-0004",
}


def command_lines(worker: Worker) -> str:
    """What `ps` shows of everything that the worker started."""
    shown = []
    for pid in worker.processes():
        try:
            shown.append(Path(f"/proc/{pid}/cmdline").read_text())
        except OSError:
            continue
    return "\n".join(shown)


@pytest.fixture(scope="module")
def guarded(runpod_api: RunPod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with every secret, watched by something like `ps` from its first moment."""
    environment = runpod_api.environment() | SECRETS | {"WORKER_LOG_LEVEL": "debug"}
    worker = Worker(tmp_path_factory.mktemp("worker"), environment)
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append(command_lines(worker))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    worker.wait_for_log("SGLang is ready")
    yield worker
    stop.set()
    watcher.join()
    worker.end()
    everything = "\n".join(seen)
    assert "sglang.launch_server" in everything
    for secret in SECRETS.values():
        assert secret not in everything
        assert secret not in worker.log


def test_the_key_protects_the_server_and_the_worker_sends_it(
    guarded: Worker, runpod_api: RunPod
) -> None:
    with pytest.raises(OSError, match="401"):
        guarded.ask("/v1/models")
    assert runpod_api.run({"messages": [{"role": "user", "content": "hi"}]}).output


def test_the_server_has_the_secrets(guarded: Worker) -> None:
    args = guarded.ask("/__args", key=SECRETS["API_KEY"])
    for name in ("API_KEY", "ADMIN_API_KEY", "SSL_KEYFILE_PASSWORD"):
        assert args[name.lower()] == SECRETS[name]


@pytest.mark.parametrize("route", ["/server_info", "/get_server_info"])
def test_the_servers_description_of_itself_is_filtered(
    guarded: Worker, runpod_api: RunPod, route: str
) -> None:
    del guarded
    [info] = runpod_api.run({"openai_route": route}).output
    assert info["model_path"] == "org/model"
    assert info["api_key"] == info["admin_api_key"] == info["ssl_keyfile_password"] == MASK
    if "internal_states" in info:
        assert info["internal_states"][0]["api_key"] == MASK


def test_the_servers_arguments_are_in_the_log_without_secrets(guarded: Worker) -> None:
    assert "server_args=ServerArgs(" in guarded.log
    assert f"api_key='{MASK}'" in guarded.log


def test_what_the_server_prints_is_filtered(guarded: Worker, runpod_api: RunPod) -> None:
    line = "started with %s and %s end"
    body = {"line": line % (SECRETS["API_KEY"], SECRETS["HF_TOKEN"])}
    assert runpod_api.run({"route": "/__say", "method": "POST", "body": body}).output
    wait_for(lambda: line % (MASK, MASK) in guarded.log, what="the filtered line")


def test_a_line_without_an_end_is_filtered_too(guarded: Worker, runpod_api: RunPod) -> None:
    # Longer than what is held back, with a secret wherever it may be cut; the watch over the whole
    # log looks for it.
    line = f"é{SECRETS['API_KEY']}" * 90_000 + "the-end"
    body = {"line": line}
    assert runpod_api.run({"route": "/__say", "method": "POST", "body": body}).output
    wait_for(lambda: "the-end" in guarded.log, what="the line's end")
    assert guarded.log.count(MASK) >= 90_000
    assert "\ufffd" not in guarded.log


def test_no_output_has_a_secret(guarded: Worker, runpod_api: RunPod) -> None:
    del guarded
    body = {"nested": [{"text": f"it is {SECRETS['HF_TOKEN']}"}]}
    [echo] = runpod_api.run({"route": "/__echo", "body": body}).output
    assert echo == {"nested": [{"text": f"it is {MASK}"}]}
    error = runpod_api.run({"route": "/__echo", "body": {"error": SECRETS["API_KEY"]}}).error
    assert error == MASK


def test_prompts_and_answers_are_not_logged(start_worker: Callable[..., Worker]) -> None:
    api = RunPod()
    try:
        worker = start_worker(api.environment())
        messages = [{"role": "user", "content": "a-private-question"}]
        assert api.run({"messages": messages}).output
        assert api.run({"messages": messages, "stream": True}).output
        # A validation error repeats the request; it goes to the caller alone.
        refused = {"n": "a-private-question"}
        chat = {"openai_route": "/v1/chat/completions", "openai_input": refused}
        assert "a-private-question" in api.run(chat).error
        time.sleep(0.2)
        assert "a-private-question" not in worker.log
        assert "wörld" not in worker.log
        assert "Finished." in worker.log, "the SDK still logs"
    finally:
        api.close()


# The redactor by itself


def test_every_spelling_of_a_value() -> None:
    secret = 'pa"ss\\w ö/rd'
    redactor = Redactor([secret])
    for text in (secret, repr(secret), json.dumps(secret), "pa%22ss%5Cw%20%C3%B6%2Frd"):
        assert "ss" not in redactor.text(f"<{text}>"), text
    assert redactor.longest >= len(secret)


def test_a_short_value_is_masked_behind_its_name_only() -> None:
    redactor = Redactor(["1"])
    assert redactor.text("version 1.1") == "version 1.1"
    line = redactor.line("ServerArgs(api_key='1', admin_api_key=\"1\", port=11)")
    assert line == f"ServerArgs(api_key='{MASK}', admin_api_key=\"{MASK}\", port=11)"
    assert redactor.line("launch --api-key 1 --port 1") == f"launch --api-key {MASK} --port 1"
    assert redactor.line("launch --api-key=1") == f"launch --api-key={MASK}"
    info = {"api_key": "1", "launch_command": "launch --api-key 1 --port 1", "port": 1}
    assert redactor.value(info, by_name=True) == {
        "api_key": MASK,
        "launch_command": f"launch --api-key {MASK} --port 1",
        "port": 1,
    }
    assert redactor.line('{"hf_token": "1"}') == f'{{"hf_token": "{MASK}"}}'


def test_what_is_no_secret_stays() -> None:
    redactor = Redactor(["long-secret"])
    for line in (
        "tokenizer_path='x' key='y' max_total_tokens=5 token 1",
        "eos_token='</s>' pad_token: '<pad>' #token: 5, token usage: 0.10",
        "ServerArgs(api_key=None, admin_api_key=None)",
        "token=128009, token='<|reserved_special_token_12|>', token: 5, cache_key='a1'",
        "token=aWordThatIsOfNoInterestWithoutADigit",
        "HF_TOKEN is not set; the password is wrong",
        "launch --api-key --port 1",
        "http://127.0.0.1:30000/v1/models?limit=1",
    ):
        assert redactor.line(line) == line
    assert redactor.value({"api_key": None, "n": 1, "list": [1.5]}, by_name=True) == {
        "api_key": None,
        "n": 1,
        "list": [1.5],
    }


@pytest.mark.parametrize("secret", ["sglang", "password", "test-key", "my key", "123456789"])
def test_an_ordinary_word_stays_in_answers(secret: str) -> None:
    redactor = Redactor([secret])
    answer = f"It says {secret}."
    assert redactor.text(answer) == answer
    assert redactor.value({"text": answer}) == {"text": answer}
    assert redactor.line(f"started with api_key='{secret}'") == f"started with api_key='{MASK}'"
    assert secret not in redactor.line(answer), "a log loses nothing by it"


@pytest.mark.parametrize("secret", ["pass-1", "correct horse battery staple", "s3cret", "sk-0123"])
def test_no_ordinary_word_stays_in_no_answer(secret: str) -> None:
    assert Redactor([secret]).text(f"It says {secret}.") == f"It says {MASK}."


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("AWS_SECRET_ACCESS_KEY=%s, region=x", "AWS_SECRET_ACCESS_KEY=********, region=x"),
        ("{'AWS_ACCESS_KEY_ID': '%s', 'n': 1}", "{'AWS_ACCESS_KEY_ID': '********', 'n': 1}"),
        ('{"db_password": "%s"}', '{"db_password": "********"}'),
        ("GITHUB_TOKEN: %s", "GITHUB_TOKEN: ********"),
        ('{"body": "{\\"hf_token\\": \\"%s\\"}"}', '{"body": "{\\"hf_token\\": \\"********\\"}"}'),
        ('{"api_key": ["%s", "b"], "n": 1}', '{"api_key": ********, "n": 1}'),
        ("{'my_secret': {'of': '%s'}, 'n': 1}", "{'my_secret': ********, 'n': 1}"),
        ("data={'n': 1, 'api_key': '%s'}", "data={'n': 1, 'api_key': '********'}"),
        ("{b'x-api-key': b'%s'}", "{b'x-api-key': b'********'}"),
        ("start --wandb-token %s --port 1", "start --wandb-token ******** --port 1"),
        ("Illegal header value b'Bearer %s'", "Illegal header value b'Bearer ********'"),
        ("{'authorization': 'Basic %s'}", "{'authorization': 'Basic ********'}"),
        ("GET https://user:%s@host/path", "GET https://user:********@host/path"),
        ("GET https://h/p?X-Amz-Signature=%s&n=1", "GET https://h/p?X-Amz-Signature=********&n=1"),
        ("GET https://h/p?sp=r&sig=%s&n=1", "GET https://h/p?sp=r&sig=********&n=1"),
        ("GET https://h/p#access_token=%s", "GET https://h/p#access_token=********"),
        ("clone https://%s@host/path", "clone https://********@host/path"),
        ("NEW_TOKEN=%s", "NEW_TOKEN=********"),
        ('{"accessToken": "%s", "n": 1}', '{"accessToken": "********", "n": 1}'),
        ("refreshToken=%s", "refreshToken=********"),
        ("X-Auth-Key: %s", "X-Auth-Key: ********"),
        ("{'Authorization': '%s'}", "{'Authorization': '********'}"),
        ("Authorization: Token %s", "Authorization: Token ********"),
        ("Cookie: %s", "Cookie: ********"),
        ("['run', '--api-key', '%s', '-v']", "['run', '--api-key', '********', '-v']"),
        ("login --token %s", "login --token ********"),
        ("OPENAI_KEY=%s", "OPENAI_KEY=********"),
        ("login(token='%s-of-a-library-1')", "login(token='********')"),
        ('{"token": "%s-of-a-library-1"}', '{"token": "********"}'),
    ],
)
def test_a_librarys_message_loses_a_secret_that_nobody_named(line: str, kept: str) -> None:
    assert Redactor().line(line % "zXy98-unheard-of") == kept


@pytest.mark.parametrize("start", ["hf_", "rpa_", "ghp_", "github_pat_", "glpat-", "sk-"])
def test_a_services_token_is_known_by_its_shape(start: str) -> None:
    assert Redactor().line(f"got {start}" + "aB1" * 9 + ", no") == f"got {MASK}, no"


@pytest.mark.parametrize(
    "line",
    [
        "token='" + "\\" * 200_000,
        "key" + ":" * 200_000,
        "x=1 " * 50_000 + "key",
        "hf_" * 70_000,
        "token:[" * 50_000,
        "token:{" * 50_000,
        'token:\\"' * 50_000,
        "token" + "\\" * 200_000,
        "x='[x={" * 50_000 + "key",
    ],
)
def test_a_long_line_is_read_once(line: str) -> None:
    assert len(Redactor().line(line)) > 100_000


@pytest.mark.parametrize(
    "name",
    """API_KEY --api-key ssl_keyfile_password HF_TOKEN HUGGING_FACE_HUB_TOKEN GITHUB_TOKEN
    AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID S3_SECRET client_secret PASSWORD_OF_DB MY_PASSWORD
    RUNPOD_AI_API_KEY NEW_TOKEN newToken HFToken apiKey clientSecret private_key DB_PASS DB_PWD
    API_TOKEN_2 x-api-key""".split(),  # noqa: SIM905
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    """TOKENIZER_PATH max_tokens KEY_VALUE SSL_KEYFILE token eos_token EOS_TOKEN new_token PWD
    BUCKET_TIME_TO_FIRST_TOKEN KT_MAX_DEFERRED_EXPERTS_PER_TOKEN maxTokens eosToken HF_TOKEN_PATH
    --bucket-time-to-first-token --kt-max-deferred-experts-per-token""".split(),  # noqa: SIM905
)
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_a_log_line_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    handlers, level = log.handlers[:], log.level
    try:
        setup_logging("warning", ["long-secret"])
        log.info("not at this level")
        log.warning("first %s\nsecond", "long-secret")
    finally:
        log.handlers[:], log.level = handlers, level
    [line] = stream.getvalue().splitlines()
    assert line.endswith(f"WARNING worker | first {MASK} | second")
    assert logging.getLogger("worker") is log
