"""A request that is cancelled, in whichever moment, leaves no connection open and takes nobody's turn.

The moments are all there are: a driver counts where a task waits, and cancels it at the first, the second and so on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Coroutine, Generator
from typing import Any

import pytest

from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from tests.contract.scripted_instance import GROUPS, ScriptedInstance, open_reader, page
from worker.servicenow import Client

FEWEST_MOMENTS = 12  # of a fetch over a new connection: fewer, and the driver sees nothing
CONNECTIONS = 4


class Driven:
    """Awaits a coroutine and cancels the task at some of its moments, counted from 1."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], cancelled_at: Collection[int]) -> None:
        self._coroutine = coroutine
        self._cancelled_at = cancelled_at
        self.moments = 0

    def __await__(self) -> Generator[Any, Any, None]:
        waiting = self._coroutine.__await__()
        raised: BaseException | None = None
        while True:
            try:
                awaited = waiting.throw(raised) if raised else next(waiting)
            except StopIteration:
                return
            self.moments += 1
            if self.moments in self._cancelled_at and (task := asyncio.current_task()):
                task.cancel()
            raised = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  handed on
                raised = error


async def drive(coroutine: Coroutine[Any, Any, object], *cancelled_at: int) -> int:
    """Run something as a task of its own, cancelled at these moments; give how many it had."""
    driven = Driven(coroutine, cancelled_at)

    async def wait() -> None:
        await driven

    await asyncio.gather(asyncio.create_task(wait()), return_exceptions=True)
    return driven.moments


def count_open() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208  names are not wanted


async def answer_slowly(writer: asyncio.StreamWriter) -> None:
    """Answer in pieces: within the head, between head and body, within the body."""
    answer = page()
    body_at = answer.index(b"\r\n\r\n") + 4
    for piece in (answer[:20], answer[20:body_at], answer[body_at : body_at + 5], answer[body_at + 5 :]):
        writer.write(piece)
        for _ in range(3):
            await asyncio.sleep(0)


async def fetch(client: Client) -> None:
    await client.fetch_page(GROUPS, Position(), emit=lambda _: None)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_no_connection_stays_open_in_whichever_moment_a_fetch_is_cancelled(
    certificates: Certificates, times: int
) -> None:
    async def main(moment: int) -> int:
        async with ScriptedInstance(certificates, [answer_slowly]) as instance:

            async def fetch_twice() -> None:
                async with open_reader(instance.url, certificates) as client:
                    await fetch(client)
                    await fetch(client)

            return await drive(fetch_twice(), *range(moment, moment + times))

    before, moment, moments = count_open(), 0, FEWEST_MOMENTS
    while moment <= moments:
        moment += 1
        moments = asyncio.run(main(moment))
        assert count_open() == before, f"moment {moment}"
    assert moment > FEWEST_MOMENTS


@pytest.mark.parametrize("times", [1, 2, 3])
def test_no_connection_stays_open_where_the_closing_of_many_is_cancelled(
    certificates: Certificates, times: int
) -> None:
    async def main(moment: int) -> int:
        async with ScriptedInstance(certificates) as instance:

            async def fetch_side_by_side() -> None:
                async with open_reader(instance.url, certificates, concurrency=CONNECTIONS) as client:
                    await asyncio.gather(*(fetch(client) for _ in range(CONNECTIONS)))

            return await drive(fetch_side_by_side(), *range(moment, moment + times))

    before, moment, moments = count_open(), 0, 1
    while moment <= moments:
        moment += 1
        moments = asyncio.run(main(moment))
        assert count_open() == before, f"moment {moment}"


@pytest.mark.parametrize("is_warm", [False, True])
def test_after_a_fetch_that_was_cancelled_in_whichever_moment_the_next_has_its_turn(
    certificates: Certificates,
    is_warm: bool,  # noqa: FBT001  pytest gives it
) -> None:
    async def main(moment: int) -> int:
        async with (
            ScriptedInstance(certificates, [answer_slowly]) as instance,
            open_reader(instance.url, certificates, concurrency=1) as client,
        ):
            if is_warm:
                await fetch(client)
            moments = await drive(fetch(client), moment)
            async with asyncio.timeout(20):
                await fetch(client)
            return moments

    moment, moments = 0, 1
    while moment <= moments:
        moment += 1
        moments = asyncio.run(main(moment))
