"""A stand-in for RunPod's job API: hands out the jobs that come in on standard input, a JSON object
a line, and prints what happens, a JSON object a line. It ends with its input.

It runs in a container of the image that is looked at, which has nothing but Python for sure: so it
is the standard library's server. tests/runpod_api.py, which the worker's own tests steer from
within their process, is built on aiohttp and imitates RunPod's gateway too.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

POLL_SECONDS = 5.0

jobs: queue.Queue[dict[str, Any]] = queue.Queue()
_printing = threading.Lock()


def tell(event: str, **more: Any) -> None:
    """Prints what has happened."""
    with _printing:
        print(json.dumps({"event": event} | more), flush=True)


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
            tell("poll")
            try:
                job = jobs.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self.answer(204)
                return
            try:
                self.answer(200, [job] if route == "job-take-batch" else job)
                tell("taken", id=job["id"])
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
        if route in ("job-done", "job-stream"):
            # The worker's own id comes first.
            tell(route.removeprefix("job-"), id=rest[-1] if rest else "", value=value)
        self.answer(200)

    def log_message(self, *_: Any) -> None:
        """Nothing: what matters is told."""


def main() -> None:
    """Serves until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell("listening", port=server.server_address[1])
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
