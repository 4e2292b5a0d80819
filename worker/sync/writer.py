"""The one task of a slice that owns its database connection and commits what the others fetched, in order.

Tasks that shared a connection would mix their transactions. What waits here is bounded, so that a slow database
slows the fetching down and memory stays flat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from worker.postgres.connection import Connection, translated_errors

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], Awaitable[None]]

_WAITING = 2
_IN_HAND = 5  # pages asked for or built, and not yet committed: more than an instance answers at once


class Writer:
    """A queue of work for one connection; `run` does it until `finish`.

    Whoever fetches a page holds `room` until it is committed: so the pages in memory are few, however many tables
    are read side by side.
    """

    def __init__(self, connection: Connection) -> None:
        self.room = asyncio.Semaphore(_IN_HAND)
        self._connection = connection
        self._queue: asyncio.Queue[Work | None] = asyncio.Queue(_WAITING)

    def __repr__(self) -> str:
        return f"<Writer, {self._queue.qsize()} waiting>"

    async def put(self, work: Work) -> None:
        """Hand over work; waits while too much is waiting."""
        await self._queue.put(work)

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask the database, when all that was handed over so far is written."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def work(connection: Connection) -> None:
            found = await question(connection)
            if not answer.cancelled():  # whoever asked may be gone: what was written is written
                answer.set_result(found)

        await self.put(work)
        return await answer

    async def finish(self) -> None:
        """Let `run` end after what is waiting."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Do the work in the order it came; what fails ends it, and with it the slice."""
        # None comes from `finish` alone, and behind all that was put before.
        while (work := await self._queue.get()) is not None:
            with translated_errors():
                await work(self._connection)
