"""`/metrics`, `/livez` and `/readyz` over plain HTTP, on a thread, for those inside the deployment."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from jobs.errors import InvalidSetting
from worker.settings import variable_of
from worker.telemetry.health import Health

_TEXT = "text/plain; charset=utf-8"
_READ_SECONDS = 10


class MetricsServer:
    """Listens from entering to leaving a `with`."""

    def __init__(self, registry: CollectorRegistry, health: Health, *, host: str, port: int) -> None:
        handler = type("_BoundHandler", (_Handler,), {"registry": registry, "health": health})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise InvalidSetting(
                f"cannot listen on {host} port {port}: {error.strerror}; set {variable_of('metrics_port')} to a "
                f"free one (0 takes one), or {variable_of('metrics_host')}"
            ) from None
        # A scraper that keeps its connection open must not keep the process from ending.
        self._server.daemon_threads = True
        self.host, self.port = host, self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def __repr__(self) -> str:
        return f"<MetricsServer on {self.host} port {self.port}>"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[CollectorRegistry]
    health: ClassVar[Health]
    timeout = _READ_SECONDS  # a client that says nothing does not hold a thread
    server_version = "zaptik"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._reply(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.registry))
        elif path == "/livez":
            self._say(", ".join(f"{part} is stuck" for part in self.health.stuck_parts()))
        elif path == "/readyz":
            self._say(self.health.why_not_ready())
        else:
            self._reply(HTTPStatus.NOT_FOUND, _TEXT, b"/metrics, /livez or /readyz\n")

    def _say(self, trouble: str) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        self._reply(status, _TEXT, f"{trouble or 'ok'}\n".encode())

    def _reply(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing: a scrape is no event."""
