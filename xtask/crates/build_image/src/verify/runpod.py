"""A stand-in for RunPod's job API: hands out the jobs of the list on standard input, JSON objects with
`input` and `seconds`, and prints what happens, a JSON object a line: `poll`, when a worker first asks
for jobs; `answered`, with what is `wrong` with the answer to a job and whether it was `late`, after
which no other is handed out.

It runs in a container of the image that is looked at, which has nothing but Python for sure: so it
is the standard library's server. tests/runpod_api.py, which the worker's own tests steer from
within their process, is built on aiohttp and imitates RunPod's gateway too.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PORT = 47213
POLL_SECONDS = 5.0

jobs: queue.Queue[dict[str, Any]] = queue.Queue()
taken: set[str] = set()
streamed: dict[str, list[Any]] = {}
results: queue.Queue[tuple[str, Any]] = queue.Queue()
polled = threading.Event()


class Api(BaseHTTPRequestHandler):
    """The routes that the SDK uses."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, value: Any = None) -> None:
        """Sends an answer, empty unless there is a value."""
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Jobs, stops and signs of life."""
        route = urlsplit(self.path).path.strip("/").split("/")[0]
        if route in ("job-take", "job-take-batch"):
            polled.set()
            try:
                job = jobs.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self.answer(204)
                return
            try:
                self.answer(200, [job] if route == "job-take-batch" else job)
                taken.add(job["id"])
            except OSError:
                jobs.put(job)
        elif route == "job-stop":
            threading.Event().wait(POLL_SECONDS)
            self.answer(204)
        else:
            self.answer(200)

    def do_POST(self) -> None:
        """Pieces of answers, and their ends."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route, *rest = urlsplit(self.path).path.strip("/").split("/")
        try:
            value = json.loads(body)
        except ValueError:
            value = {"error": f"the worker sent no JSON: {body[:200]!r}"}
        # The worker's own id comes first.
        job = rest[-1] if rest else ""
        if route == "job-stream":
            streamed.setdefault(job, []).append(value.get("output"))
        elif route == "job-done":
            results.put((job, value))
        self.answer(200)

    def log_message(self, *_: Any) -> None:
        """Nothing: what matters is told."""


def events(text: str) -> Iterator[Any]:
    """The data of server-sent events, where a text is made of them."""
    for line in text.splitlines():
        try:
            yield json.loads(line.removeprefix("data:")) if line.startswith("data:") else None
        except ValueError:
            continue


def error_in(value: Any) -> str | None:
    """The error in any part of an answer."""
    if isinstance(value, list):
        return next(filter(None, map(error_in, value)), None)
    if isinstance(value, str):
        return error_in(list(events(value)))
    if not isinstance(value, dict):
        return None
    error = value if value.get("object") == "error" else value.get("error")
    if error is None:
        return None
    text = error if isinstance(error, str) else json.dumps(error)
    return (text.strip().splitlines() or [""])[-1][:300]


def says_something(value: Any) -> bool:
    """Whether there is something that a model said, and not only the frame around it."""
    if isinstance(value, list):
        return any(map(says_something, value))
    if isinstance(value, str):
        is_stream = any(line.startswith("data:") for line in value.splitlines())
        return says_something(list(events(value))) if is_stream else bool(value.strip())
    if not isinstance(value, dict):
        return value is not None
    for choices in filter(None, [value.get("choices")]):
        said = [choice.get("message") or choice.get("delta") or choice for choice in choices]
        parts = ("content", "reasoning_content", "tool_calls", "text")
        return any(says_something(one.get(part)) for one in said for part in parts)
    return says_something(value["text"] if "text" in value else list(value.values()))


def judge(result: Any, parts: list[Any]) -> str | None:
    """What is wrong with an answer: its result, and what was streamed before that."""
    outputs = [*parts, result.get("output")]
    if error := error_in({"error": result.get("error")}) or error_in(outputs):
        return f"the worker answered with an error: {error}"
    if says_something(outputs):
        return None
    return "the answer is empty: expected text or a list of vectors"


def outcome(name: str, job: dict[str, Any]) -> dict[str, Any]:
    """Hands out a job, and waits for its end."""
    jobs.put({"id": name, "input": job["input"]})
    seconds, done = job["seconds"], threading.Event()
    timer = threading.Timer(seconds, results.put, [(name, done)])
    timer.daemon = True
    timer.start()
    while (ended := results.get())[0] != name:
        pass
    timer.cancel()
    if ended[1] is not done:
        return {"wrong": judge(ended[1], streamed.get(name, [])), "late": False}
    wrong = f"the worker has not taken the job in {seconds} s"
    if name in taken:
        wrong = f"no answer in {seconds} s: expected one in that time"
    return {"wrong": wrong, "late": True}


def main() -> None:
    """Serves until somebody ends it."""
    cases = json.load(sys.stdin)
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Api)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    polled.wait()
    print(json.dumps({"poll": True}), flush=True)
    for number, job in enumerate(cases):
        answered = outcome(f"case-{number}", job)
        print(json.dumps({"answered": answered}), flush=True)
        if answered["late"]:
            break
    serving.join()


if __name__ == "__main__":
    main()
