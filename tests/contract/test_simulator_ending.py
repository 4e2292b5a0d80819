"""A simulator that ends leaves no connection open, so that no later test finds one."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from ops.local.certificates import write_certificates
from ops.simulator import Simulator, made_store

TIMES, CLIENTS = 10, 3  # what asyncio's own server forgot, it forgot in nine of ten


def is_over(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_connection_that_has_just_come_is_ended_with_the_simulator(tmp_path: Path) -> None:
    written = write_certificates(tmp_path)
    store = made_store(groups=2, items=2)
    for _ in range(TIMES):
        with ExitStack() as clients:
            with Simulator(store, tls=(written.cert_file, written.key_file)) as simulator:
                place = ("127.0.0.1", int(simulator.url.rpartition(":")[2]))
                come = [
                    clients.enter_context(socket.create_connection(place, timeout=20)) for _ in range(CLIENTS)
                ]
                come[0].sendall(b"\x16\x03")
            assert all(is_over(client) for client in come)
