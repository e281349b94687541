"""Measures the worker beside a direct client of the same server, in one run.

    python3 xtask/bench/worker.py [--rounds N] [--idle SECONDS] [--json FILE]

It needs what requirements.txt asks for. A stand-in for SGLang serves tokens at a fixed pace, a
stand-in for RunPod's job API hands out jobs and takes their outputs; both are those of the tests,
each in a process of its own. What the direct client measures is what the machine and the
stand-in allow; the worker is judged by the ratio to that. Every figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from runpod_api import Job, RunPod  # noqa: E402

TOKENS = 200
TOKEN_MS = 10
CONCURRENCY = (1, 8, 32, 64)
PLAIN_JOBS = 64
PLAIN_TOKENS = 20
LOAD_SECONDS = 3.0
IDLE_SECONDS = 10.0
JOB_LIMIT = 60.0  #: seconds after which a scenario that hangs is an error
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Round:
    """One scenario, once: when each request began to answer and when all were done."""

    wall: float
    first: list[float] = field(default_factory=list)
    received: int = 0
    posted: int = 0
    cpu: float = 0.0


def stream_body(tokens: int = TOKENS, *, stream: bool = True) -> dict[str, Any]:
    return {
        "model": "bench",
        "messages": [{"role": "user", "content": "Count."}],
        "max_tokens": tokens,
        "stream": stream,
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Resident memory, and what of it is the process's own."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


async def direct(base: str, count: int, *, stream: bool) -> Round:
    """The same requests, sent straight to the server."""

    async def one(session: aiohttp.ClientSession, begun: float) -> tuple[float, int]:
        first, received = 0.0, 0
        body = stream_body(TOKENS if stream else PLAIN_TOKENS, stream=stream)
        async with session.post(f"{base}/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            async for data in response.content.iter_any():
                first = first or time.monotonic() - begun
                received += len(data)
        return first, received

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun = time.monotonic()
        answers = await asyncio.gather(*(one(session, begun) for _ in range(count)))
        wall = time.monotonic() - begun
    return Round(wall, [first for first, _ in answers], sum(size for _, size in answers))


def submit_all(api: RunPod, job_input: Any, count: int) -> list[Job]:
    """Puts jobs into the queue in one go, as far as the worker can see."""

    async def submit() -> list[Job]:
        return [await api._submit(job_input) for _ in range(count)]

    return asyncio.run_coroutine_threadsafe(submit(), api._loop).result(JOB_LIMIT)


def through_worker(api: RunPod, pid: int, count: int, *, stream: bool) -> Round:
    """The same requests as jobs."""
    body = stream_body(TOKENS if stream else PLAIN_TOKENS, stream=stream)
    job_input = {"openai_route": "/v1/chat/completions", "openai_input": body}
    posted, cpu = api.posted_bytes, cpu_seconds(pid)
    begun = time.monotonic()
    jobs = submit_all(api, job_input, count)
    for job in jobs:
        job.wait(JOB_LIMIT)
    wall = max(ended(job) for job in jobs) - begun
    first = [job.item_times[0] - begun for job in jobs]
    received = sum(len(job.text.encode()) for job in jobs) if stream else 0
    return Round(wall, first, received, api.posted_bytes - posted, cpu_seconds(pid) - cpu)


def ended(job: Job) -> float:
    """When the last output of a job that must have succeeded arrived."""
    assert job.output
    return job.item_times[-1]


@contextmanager
def worker(api: RunPod, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with the stand-in for SGLang below it; both end with the block."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = (
        kept
        | api.environment()
        | {
            "PYTHONPATH": str(ROOT / "tests/standin"),
            "LOCAL_MODEL_ARGS": "/nonexistent",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_PING_INTERVAL": "10000",
            "STANDIN_TOKEN_MS": str(TOKEN_MS),
            "STANDIN_LOAD_SECONDS": str(LOAD_SECONDS),
            "MODEL_NAME": "bench",
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "handler.py")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready_at(log: Path) -> float:
    """When the stand-in said that it was ready, on the monotonic clock."""
    match = re.search(r"ready to roll! (\d+\.\d+)", log.read_text("utf-8", "replace"))
    if not match:
        raise SystemExit(f"the server did not become ready; its log:\n{log.read_text()[-3000:]}")
    return float(match[1]) - time.time() + time.monotonic()


def median(values: list[float]) -> float:
    return statistics.median(values)


class Report:
    """Lines for people, figures for programs, and whether every target was reached."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.missed: list[str] = []

    def add(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        self.figures[name] = round(value, 4)
        verdict = ""
        if limit is not None:
            reached = value <= limit
            verdict = f"  to reach: {limit:g} {unit}".rstrip() + ("" if reached else "  MISSED")
            if not reached:
                self.missed.append(name)
        print(f"  {name:<52} {value:9.3f} {unit:<4}{verdict}", flush=True)


def measure(rounds: int, idle: float, report: Report) -> None:
    """Runs every scenario and fills the report."""
    api = RunPod()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        early = api.submit({"messages": [{"role": "user", "content": "Hi."}], "max_tokens": 1})
        launched = time.monotonic()
        with worker(api, port, log) as process:
            early.wait(JOB_LIMIT)
            print("start-up")
            report.add("job taken after the worker's start", (early.taken or 0) - launched, "s")
            answered = early.item_times[0] - ready_at(log)
            report.add("early job answered after the server is ready", answered, "s", 0.3)

            print("idle")
            time.sleep(1)
            cpu = cpu_seconds(process.pid)
            time.sleep(idle)
            share = (cpu_seconds(process.pid) - cpu) / idle
            report.add("share of a core", share * 100, "%", 1.0)

            report.add("resident memory", memory_mb(process.pid), "MB", 80)

            for count in CONCURRENCY:
                print(f"{count} streams of {TOKENS} tokens, one every {TOKEN_MS} ms")
                streams(api, process.pid, base, count, rounds, report)
            print(f"{PLAIN_JOBS} plain jobs of {PLAIN_TOKENS} tokens")
            plain(api, process.pid, base, rounds, report)
            print("after all of that")
            report.add("resident memory afterwards", memory_mb(process.pid), "MB")
    api.close()


def compare(
    api: RunPod, pid: int, base: str, count: int, rounds: int, *, stream: bool
) -> tuple[list[Round], list[Round]]:
    """Both ways, turn by turn, so that whatever else the machine does meets both."""
    own, other = [], []
    for _ in range(rounds):
        other.append(asyncio.run(direct(base, count, stream=stream)))
        own.append(through_worker(api, pid, count, stream=stream))
    return own, other


def streams(api: RunPod, pid: int, base: str, count: int, rounds: int, report: Report) -> None:
    own, other = compare(api, pid, base, count, rounds, stream=True)
    judged = count == max(CONCURRENCY)
    name = f"{count} streams: "
    wall, base_wall = (median([r.wall for r in side]) for side in (own, other))
    first, base_first = (median([median(r.first) for r in side]) for side in (own, other))
    report.add(name + "direct, all done", base_wall, "s")
    report.add(name + "worker, all done", wall, "s")
    report.add(name + "worker by direct", wall / base_wall, "", 1.05 if judged else None)
    report.add(name + "direct, first chunk", base_first * 1000, "ms")
    report.add(name + "worker, first chunk", first * 1000, "ms")
    behind = (first - base_first) * 1000
    report.add(name + "first chunk behind", behind, "ms", 20 if judged else None)
    cpu = median([r.cpu for r in own]) / (count * TOKENS) * 10_000
    report.add(name + "CPU for 10,000 tokens", cpu, "s", 0.6 if judged else None)
    ratio = median([r.posted / r.received for r in own])
    report.add(name + "bytes posted by received", ratio, "", 1.15 if judged else None)


def plain(api: RunPod, pid: int, base: str, rounds: int, report: Report) -> None:
    own, other = compare(api, pid, base, PLAIN_JOBS, rounds, stream=False)
    wall, base_wall = (median([r.wall for r in side]) for side in (own, other))
    report.add("plain: direct, all done", base_wall, "s")
    report.add("plain: worker, all done", wall, "s")
    report.add("plain: CPU a job", median([r.cpu for r in own]) / PLAIN_JOBS * 1000, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each scenario (5)")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of the idle look (20)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before, "
        f"{given.rounds} rounds"
    )
    report = Report()
    measure(given.rounds, given.idle, report)
    if given.json:
        given.json.write_text(json.dumps(report.figures, indent=2) + "\n", "utf-8")
    if report.missed:
        sys.exit("missed: " + "; ".join(report.missed))
    print("every target was reached")


if __name__ == "__main__":
    main()
