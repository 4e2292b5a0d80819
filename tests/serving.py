"""A server of a test's own which leaves no connection behind, and the one place where tests open any by asyncio.

asyncio's own server forgets a connection that it accepted in the moment before it was closed, and tells nobody of one
whose handshake is not over: the garbage collector finds them in whatever test comes next. Here each is known from its
first moment, and gone when the block ends.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_END_SECONDS = 5
_START_SECONDS = 10


class _Paused(asyncio.Protocol):
    """Lets nothing be read before there is somebody to read it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()


class _Server:
    """What listens, what it took, and who handles it."""

    def __init__(self, handle: Handle, tls: ssl.SSLContext | None, listener: socket.socket) -> None:
        self._handle = handle
        self._tls = tls
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._is_over = False
        self._transports: set[asyncio.Transport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    async def end(self) -> None:
        self._is_over = True
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for transport in self._transports:
            transport.abort()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_END_SECONDS)
            for task in late:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
            failed = [error for error in ended if isinstance(error, Exception)]
            assert not failed, failed

    def _accept(self) -> None:
        with suppress(OSError):  # gone before it was taken
            taken, _ = self._listener.accept()
            taken.setblocking(False)
            self._tasks.add(asyncio.create_task(self._serve(taken)))

    async def _serve(self, taken: socket.socket) -> None:
        transport, _ = await self._loop.connect_accepted_socket(_Paused, taken)
        self._transports.add(transport)
        if self._is_over:
            transport.abort()
            return
        with suppress(OSError, EOFError):  # what the other side, or a test's end, does to a connection
            reader, writer = await self._begin(transport)
            try:
                await self._handle(reader, writer)
            finally:
                writer.close()

    async def _begin(self, transport: asyncio.Transport) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Set up TLS, if any; `StreamWriter.start_tls` breaks where the client leaves right after it."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        upper: asyncio.Transport | None = transport
        if self._tls is None:
            transport.set_protocol(protocol)
        else:
            upper = await self._loop.start_tls(transport, protocol, self._tls, server_side=True)
        if upper is None:
            raise ConnectionResetError
        protocol.connection_made(upper)
        transport.resume_reading()
        return reader, asyncio.StreamWriter(upper, protocol, reader, self._loop)


@asynccontextmanager
async def serving(
    handle: Handle, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve each connection by `handle`, over TLS where there is a context for it; gives the port.

    A connection is closed when its handler ends, and cut off when the block ends: the handler then reads the end.
    """
    with socket.create_server((host, port)) as listener:
        server = _Server(handle, tls, listener)
        try:
            yield listener.getsockname()[1]
        finally:
            await server.end()


@contextmanager
def serving_in_a_thread(
    handle: Handle, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve as `serving` does, for clients that block."""
    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(handle, host=host, tls=tls) as port:
            end = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
            started.set_result((port, end))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="serving")
    thread.start()
    port, end = started.result(_START_SECONDS)
    try:
        yield port
    finally:
        end()
        thread.join(2 * _END_SECONDS)


@asynccontextmanager
async def connected(
    host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a server, and cut the connection off at the end."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
