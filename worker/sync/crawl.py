"""Reading the surface's tables: each from where an earlier slice left it, page by page, to a verdict.

Tables are read side by side and each by itself in order. What one table does wrong is that table's verdict; what
the instance does wrong (it is away, it throttles, it refuses the credentials) ends the slice, and what was asked
until then is recorded when the slice is settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from jobs.errors import ResponseInvalid, TableAbsent, TableDenied
from jobs.events import TABLE_JUDGED, Event
from jobs.graph import GraphPart, build_part
from jobs.keys import build_keys
from jobs.page import Page, Position, next_position
from jobs.surface import Table
from jobs.verdict import Verdict, judge_read
from worker.postgres import staging
from worker.postgres.connection import Connection
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import StagedPage, TableRead
from worker.servicenow import Client
from worker.sync.trail import Trail
from worker.sync.writer import Writer


@dataclass(frozen=True, slots=True)
class Crawl:
    """One slice's crawl; `must_pause` says at each page whether the slice has to come to its end."""

    run: ClaimedRun
    client: Client
    writer: Writer
    trail: Trail
    must_pause: Callable[[], bool]
    open_reader: Callable[[Crawl, Table, TableRead | None], Reader]


async def crawl_tables(crawl: Crawl, tables: Iterable[Table], progress: Mapping[str, TableRead]) -> None:
    """Read every table that has no verdict yet, until all have one or the slice must pause."""
    readers = [crawl.open_reader(crawl, table, progress.get(table.name)) for table in tables]
    async with asyncio.TaskGroup() as writing:
        writing.create_task(crawl.writer.run(), name="writer")
        async with asyncio.TaskGroup() as reading:
            for reader in readers:
                reading.create_task(reader.read(), name=reader.table.name)
        await crawl.writer.finish()


class Reader:
    """Reads one table in one slice: whole, from where an earlier slice left it."""

    def __init__(self, crawl: Crawl, table: Table, read: TableRead | None) -> None:
        self.table = table
        self._crawl = crawl
        self._trail = crawl.trail.branch()
        self._is_begun = read is not None
        self._counted = read.counted if read else None
        self._position = Position(cursor=read.cursor if read else "", ended=bool(read and read.verdict))
        self._pages = read.pages if read else 0
        self._rows = read.rows if read else 0

    async def read(self) -> None:
        """Read on to the table's verdict, or to the slice's end."""
        if self._position.ended:
            return
        try:
            verdict = await self._read_to_end()
        except TableDenied as failure:
            verdict = Verdict("denied", reason=failure.message)
        except TableAbsent as failure:
            verdict = Verdict("absent", reason=failure.message)
        except ResponseInvalid as failure:
            verdict = Verdict("failed", reason=failure.message)
        if verdict is None:
            await self._put(staging.record_alone)
            return
        told = {"table": self.table.name, "verdict": verdict.name, "rows": self._rows}
        self._trail.emit(Event(TABLE_JUDGED, told))
        await self._put(staging.judge_table, table=self.table.name, verdict=verdict)

    async def _read_to_end(self) -> Verdict | None:
        if self._crawl.must_pause():
            return None
        if not self._is_begun:
            self._counted = await self._count()
            await self._put(staging.begin_table, table=self.table.name, counted=self._counted)
        while not self._position.ended:
            if self._crawl.must_pause():
                return None
            await self._read_page()
        return judge_read(rows=self._rows, counted_before=self._counted, counted_after=await self._count())

    async def _read_page(self) -> None:
        client = self._crawl.client
        fetched = await client.fetch_page(self.table, self._position, emit=self._trail.emit)
        page = fetched.page
        self._position = next_position(
            self._position, page, limit_rows=client.limits.page_rows, total=fetched.total
        )
        if page.rows:
            await self._keep(page)

    async def _keep(self, page: Page, *, part: GraphPart | None = None) -> None:
        """Stage a page as what its rows say, or as a `part` of which only the keys are known."""
        self._pages += 1
        self._rows += len(page.rows)
        taken = self._trail.take()
        staged = StagedPage(
            table=self.table.name,
            page=self._pages,
            depth=self.table.depth,
            cursor=self._position.cursor,
            rows=len(page.rows),
            requests=taken.requests,
            part=part or build_part(self.table, page.rows),
            base=self.table.base,
            keys=build_keys(page.rows),
            scanned=part is not None,
        )

        async def write(connection: Connection) -> None:
            await staging.stage_page(connection, self._crawl.run, staged, events=taken.events)
            taken.mark_written()

        await self._crawl.writer.put(write)

    async def _put(self, act: Callable[..., Awaitable[None]], **values: object) -> None:
        """Have the writer commit an act of `staging` together with the events so far."""
        taken = self._trail.take()

        async def write(connection: Connection) -> None:
            await act(connection, self._crawl.run, requests=taken.requests, events=taken.events, **values)
            taken.mark_written()

        await self._crawl.writer.put(write)

    async def _count(self) -> int | None:
        """Count the table's rows, None where the account may not: no count is no evidence, not a failure."""
        try:
            return await self._crawl.client.fetch_count(self.table, emit=self._trail.emit)
        except (TableDenied, ResponseInvalid):
            return None
