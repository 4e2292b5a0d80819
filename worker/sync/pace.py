"""Keeping an instance's pace for whoever reads it next: at the end of a reading, and as soon as a pause is asked for.

It has a connection of its own, opened when there is something to keep: the reading's may be in mid-transaction, or
cut. That the pace could not be kept ends no reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from jobs.errors import Failure
from jobs.events import DEPENDENCY_AWAY, Emit, Event
from jobs.pace import Pace
from worker.postgres.connection import open_connection
from worker.postgres.pace import keep_pace
from worker.servicenow import Client


@asynccontextmanager
async def kept_pace(
    client: Client,
    before: Pace,
    *,
    tenant_id: UUID,
    url: str,
    emit: Emit,
    tables: Collection[str] | None,
) -> AsyncIterator[None]:
    """Keep the pace that a client learns while the block runs; `before` is what it began with.

    `url` is the database's. Smaller pages are kept of `tables` alone, since others are called as a customer likes;
    with None the client's own sizes are smaller than a run's, and tell the next one nothing.
    """
    keeper = _Keeper(client, before, tenant_id=tenant_id, url=url, tables=tables, emit=emit)
    watching = asyncio.create_task(keeper.watch(), name="pace")
    try:
        yield
    finally:
        watching.cancel()
        # Until it has ended, whatever it ended with: two that write the same row could undo each other.
        await asyncio.wait([watching])
        await keeper.keep()


class _Keeper:
    def __init__(
        self,
        client: Client,
        before: Pace,
        *,
        tenant_id: UUID,
        url: str,
        tables: Collection[str] | None,
        emit: Emit,
    ) -> None:
        self._client = client
        self._kept = before
        self._tenant_id = tenant_id
        self._url = url
        self._tables = tables
        self._emit = emit

    async def watch(self) -> None:
        while True:
            await self._client.wait_for_pause()
            await self.keep()

    async def keep(self) -> None:
        pace = self._learn()
        most = self._client.limits.concurrency
        if pace.is_free(at_once=most) and self._kept.is_free(at_once=most):
            return
        try:
            async with open_connection(self._url, purpose="pace") as connection:
                await keep_pace(
                    connection, self._tenant_id, pace, more_requests=pace.more_requests(self._kept)
                )
        except Failure as away:
            self._emit(Event(DEPENDENCY_AWAY, {"dependency": "PostgreSQL", "error": away.message}))
        else:
            self._kept = pace

    def _learn(self) -> Pace:
        learnt = self._client.pace
        if self._tables is None:
            return replace(learnt, at_once=self._kept.at_once, page_rows=self._kept.page_rows)
        kept = {name: rows for name, rows in learnt.page_rows.items() if name in self._tables}
        return replace(learnt, page_rows=kept)
