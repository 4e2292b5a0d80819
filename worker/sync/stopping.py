"""Ending a slice's reading when the process stops: nothing new is asked, and what is under way is kept.

Tables are begun side by side and wait for their turn: forty of a slow instance would be served one after the other
for longer than a process may take to stop. So no turn is given any more, and once every answer is in and written the
reading ends wherever its tasks are, as it does when a slice's time is over. It ends so too where an answer is not in
by half of the time the process has: the other half is for the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.postgres.connection import Connection, is_at_rest
from worker.servicenow import Client
from worker.sync.parts import Parts

_LOOK_SECONDS = 0.25  # between two looks
_QUIET_LOOKS = 2  # between an answer and its transaction there is a moment when neither is under way


@asynccontextmanager
async def ended_when_stopping(
    parts: Parts, bound: asyncio.Timeout, client: Client, connection: Connection
) -> AsyncIterator[None]:
    """Let `bound`, within which the block runs, expire soon after the process is asked to stop."""
    watching = asyncio.create_task(_watch(parts, bound, client, connection), name="stopping")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch(parts: Parts, bound: asyncio.Timeout, client: Client, connection: Connection) -> None:
    while not parts.draining.is_set():  # noqa: ASYNC110  an event of threads
        await asyncio.sleep(_LOOK_SECONDS)
    client.stop_asking()
    clock = asyncio.get_running_loop().time
    until = clock() + parts.settings.drain_seconds / 2
    quiet = 0
    while quiet < _QUIET_LOOKS and clock() < until:
        await asyncio.sleep(_LOOK_SECONDS)
        quiet = quiet + 1 if client.requests_under_way == 0 and is_at_rest(connection) else 0
    if not bound.expired():
        bound.reschedule(clock())
