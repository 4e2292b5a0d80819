"""A request's bounds: in time, in bytes, in how many run at once; and what is told of one that was cut short."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from jobs.errors import Failure, InstanceSlow, ResponseInvalid
from jobs.events import REQUEST_FAILED, Event
from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from tests.contract.scripted_instance import (
    GROUPS,
    Play,
    ScriptedInstance,
    error,
    grant,
    open_reader,
    page,
    reply,
)
from worker.servicenow import Client, FetchedPage

ID_A, ID_B = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def told() -> list[Event]:
    return []


async def fetch(client: Client, told: list[Event]) -> FetchedPage:
    return await client.fetch_page(GROUPS, Position(), emit=told.append)


def read_page(certificates: Certificates, told: list[Event], play: Play, **limits: Any) -> Any:
    """Try once to fetch a page; give it, or the failure."""

    async def main() -> Any:
        async with (
            ScriptedInstance(certificates, [play]) as instance,
            open_reader(instance.url, certificates, tries=1, **limits) as client,
        ):
            try:
                return await fetch(client, told)
            except Failure as failure:
                return failure

    return asyncio.run(main())


async def say_nothing(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, so that no single read takes long."""
    for byte in page(ID_A) + b" " * 100_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("play", [say_nothing, drip], ids=["silence", "a byte now and then"])
def test_a_request_is_bounded_in_total(certificates: Certificates, told: list[Event], play: Play) -> None:
    failure = read_page(certificates, told, play, request_timeout_seconds=0.3)
    assert type(failure) is InstanceSlow
    assert "within 0.3 s" in failure.message
    (failed,) = [event for event in told if event.kind is REQUEST_FAILED]
    assert (failed.fields["status"], failed.fields["code"]) == (None, InstanceSlow.code)


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_is_bounded_also_after_unpacking(
    certificates: Certificates,
    packed: bool,  # noqa: FBT001  pytest gives it
) -> None:
    body = page(ID_A).partition(b"\r\n\r\n")[2]
    for surplus, expected in ((0, FetchedPage), (1, ResponseInvalid)):
        padded = body + b" " * surplus
        sent = gzip.compress(padded) if packed else padded
        play = reply(200, sent, headers=[("Content-Encoding", "gzip" if packed else "identity")])
        outcome = read_page(certificates, [], play, body_bytes=len(body))
        assert isinstance(outcome, expected)
    assert f"longer than {len(body)} bytes" in outcome.message


def test_a_cancelled_request_is_told_of_too(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def begin(writer: asyncio.StreamWriter) -> None:
            begun.set()
            await writer.wait_closed()

        async with (
            ScriptedInstance(certificates, [begin]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            task = asyncio.create_task(fetch(client, told))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert (told[-1].kind, told[-1].fields["code"]) == (REQUEST_FAILED, "cancelled")


@pytest.mark.parametrize("expires_in", [1799, 0], ids=["for a page", "for a token"])
def test_who_waits_for_a_turn_has_made_no_request_yet(
    certificates: Certificates, told: list[Event], expires_in: int
) -> None:
    async def main() -> list[Event]:
        begun, release = asyncio.Event(), asyncio.Event()

        async def hold(writer: asyncio.StreamWriter) -> None:
            begun.set()
            await release.wait()
            writer.write(page(ID_A))

        async with (
            ScriptedInstance(certificates, [hold], [grant(expires_in=expires_in)]) as instance,
            open_reader(instance.url, certificates, concurrency=1) as client,
        ):
            first = asyncio.create_task(fetch(client, told))
            await begun.wait()
            told_by_waiting: list[Event] = []
            waiting = asyncio.create_task(fetch(client, told_by_waiting))
            await asyncio.sleep(0)  # it has gone as far as it can
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            release.set()
            await first
            return told_by_waiting

    assert asyncio.run(main()) == []


def test_no_more_requests_run_at_once_than_allowed(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> int:
        full = asyncio.Barrier(2)

        async def answer_in_pairs(writer: asyncio.StreamWriter) -> None:
            await full.wait()
            writer.write(page(ID_A))

        async with (
            ScriptedInstance(certificates, [answer_in_pairs]) as instance,
            open_reader(instance.url, certificates, concurrency=2) as client,
        ):
            await asyncio.gather(*(fetch(client, told) for _ in range(10)))
            return instance.most_at_once

    assert asyncio.run(main()) == 2


def test_one_turn_is_enough_for_many_tasks_and_their_token(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> list[FetchedPage]:
        async with (
            ScriptedInstance(certificates, [error(429, "x"), error(401, "x"), page(ID_A)]) as instance,
            open_reader(instance.url, certificates, concurrency=1) as client,
        ):
            return await asyncio.gather(*(fetch(client, told) for _ in range(5)))

    assert [len(fetched.page.rows) for fetched in asyncio.run(main())] == [1] * 5
