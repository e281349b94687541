"""`/ping` for RunPod's load balancer: 204 while the model loads, 200 once it is ready.

SGLang's port stays SGLang's, so this listens on PORT_HEALTH, and only where that is another one.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sglang_worker.config import ServerConfig
from sglang_worker.supervisor import Supervisor
from utils import log

CLIENT_TIMEOUT = 10.0  #: seconds that a client may take for its question


def status_of(supervisor: Supervisor) -> int:
    """What the load balancer is told."""
    if supervisor.ended.done():
        return 503
    return 200 if supervisor.ready.done() else 204


def serve(config: ServerConfig, supervisor: Supervisor) -> None:
    """Answers on PORT_HEALTH; OSError when nothing can listen there."""
    port, path = config.settings.port_health, config.settings.health_check_path
    if port in (0, config.port):
        log.info(
            "no /ping of the worker's own: a load-balancer endpoint needs PORT=%d, PORT_HEALTH=%d "
            "and HEALTH_CHECK_PATH=/ping, or SGLang's own /health on PORT",
            config.port,
            config.port + 1,
        )
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_TIMEOUT

        def do_GET(self) -> None:
            asked = self.path.partition("?")[0].rstrip("/") or "/"
            known = asked in ("/ping", path.rstrip("/") or "/")
            status = status_of(supervisor) if known else 404
            self.send_response(status)
            if status != 204:  # which has none by the standard, and strict proxies look
                self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args  # a question a second is no news

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="ping", daemon=True).start()
    log.info("answering %s on port %d for a load balancer", path, port)
