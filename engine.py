"""Runs the SGLang server: `python3 engine.py` does that under supervision and nothing else.

That is all that a load-balancer endpoint needs: the platform sends HTTP straight to PORT and asks
`/health` there.
"""

from __future__ import annotations

import os
import sys

from sglang_worker import ping
from sglang_worker.config import ServerConfig, load_config
from sglang_worker.supervisor import Supervisor
from utils import ConfigError, Redactor, log, secrets_in, setup_logging


def start(supervisor: Supervisor, *, everywhere: bool = True) -> tuple[ServerConfig, Redactor]:
    """Reads the configuration and starts the server; leaves with a line for each mistake.

    `everywhere` says that clients reach SGLang itself, not by the worker alone.
    """
    try:
        config = load_config(everywhere=everywhere)
    except ConfigError as error:
        setup_logging("info", secrets_in(os.environ))
        for problem in error.problems:
            log.error("%s", problem)
        sys.exit(1)
    redactor = setup_logging(config.settings.worker_log_level, config.secrets)
    for note in config.notes:
        log.info("%s", note)
    for warning in config.arguments.warnings:
        log.warning("%s", warning)
    supervisor.start(config, redactor)
    return config, redactor


def serve_http(config: ServerConfig, supervisor: Supervisor) -> None:
    """Leaves the requests to SGLang, and tells a load balancer when they can begin."""
    try:
        ping.serve(config, supervisor)
    except OSError as error:
        log.error("PORT_HEALTH=%d: %s", config.settings.port_health, error)
        supervisor.close()
        sys.exit(1)
    supervisor.wait()


def main() -> None:
    """Runs SGLang under supervision until one of the two is told to stop."""
    supervisor = Supervisor()
    supervisor.catch_signals()
    config, _ = start(supervisor)
    serve_http(config, supervisor)


if __name__ == "__main__":
    main()
