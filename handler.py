"""The RunPod handler: registers at once, starts SGLang beside it, and relays jobs to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from engine import serve_http, start
from sglang_worker.config import ServerConfig
from sglang_worker.supervisor import Supervisor
from utils import Redactor, log


def runs_one_job(arguments: list[str], environment: Mapping[str, str]) -> bool:
    """Whether the SDK will hand jobs to a plain function: `--test_input`, a test_input.json, or a
    realtime endpoint. It takes a generator there, but never runs it."""
    if "--rp_serve_api" in arguments:
        return False
    return (
        any(argument.startswith("--test_input") for argument in arguments)
        or "RUNPOD_WEBHOOK_GET_JOB" not in environment
        or environment.get("RUNPOD_REALTIME_PORT", "0") != "0"
    )


def is_pod(arguments: list[str], environment: Mapping[str, str]) -> bool:
    """Whether this is a Pod, or a worker to which a load balancer sends HTTP: no jobs come here."""
    asked = any(a.startswith(("--test_input", "--rp_serve_api")) for a in arguments)
    return (
        bool(environment.get("RUNPOD_POD_ID"))
        and "RUNPOD_WEBHOOK_GET_JOB" not in environment
        and environment.get("RUNPOD_REALTIME_PORT", "0") == "0"
        and not asked
    )


def serve(config: ServerConfig, redactor: Redactor, supervisor: Supervisor) -> None:
    """Registers with RunPod and relays jobs until the worker ends."""
    # Late, because importing these takes a second or two that SGLang can use.
    from sglang_worker import sdk
    from sglang_worker.relay import Relay, shortened

    relay = Relay(config, supervisor, redactor)
    failures: dict[str, dict[str, Any]] = {}

    def finish(result: dict[str, Any], job_id: str) -> dict[str, Any]:
        """What is posted as a job's result: the SDK leaves of a failure nothing but its text."""
        failure = failures.pop(job_id, {})
        if "error" in result and failure:
            about = {name: value for name, value in failure.items() if name != "error"}
            return result | {"output": about}
        if isinstance(result.get("output"), list):
            return result | {"output": shortened(result["output"])}
        return result

    runpod = sdk.load(finish)
    jobs = sdk.jobs_in_progress()
    if "--rp_serve_api" not in sys.argv:  # whose jobs stay on record until somebody asks for them
        supervisor.jobs_in_progress = lambda: jobs() + sdk.polls.closing()
    supervisor.on_end(sdk.polls.end)  # the server may end before the SDK asks for the concurrency
    sdk.polls.room = lambda: (
        config.settings.max_concurrency
        if supervisor.ready.done()
        else config.settings.loading_concurrency - jobs()
    )

    async def handler(job: dict[str, Any]) -> AsyncIterator[Any]:
        supervisor.retake_signals()  # the SDK's local server has its own handlers
        async for output in relay.answer(job.get("input")):
            if isinstance(output, dict) and output.get("error"):
                failures[job["id"]] = output
            yield output

    async def run_one(job: dict[str, Any]) -> Any:
        outputs = [output async for output in relay.answer(job.get("input"))]
        failed = [item for item in outputs if isinstance(item, dict) and item.get("error")]
        return failed[-1] if failed else outputs

    def concurrency(current: int) -> int:
        del current
        # The SDK has replaced the signal handlers by the time it asks this for the first time.
        # Its own handler is still of use: it is what stops the SDK from taking more jobs.
        if previous := supervisor.retake_signals():
            loop = asyncio.get_running_loop()

            def stop() -> None:
                sdk.polls.end()
                stop_sdk = previous[0], signal.SIGTERM, None
                loop.call_soon_threadsafe(loop.call_later, sdk.CLOSING, *stop_sdk)

            supervisor.on_end(stop)
        return config.settings.max_concurrency

    runpod.serverless.start(
        {
            "handler": run_one if runs_one_job(sys.argv, os.environ) else handler,
            "concurrency_modifier": concurrency,
            "return_aggregate_stream": True,
        }
    )


def main() -> None:
    """Runs the worker until it is told to stop or SGLang ends."""
    # SGLang's health check generates a token and looks for it a second later. Without that it
    # says at once whether the warm-up is over, which is all that is asked here.
    pod = is_pod(sys.argv, os.environ)
    if not pod:
        os.environ.setdefault("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION", "0")
    supervisor = Supervisor()
    supervisor.catch_signals()
    config, redactor = start(supervisor, everywhere=pod)
    if pod or config.node_rank:
        why = (
            "no jobs come to a Pod"
            if pod
            else f"jobs go to node 0, this is node {config.node_rank}"
        )
        log.info("%s: SGLang answers on port %d", why, config.port)
        serve_http(config, supervisor)
    try:
        serve(config, redactor, supervisor)
    finally:
        supervisor.close()


if __name__ == "__main__":
    main()
