"""A gate before PostgreSQL: it counts what the server has done, and ends the worker before it hears of the chosen one.

It reads the server's messages as far as their length, and of ReadyForQuery the state (PostgreSQL, "Message Formats"):
idle after a transaction, or within one.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

_READY, _IDLE = b"Z", b"I"
_CHUNK = 65_536
_WAIT_SECONDS = 30


class Gate:
    """Listens on a port of its own until `close`; nobody is ended until `arm`.

    `counts_statements` counts each statement's end, not only each transaction's.
    """

    def __init__(self, port: int, *, counts_statements: bool) -> None:
        self._server_port = port
        self._counts_statements = counts_statements
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._is_told = threading.Event()
        self._left = 0
        self._pid = 0
        self.has_ended = False
        threading.Thread(target=self._listen, daemon=True, name="gate").start()

    def __repr__(self) -> str:
        return f"<Gate on port {self.port}, {self._left} to come>"

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def arm(self, *, at: int) -> None:
        """End the process that `tell` names when the server has done so many further things; 0 lets all pass."""
        with self._lock:
            self._left, self.has_ended = at, False
            self._is_told.clear()

    def tell(self, pid: int) -> None:
        """Say whom to end."""
        self._pid = pid
        self._is_told.set()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True, name="gate").start()

    def _serve(self, client: socket.socket) -> None:
        with ExitStack() as both, suppress(OSError):
            both.enter_context(client)
            server = both.enter_context(socket.create_connection(("127.0.0.1", self._server_port)))
            for side in (client, server):  # many small messages, each of which the other waits for
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass_on, args=(client, server), daemon=True, name="gate").start()
            self._give_back(server, client)

    def _give_back(self, server: socket.socket, client: socket.socket) -> None:
        """Pass on what the server says, until it or the client is gone, or the client was ended."""
        is_connected = False
        for message in _read_messages(server):
            if message[:1] == _READY:
                is_counted = is_connected and (self._counts_statements or message[5:6] == _IDLE)
                is_connected = True
                if is_counted and self._is_the_one():
                    return
            client.sendall(message)

    def _is_the_one(self) -> bool:
        with self._lock:
            if not self._left:
                return self.has_ended
            self._left -= 1
            if self._left:
                return False
            assert self._is_told.wait(_WAIT_SECONDS), "nobody said whom to end"
            os.kill(self._pid, signal.SIGKILL)
            self.has_ended = True
            return True


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _read_messages(server: socket.socket) -> Iterator[bytes]:
    """Give each message whole: a byte of kind, its length with itself, its content."""
    held = b""
    while data := server.recv(_CHUNK):
        held += data
        while len(held) > 4 and len(held) >= (end := 1 + struct.unpack_from("!I", held, 1)[0]):
            yield held[:end]
            held = held[end:]
