"""httpx's transport, but for what a cancellation does to it: no connection stays open, and no turn is lost.

httpcore leaves open, until the garbage collector comes by, a connection whose TLS handshake is cancelled, as when a
slice comes to its end in the midst (`AnyIOStream.start_tls`), and all but the first of those that it was closing when
that was cancelled (`AsyncConnectionPool._close_connections`). A connection whose request is cancelled while httpcore
takes its lock (`AsyncHTTP11Connection`) is neither free nor closed for it, and counts among the pool's: so the pool has
no limit, at which all that came after would wait. How many requests there are at once is for `turns` to say.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from typing import Any, Final

import httpcore
import httpx

_KEPT_IDLE_SECONDS: Final = 5.0


class Transport(httpx.AsyncHTTPTransport):
    """The connections of one client to one instance."""

    def __init__(self, *, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._pool = _Pool(_Backend(), trust=trust)


class _Pool(httpcore.AsyncConnectionPool):
    def __init__(self, backend: _Backend, *, trust: ssl.SSLContext) -> None:
        super().__init__(
            ssl_context=trust,
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=_KEPT_IDLE_SECONDS,
            network_backend=backend,
        )
        self._backend = backend

    async def aclose(self) -> None:
        """Close every connection; a cancellation is kept until that is done, a few turns of the loop later."""
        closing = asyncio.ensure_future(self._close_all())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _close_all(self) -> None:
        async with AsyncExitStack() as closing:  # goes through all of them, whichever cannot be closed
            closing.push_async_callback(self._close_streams)
            await super().aclose()

    async def _close_streams(self) -> None:
        async with AsyncExitStack() as closing:
            for stream in tuple(self._backend.streams):
                closing.push_async_callback(stream.aclose)


class _Backend(httpcore.AnyIOBackend):
    """Knows every connection that is open."""

    def __init__(self) -> None:
        self.streams: set[_Stream] = set()

    async def connect_tcp(self, *place: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await super().connect_tcp(*place, **options), self.streams)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection, before its handshake or after it, which is among the open ones until it is closed."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, streams: set[_Stream]) -> None:
        self._stream = stream
        self._streams = streams
        streams.add(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        self._streams.discard(self)
        await self._stream.aclose()  # aborts it before it first waits

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            wrapped = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self.aclose()
            raise
        self._streams.discard(self)
        return _Stream(wrapped, self._streams)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
