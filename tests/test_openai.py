"""The real OpenAI client through a gateway that turns its calls into jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import openai
import pytest
from conftest import ANSWER, MESSAGES, Worker, wait_for
from runpod_api import RunPod


def served(
    api: RunPod, tmp_path_factory: pytest.TempPathFactory, **more: str
) -> Iterator[openai.OpenAI]:
    """A client of a worker behind a key."""
    environment = {"SERVED_MODEL_NAME": "served", "API_KEY": "sk-0000001"} | more
    worker = Worker(tmp_path_factory.mktemp("worker"), api.environment() | environment)
    yield openai.OpenAI(base_url=api.openai_url, api_key="rpa", max_retries=0, timeout=20)
    worker.end()


@pytest.fixture(scope="module")
def client(runpod_api: RunPod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """A client of a worker that generates text."""
    yield from served(runpod_api, tmp_path_factory)


@pytest.fixture
def embedder(
    own_runpod: RunPod, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    """A client of a worker whose model makes embeddings."""
    yield from served(own_runpod, tmp_path_factory, IS_EMBEDDING="true")


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["served"]
    assert client.models.retrieve("served").id == "served"


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="served", messages=MESSAGES)
    assert answer.choices[0].message.content == ANSWER


def test_a_streamed_chat(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="served", messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="served", prompt="Say hello.")
    assert answer.choices[0].text == ANSWER
    stream = client.completions.create(model="served", prompt="Say hello.", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == ANSWER


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="served", input="Say hello.")
    assert answer.output_text == ANSWER
    stream = client.responses.create(model="served", input="Say hello.", stream=True)
    kinds = [event.type for event in stream]
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == 7
    assert kinds[-1] == "response.completed"


def test_embeddings(embedder: openai.OpenAI) -> None:
    answer = embedder.embeddings.create(model="served", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 1.0]] * 2


def test_an_error_raises_with_the_servers_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="messages: Field required"):
        client.chat.completions.create(model="served", messages=None)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="messages: Field required"):
        client.post(
            "/chat/completions",
            body={"stream": True},
            cast_to=object,
            stream=True,
            stream_cls=openai.Stream[object],
        )


def test_an_error_in_mid_stream_raises(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="served", messages=MESSAGES, stream=True, extra_body={"__drop_after": 3}
    )
    received = []
    with pytest.raises(openai.APIError, match="connection to SGLang broke"):
        received.extend(chunk.choices[0].delta.content for chunk in stream)


def test_a_client_that_leaves_aborts_its_request(
    start_worker: Callable[..., Worker], own_runpod: RunPod
) -> None:
    worker = start_worker(own_runpod.environment() | {"STANDIN_TOKEN_MS": "20"})
    client = openai.OpenAI(base_url=own_runpod.openai_url, api_key="rpa", max_retries=0)
    stream = client.chat.completions.create(
        model="x", messages=MESSAGES, stream=True, max_tokens=100_000
    )
    next(iter(stream))
    stream.close()
    wait_for(lambda: worker.ask("/__aborted"), 20, "the abort")
