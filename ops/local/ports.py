"""Servers on a free loopback port, although a port found free may be taken before it is used."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ops.local.processes import Child, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 5
START_SECONDS = 30
TAKEN = "Address already in use"  # strerror(EADDRINUSE), which both servers log


def find_free_port() -> int:
    """Ask the kernel for a loopback port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_on_port(
    build: Callable[[int], Child], *, is_ready: Callable[[Child, int], bool], port: int | None = None
) -> tuple[Child, int]:
    """Start a server and wait until it is ready, on `port` or else on a free one, tried anew where taken."""
    for attempt in range(1, ATTEMPTS + 1):
        chosen = port or find_free_port()
        child = build(chosen)
        try:
            if _wait_ready(child, chosen, is_ready):
                return child, chosen
        except BaseException:
            child.kill()
            raise
        failure = child.fail(
            f"was not ready within {START_SECONDS} s" if child.is_running else "ended at once"
        )
        was_taken = TAKEN in child.read_log()
        child.stop(grace_seconds=1)
        if not was_taken or port or attempt == ATTEMPTS:
            raise failure
    raise AssertionError  # the last attempt raised


def _wait_ready(child: Child, port: int, is_ready: Callable[[Child, int], bool]) -> bool:
    child.start()
    wait_until(lambda: is_ready(child, port) or not child.is_running, deadline_seconds=START_SECONDS)
    return child.is_running and is_ready(child, port)
