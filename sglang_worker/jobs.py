"""What a job asks for: from its input to a request to SGLang."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

#: Routes that SGLang answers to GET only, so that a body which a client adds does no harm.
GET_ROUTES = frozenset(
    {
        "/v1/models",
        "/models",
        "/health",
        "/health_generate",
        "/ping",
        "/model_info",
        "/get_model_info",
        "/server_info",
        "/get_server_info",
        "/get_load",
        "/v1/loads",
        "/metrics",
        "/weight_version",
        "/get_weight_version",
    }
)

#: What clients of OpenAI's API ask for below their base URL, should that lack the `/v1`.
OPENAI_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models")

#: Where a body that is a text or a list belongs.
ONLY_FIELD = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/responses": "input",
}

#: What SGLang's native API calls otherwise than its OpenAI API.
NATIVE_NAMES = {"max_new_tokens": "max_tokens", "min_new_tokens": "min_tokens"}
NATIVE_NAMES |= {"sampling_seed": "seed"}

#: What stands beside `input` in a request to RunPod, and so also where a job is wrapped twice.
JOB_KEYS = frozenset({"id", "input", "policy", "s3Config", "webhook"})


#: Native routes whose text goes to the scheduler as it is.
NATIVE_ROUTES = frozenset({"/generate", "/encode", "/classify"})

#: How a request asks for the likeliest tokens at each place, at most as many as there are tokens.
LOGPROBS = ("top_logprobs_num", "top_logprobs", "logprobs")

LARGEST_TOP_K = 2**31 - 1  #: SGLang keeps it in 32 bits

#: Where a list may hold several prompts.
SEVERAL = {"/v1/completions": "prompt", "/v1/embeddings": "input"}

EMPTY: tuple[Any, ...] = ("", [])

#: Where a prompt may be given as tokens.
TOKENS = {
    **dict.fromkeys(NATIVE_ROUTES, ("input_ids",)),
    "/vertex_generate": ("input_ids",),
    "/v1/completions": ("prompt",),
    "/v1/embeddings": ("input",),
    "/v1/classify": ("input",),
    "/v1/score": ("query", "items"),
}

#: Routes that generate text, which the scheduler of a server for embeddings does not survive.
GENERATING_ROUTES = frozenset(
    {
        "/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/invocations",
        "/vertex_generate",
        "/api/chat",
        "/api/generate",
    }
)


class InputError(Exception):
    """The job's input is nothing that can be sent to SGLang; the text says why."""


@dataclass(frozen=True)
class Request:
    """One HTTP request to SGLang."""

    method: str
    route: str
    body: Any = None
    #: Nobody gave a method or a body, so that it is a GET.
    no_body: bool = field(default=False, compare=False)

    @property
    def has_body(self) -> bool:
        return self.body is not None


def check_route(route: Any) -> str:
    """A route that stays on this server; InputError for everything else.

    The origin is fixed when the request is built, so a route cannot reach another host in any
    case; what looks as if it were meant to is refused all the same.
    """
    if not isinstance(route, str):
        raise InputError(f"the route must be a text, not {_kind(route)}")
    route = route.strip()
    path = route.partition("?")[0]
    plain = unquote(path)
    if (
        not route.startswith("/")
        or plain.startswith("//")
        or "\\" in plain
        or "#" in route
        or any(ord(char) <= 32 or ord(char) == 127 for char in route + plain)
        or any(part in (".", "..") for part in plain.split("/"))
        or not route.isascii()
    ):
        raise InputError(
            f"{route[:200]!r} is no route on this server: give a path such as /v1/chat/completions"
        )
    # SGLang would answer a slash at the end with a redirect.
    if "?" in route:
        path, _, query = route.partition("?")
        return f"{path.rstrip('/') or '/'}?{query}"
    return route.rstrip("/") or "/"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _is_get_route(route: str) -> bool:
    path = route.partition("?")[0].rstrip("/")
    return path in GET_ROUTES or path.startswith("/v1/models/")


def read_input(job_input: Any, served_model: str, *, wrapped: bool = False) -> Request:
    """What a job asks for. These shapes are understood, in this order:

    - `{"openai_route": "/v1/...", "openai_input": {...}}`, as RunPod's own gateway sends it
    - `{"route": "/...", "method": "...", "body": ...}`, with `path` as another name for `route`
    - `{"messages": [...]}` and `{"prompt": ...}`, as the body of a chat or a text completion, with
      `sampling_params` beside them
    - `{"query": ..., "docs": [...]}` for rerank, `{"input": [...]}` for embeddings
    - `{"input": {...}}`: any of these, wrapped twice
    - anything else is the body of `/generate`
    """
    if not isinstance(job_input, Mapping):
        raise InputError(f"the job's input must be an object, not {_kind(job_input)}")
    if not job_input:
        raise InputError(
            "the job's input is empty: give messages, prompt, text, openai_route or route"
        )
    if "openai_route" in job_input:
        return _openai_request(job_input, served_model)
    if "route" in job_input or "path" in job_input:
        return _plain_request(job_input)
    if "messages" in job_input:
        body = _with_sampling_params(job_input)
        return Request("POST", "/v1/chat/completions", {"model": served_model, **body})
    if "prompt" in job_input:
        body = _with_sampling_params(job_input)
        return Request("POST", "/v1/completions", {"model": served_model, **body})
    if "query" in job_input and ("docs" in job_input or "documents" in job_input):
        names = {"docs": "documents", "return_docs": "return_documents"}
        return Request("POST", "/v1/rerank", _renamed(job_input, names))
    inner = job_input.get("input")
    if isinstance(inner, Mapping) and not wrapped:
        if strange := sorted(map(str, set(job_input) - JOB_KEYS)):
            raise InputError(
                f"{', '.join(strange)}: nothing of a request may stand beside input when that "
                "holds the whole request"
            )
        return read_input(inner, served_model, wrapped=True)
    if isinstance(inner, (str, list)):
        if isinstance(inner, list) and any(isinstance(i, Mapping) and "role" in i for i in inner):
            raise InputError(
                "input holds messages: give them as messages, or give openai_route "
                "/v1/responses and the whole body as openai_input"
            )
        return Request("POST", "/v1/embeddings", {"model": served_model, **job_input})
    return Request("POST", "/generate", dict(job_input))


def refuse_what_ends_the_server(
    request: Request, *, generates: bool, vocabulary: int | None = None
) -> None:
    """InputError for a request after which SGLang's scheduler would be dead. `vocabulary` is how
    many tokens the model knows, where that is known."""
    path = unquote(request.route.partition("?")[0]).rstrip("/")
    if request.method not in ("POST", "PUT"):
        return
    if not generates and path in GENERATING_ROUTES:
        raise InputError(
            f"this server makes embeddings and generates no text, and {path} would end it: "
            "ask /v1/embeddings"
        )
    body = request.body if isinstance(request.body, Mapping) else {}
    bodies = [body]
    native = path in NATIVE_ROUTES
    if path == "/vertex_generate" and isinstance(body.get("instances"), list):
        given = next(iter(_objects(body.get("parameters"))), {})
        native, bodies = True, [{**given, **item} for item in _objects(body["instances"])]
    for body in bodies:
        prompts = [body.get(name) for name in ("text", "input_ids") if native]
        # SGLang itself refuses an empty prompt here, but not a list in which one is empty.
        several = body.get(SEVERAL.get(path, ""))
        if isinstance(several, list) and several:
            prompts.append(several)
        # What is scored is the query and an item together.
        if path == "/v1/score" and body.get("query") in ("", []):
            prompts.append(body.get("items"))
        if any(map(_is_empty, prompts)):
            raise InputError(f"the prompt is empty, or one of them is, which would end {path}")
        for name in TOKENS.get(path, ()):
            _refuse_tokens(body.get(name), name, path, vocabulary)
        # A list, one for each prompt, where there is one prompt alone.
        if path == "/generate" and _is_one(body):
            _refuse_lists(body, path)
        if path in GENERATING_ROUTES:
            more = [*_objects(body.get("sampling_params")), *_objects(body.get("options"))]
            for params in (body, *more):
                _refuse_parameters(params, path, vocabulary)


def _refuse_parameters(params: Mapping[str, Any], path: str, vocabulary: int | None) -> None:
    """What a request asks of tokens that the model does not have."""
    if any(number > LARGEST_TOP_K for number in _numbers(params.get("top_k"))):
        raise InputError(f"top_k is more than {LARGEST_TOP_K}, which would end {path}")
    for name in LOGPROBS if vocabulary else ():
        if any(number > (vocabulary or 0) for number in _numbers(params.get(name))):
            raise InputError(
                f"{name} asks for more tokens than this model has ({vocabulary}), which would "
                f"end {path}"
            )
    # Until the least number is reached SGLang keeps these away, each in its place among all.
    if params.get("min_new_tokens") or params.get("min_tokens"):
        _refuse_tokens(params.get("stop_token_ids"), "stop_token_ids", path, vocabulary)


def _is_one(body: Mapping[str, Any]) -> bool:
    ids = body.get("input_ids")
    tokens = isinstance(ids, list) and not any(isinstance(part, list) for part in ids)
    return isinstance(body.get("text"), str) or (body.get("text") is None and tokens)


def _refuse_lists(body: Mapping[str, Any], path: str) -> None:
    for name in ("logprob_start_len", "top_logprobs_num"):
        if body.get("return_logprob") and isinstance(body.get(name), list):
            raise InputError(f"{name} is a list beside one prompt, which would end {path}")


def _objects(given: Any) -> list[Mapping[str, Any]]:
    return [g for g in (given if isinstance(given, list) else [given]) if isinstance(g, Mapping)]


def _numbers(given: Any) -> Iterator[float]:
    """The numbers in a value, or in a list, as SGLang takes them: `"5"` is one, too."""
    for item in given if isinstance(given, list) else (given,):
        with contextlib.suppress(ValueError):
            if isinstance(item, (int, float, str)) and not isinstance(item, bool):
                yield float(item) if isinstance(item, str) else item


def _is_empty(prompt: Any) -> bool:
    return prompt in EMPTY or (isinstance(prompt, list) and any(p in EMPTY for p in prompt))


def _refuse_tokens(given: Any, name: str, path: str, vocabulary: int | None) -> None:
    """SGLang looks tokens up without a look at them, and one that is none ends the GPU's work."""
    for part in given if isinstance(given, list) else ():
        for token in part if isinstance(part, list) else (part,):
            if isinstance(token, str) and name in ("input_ids", "stop_token_ids"):
                with contextlib.suppress(ValueError):  # SGLang takes "-1" for a number, too
                    token = int(token)
            if isinstance(token, (int, float)) and not 0 <= token < (vocabulary or math.inf):
                known = f"from 0 to {vocabulary - 1}" if vocabulary else "0 or more"
                raise InputError(
                    f"{name} holds {token}, which is no token of this model ({known}), and would "
                    f"end {path}"
                )


def _openai_request(job_input: Mapping[str, Any], served_model: str) -> Request:
    route = check_route(job_input["openai_route"])
    path = route.partition("?")[0]
    if any(path == known or path.startswith(known + "/") for known in OPENAI_ROUTES):
        route = "/v1" + route
    body = job_input.get("openai_input")
    strange = sorted(map(str, set(job_input) - {"openai_route", "openai_input"}))
    if body is None and strange and not _is_get_route(route):
        raise InputError(
            f"{', '.join(strange)}: beside openai_route the body is expected in openai_input"
        )
    if isinstance(body, str) and body.lstrip().startswith("{"):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(f"openai_input is a text that is no valid JSON: {error}") from error
    if body and not isinstance(body, Mapping) and not _is_get_route(route):
        body = {"model": served_model} | _around(route, body)
    return _request(route, None, body)


def _around(route: str, content: Any) -> dict[str, Any]:
    """The body for a route of which only the main thing was given."""
    field = ONLY_FIELD.get(route.partition("?")[0])
    if field is None or not isinstance(content, (str, list)):
        raise InputError(f"openai_input must be an object for {route}, not {_kind(content)}")
    if field == "messages" and isinstance(content, str):
        content = [{"role": "user", "content": content}]
    return {field: content}


def _plain_request(job_input: Mapping[str, Any]) -> Request:
    if "route" in job_input and "path" in job_input:
        raise InputError("route and path are two names for one thing: give one of them")
    route = check_route(job_input.get("route", job_input.get("path")))
    unknown = sorted(map(str, set(job_input) - {"route", "path", "method", "body"}))
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: beside a route only method and body are known; "
            "what is meant for SGLang goes into body"
        )
    return _request(route, job_input.get("method"), job_input.get("body"))


def _with_sampling_params(job_input: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the native API's parameters as the OpenAI API takes them."""
    body = _renamed({k: v for k, v in job_input.items() if k != "sampling_params"}, NATIVE_NAMES)
    params = job_input.get("sampling_params")
    if params is None:
        return body
    if not isinstance(params, Mapping):
        raise InputError(f"sampling_params must be an object, not {_kind(params)}")
    for name, value in _renamed(params, NATIVE_NAMES).items():
        if body.setdefault(name, value) != value:
            raise InputError(f"{name} is given twice, in sampling_params and beside it")
    return body


def _renamed(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in given.items():
        known = names.get(name, name)
        if result.setdefault(known, value) != value:
            raise InputError(f"{known} is given twice, also by another name")
    return result


def _request(route: str, method: Any, body: Any) -> Request:
    empty = body is None or body == {} or body == ""
    if method is None:
        if empty or _is_get_route(route):
            return Request("GET", route, no_body=True)
        return Request("POST", route, body)
    if not isinstance(method, str) or method.strip().upper() not in METHODS:
        raise InputError(f"method must be one of {', '.join(sorted(METHODS))}")
    return Request(method.strip().upper(), route, body)
