"""Closing a client's connections goes through all of them, whichever of them fails to close."""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import pytest

from worker.servicenow.transport import _Backend, _Pool, _Stream

pytestmark = pytest.mark.anyio

ANSWER = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
HOSTS = ("one", "two", "three")


class _Stubborn(httpcore.AsyncMockStream):
    """Answers once, and fails when it is closed."""

    def __init__(self, host: str, closed: list[str]) -> None:
        super().__init__(list(ANSWER))
        self._host = host
        self._asked_to_close = closed

    async def aclose(self) -> None:
        self._asked_to_close.append(self._host)
        raise OSError


class _Answering(_Backend):
    def __init__(self) -> None:
        super().__init__()
        self.closed: list[str] = []

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(_Stubborn(host, self.closed), self.streams)


async def test_connections_that_fail_to_close_keep_no_other_open() -> None:
    backend = _Answering()
    pool = _Pool(backend, trust=ssl.create_default_context())
    for host in HOSTS:
        await pool.request("GET", f"http://{host}/")
    assert len(backend.streams) == len(HOSTS)
    with pytest.raises(OSError, match=r"^$"):
        await pool.aclose()
    assert sorted(backend.closed) == sorted(HOSTS)
    assert backend.streams == set()
