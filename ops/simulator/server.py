"""The simulator as a running server: in this thread's event loop, or in a thread of its own for tests."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiohttp import web

from ops.simulator.application import Application
from ops.simulator.instance import Instance, Request
from ops.simulator.oauth import OAuth

if TYPE_CHECKING:
    from types import TracebackType

    from ops.simulator.store import Store

TLSFiles = tuple[Path | str, Path | str]
_LONGEST_LINE_BYTES = 1 << 16
_START_SECONDS = 30
_TURNS = 10  # of the loop: a connection that opens or closes schedules its steps one after the other
_WAITING_TO_BE_TAKEN = 128


class Listener:
    """One instance on one port, for the time of an `async with`."""

    def __init__(self, instance: Instance, *, host: str, port: int, tls: TLSFiles | None) -> None:
        self._instance = instance
        self._host = host
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        app = Application(instance).build()
        self._runner = web.AppRunner(
            app, access_log=None, max_line_size=_LONGEST_LINE_BYTES, shutdown_timeout=1, handle_signals=False
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._server is None:
            raise RuntimeError("the simulator does not listen")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address to use, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        served = self._runner.server
        if served is None:
            raise RuntimeError("the simulator was not set up")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            served, self._host, self._port, ssl=_tls_context(self._tls), backlog=_WAITING_TO_BE_TAKEN
        )
        self._instance.base_url = self._instance.base_url or self.url
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._stop_listening()
        served = self._runner.server
        transports = [handler.transport for handler in served.connections] if served else []
        await self._runner.cleanup()
        for transport in filter(None, transports):
            transport.abort()  # over TLS a close waits for the client's, which may never come
        await _take_turns()

    async def _stop_listening(self) -> None:
        """Close the server, once what was accepted is a connection: a closed one of asyncio's would forget it, open."""
        if self._server is not None:
            loop = asyncio.get_running_loop()
            for listening in self._server.sockets:
                loop.remove_reader(listening)
            await _take_turns()
            self._server.close()


async def _take_turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _tls_context(files: TLSFiles | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*files)
    return context


class Simulator:
    """A simulated instance in a thread, on a free port of the loopback, for the time of a `with`."""

    def __init__(
        self,
        store: Store,
        *,
        tls: TLSFiles | None = None,
        client_id: str = "simulator-client",
        client_secret: str = "simulator-secret",  # noqa: S107  made up
        control_token: str = "",
        token_seconds: float = 1800,
        instance_url: str = "",
    ) -> None:
        oauth = OAuth(client_id=client_id, client_secret=client_secret, token_seconds=token_seconds)
        self.instance = Instance(store, oauth, base_url=instance_url, control_token=control_token)
        self.url = ""
        self._listener = Listener(self.instance, host="127.0.0.1", port=0, tls=tls)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Simulator url={self.url!r} store={self.store!r}>"

    @property
    def store(self) -> Store:
        """The rows; may be changed while the server runs."""
        return self.instance.store

    @property
    def requests(self) -> list[Request]:
        """A copy of the request log, oldest first."""
        with self.instance.lock:
            return list(self.instance.requests)

    def clear_requests(self) -> None:
        """Empty the request log."""
        with self.instance.lock:
            self.instance.requests.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or self._failure:
            raise RuntimeError("the simulator did not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001  handed to the thread that waits in __enter__
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with self._listener as listener:
            self._loop, self._stop, self.url = asyncio.get_running_loop(), asyncio.Event(), listener.url
            self._ready.set()
            await self._stop.wait()
