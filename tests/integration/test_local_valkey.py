"""The embedded Valkey: ours alone, in memory alone, and gone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ops.local.failure import StepFailure
from ops.local.ports import start_on_port
from ops.local.state import read_start_ticks
from ops.local.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.local.processes import Child


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as started:
        yield started


def call(server: EmbeddedValkey, *command: str, database: int = 0) -> Any:
    with redis.Redis.from_url(server.url(database), decode_responses=True) as client:
        return client.execute_command(*command)


def test_the_password_opens_it_and_databases_are_apart(server: EmbeddedValkey) -> None:
    call(server, "SET", "place", "first")
    call(server, "SET", "place", "second", database=1)
    assert call(server, "GET", "place") == "first"


@pytest.mark.parametrize("credentials", ["", ":wrong@"])
def test_nobody_gets_in_without_the_password(server: EmbeddedValkey, credentials: str) -> None:
    url = server.url().replace(f":{server.password}@", credentials)
    with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_it_listens_on_loopback_alone_and_writes_nothing(server: EmbeddedValkey) -> None:
    assert call(server, "CONFIG", "GET", "bind") == {"bind": "127.0.0.1"}
    assert call(server, "CONFIG", "GET", "save") == {"save": ""}
    assert call(server, "CONFIG", "GET", "appendonly") == {"appendonly": "no"}


def test_the_password_is_seen_by_nobody_else(server: EmbeddedValkey) -> None:
    assert server.password not in Path(f"/proc/{server.child.pid}/cmdline").read_text()
    assert server.password not in repr(server)
    assert (server.folder / "valkey.conf").stat().st_mode & 0o777 == 0o600
    assert server.folder.stat().st_mode & 0o777 == 0o700


def test_after_stop_nothing_is_left() -> None:
    with EmbeddedValkey() as server:
        folder, pid = server.folder, server.child.pid
    assert not folder.exists()
    assert read_start_ticks(pid) is None
    server.stop()  # a second time is fine


def test_after_a_kill_it_comes_back_empty_on_the_same_port() -> None:
    with EmbeddedValkey() as server:
        call(server, "SET", "lost", "yes")
        url = server.url()
        server.kill()
        with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart()
        assert server.url() == url
        assert call(server, "GET", "lost") is None


def test_a_port_taken_in_between_is_given_up_for_another(server: EmbeddedValkey) -> None:
    """Promise: a race for the port costs a try, not the start."""
    with EmbeddedValkey() as other:
        tried: list[int] = []

        def build(port: int) -> Child:
            tried.append(server.port if not tried else port)
            return other._build_child(tried[-1])  # noqa: SLF001  the seam of the race

        child, _ = start_on_port(build, is_ready=lambda child, _: "Ready to accept" in child.read_log())
        child.stop()
        assert tried[0] == server.port
        assert len(tried) == 2


def test_a_port_that_must_be_and_is_taken_is_said(server: EmbeddedValkey) -> None:
    with EmbeddedValkey() as other:
        other.kill()
        with pytest.raises(StepFailure, match="Address already in use"):
            start_on_port(other._build_child, is_ready=other._is_ready, port=server.port)  # noqa: SLF001
