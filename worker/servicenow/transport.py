"""httpx's transport, but for one thing: a connection whose TLS handshake is cut off is closed at once.

httpcore closes a connection whose handshake fails, and leaves one open whose handshake is cancelled, as when a slice
comes to its end in the midst, until the garbage collector comes by (httpcore, `AnyIOStream.start_tls`).
"""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import httpx


class Transport(httpx.AsyncHTTPTransport):
    """The connections of one client to one instance."""

    def __init__(self, *, trust: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=trust, trust_env=False, limits=limits)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )


class _Backend(httpcore.AnyIOBackend):
    async def connect_tcp(self, *place: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _Plain(await super().connect_tcp(*place, **options))


class _Plain(httpcore.AsyncNetworkStream):
    """A connection before its handshake."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
