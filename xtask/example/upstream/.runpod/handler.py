"""Takes RunPod jobs and hands them to SGLang."""

import os

import requests
import runpod

from engine import Engine
from utils import events

engine = Engine()


def max_concurrency(_current=None):
    return int(os.getenv("MAX_CONCURRENCY", "100"))


def request(job_input):
    """The route and the body that a job asks for."""
    if job_input.get("openai_route"):
        return job_input["openai_route"], job_input.get("openai_input") or {}
    if "messages" in job_input:
        return "/v1/chat/completions", {"model": engine.model, **job_input}
    return "/generate", job_input


async def handler(job):
    route, body = request(job["input"])
    response = requests.post(engine.base_url + route, json=body)
    if body.get("stream", False):
        for item in events(response):
            yield item
    elif response.status_code == 200:
        yield response.json()
    else:
        yield {"error": f"status {response.status_code}", "details": response.text}


if __name__ == "__main__":
    engine.start_server()
    engine.wait_for_server()
    runpod.serverless.start(
        {
            "handler": handler,
            "concurrency_modifier": max_concurrency,
            "return_aggregate_stream": True,
        }
    )
