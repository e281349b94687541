"""Turning the server's stream into what a job yields."""

import json


def event(line):
    """One line of the stream as a server-sent event."""
    payload = line.strip().removeprefix("data: ")
    if payload == "[DONE]":
        return "data: [DONE]\n\n"
    try:
        payload = json.dumps(json.loads(payload))
    except json.JSONDecodeError:
        pass
    return f"data: {payload}\n\n"


def events(response):
    for line in response.iter_lines():
        if line:
            yield event(line.decode("utf-8"))
