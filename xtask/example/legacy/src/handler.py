"""Takes RunPod jobs and hands them to SGLang."""

import os

import requests
import runpod

from engine import Engine
from utils import events

engine = Engine()


def max_concurrency(_current=None):
    return int(os.getenv("MAX_CONCURRENCY", "300"))


async def handler(job):
    job_input = job["input"]
    route = job_input.get("openai_route")
    if route:
        body = job_input.get("openai_input")
        response = requests.post(engine.base_url + route, json=body)
        if body.get("stream", False):
            for item in events(response):
                yield item
        else:
            yield response.text
        return
    response = requests.post(engine.base_url + "/generate", json=job_input)
    if response.status_code == 200:
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
