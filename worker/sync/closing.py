"""The closing pass: what changed in tables that were read long ago is read before the run ends.

A long run's revision would else be as old as its beginning. Each table is asked after at most once, whatever comes of
it. What was read anew is staged on what was read before, and the newer wins; only if all that is known then comes to
the instance's aggregates does the table's time move. If it does not, the table's verdict and time stay as they were,
and what more is known of some records does no harm: the next run reads on from the earlier time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from jobs.errors import OF_A_TABLE
from jobs.page import Position, next_position
from jobs.rereading import OVERLAP, Aggregates, bound_before
from jobs.surface import Surface, Table
from worker.postgres import rereading
from worker.postgres.staging import TableRead
from worker.sync.asides import AsideReader
from worker.sync.crawl import Crawl, TableReader


async def close_tables(
    crawl: Crawl, surface: Surface, *, reads: Mapping[str, TableRead], earlier: Collection[str]
) -> bool:
    """Read what changed since their reads in tables of `earlier` slices; False when the slice had to pause before."""
    names = await crawl.writer.ask(
        lambda connection: rereading.read_closable(connection, crawl.run, earlier=earlier, overlap=OVERLAP)
    )
    closers = [Closer(crawl, surface.tables[name], reads[name]) for name in names if name in surface.tables]
    async with asyncio.TaskGroup() as closing:
        for closer in closers:
            closing.create_task(closer.close(), name=closer.table.name)
    return all(closer.is_asked for closer in closers)


class Closer(TableReader):
    """Asks once whether one table changed since its read in this run, and reads what did."""

    def __init__(self, crawl: Crawl, table: Table, read: TableRead) -> None:
        super().__init__(crawl, table, read)
        self._read = read
        self.is_asked = False

    async def close(self) -> None:
        """Move the table to now, if what is known of it can be brought to what it is now."""
        if self._crawl.must_pause():
            return
        # Before it is asked, so that what is known then is not older than the time says.
        await self._put(rereading.note_closing, table=self.table.name)
        now: Aggregates | None = None
        with suppress(*OF_A_TABLE):
            now = await self._aggregate()
        self.is_asked = True
        if now is None or not now.tell_changes:
            await self._put(rereading.count_requests, table=self.table.name)
            return
        if now == self._read.aggregates:
            await self._put(rereading.stand_table, table=self.table.name)
            return
        found: Aggregates | None = None
        with suppress(*OF_A_TABLE):
            found = await self._read_changed(now)
        if found is None:
            await self._put(rereading.count_requests, table=self.table.name)
        else:
            await self._put(rereading.close_table, table=self.table.name, aggregates=found)

    async def _read_changed(self, now: Aggregates) -> Aggregates | None:
        """Stage what changed since the read began; give the aggregates that this comes to, if it is those of now."""
        assert self._read.begun_at is not None
        crawl, position = self._crawl, Position()
        asides = AsideReader(crawl.client, crawl.surface, self._trail.emit)
        while not position.ended:
            if crawl.must_pause():
                return None
            fetched = await crawl.client.fetch_changed(
                self.table, position, since=bound_before(self._read.begun_at), emit=self._trail.emit
            )
            self._check_bounds(len(fetched.page.rows), limit_rows=fetched.limit_rows)
            position = next_position(
                position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total
            )
            if fetched.page.rows:
                await self._keep(fetched.page, asides=await asides.read_of(self.table, fetched.page.rows))
        known = await crawl.writer.ask(
            lambda connection: rereading.read_known_aggregates(
                connection, crawl.run, table=self.table.name, scanned=self._read.is_listed
            )
        )
        # Asked again where they differ: what was changed while the changes were read is in the newer ones.
        return known if known == now or known == await self._aggregate() else None

    async def _aggregate(self) -> Aggregates:
        return await self._crawl.client.fetch_aggregates(self.table, emit=self._trail.emit)
