"""Reading one table: from where an earlier slice left it, page by page, to a verdict.

What one table does wrong is that table's verdict; what the instance does wrong (it is away, it throttles, it
refuses the credentials) ends the slice, and what was asked until then is recorded when the slice is settled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from jobs.asides import Aside
from jobs.errors import OF_A_TABLE, ResponseInvalid, TableDenied
from jobs.events import TABLE_JUDGED, Event
from jobs.graph import GraphPart, build_part, describe_unnamed
from jobs.keys import build_keys
from jobs.page import Page, Position, next_position
from jobs.rereading import Way, describe_shape
from jobs.surface import Surface, Table
from jobs.verdict import Verdict, judge_failure, judge_read
from worker.postgres import rereading, staging
from worker.postgres.connection import Connection
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import StagedPage, TableRead
from worker.servicenow import Client
from worker.sync.asides import AsideReader, Asides
from worker.sync.trail import Trail
from worker.sync.writer import Writer

_MOST_ROWS = 5_000_000  # of one table in one run, whatever the instance counts
_SPARE_PAGES = 10  # a table may grow while it is read


@dataclass(frozen=True, slots=True)
class Crawl:
    """One slice's crawl; `must_pause` says at each page whether the slice has to come to its end."""

    run: ClaimedRun
    client: Client
    surface: Surface
    writer: Writer
    trail: Trail
    must_pause: Callable[[], bool]
    open_reader: Callable[[Crawl, Table, TableRead | None], TableReader]


async def judge_table(crawl: Crawl, trail: Trail, table: str, verdict: Verdict, *, rows: int) -> None:
    """Close a table's read with its verdict, and tell of it."""
    tell_verdict(trail, table, verdict, rows=rows)
    await put_act(crawl, trail, staging.judge_table, table=table, verdict=verdict)


def tell_verdict(trail: Trail, table: str, verdict: Verdict, *, rows: int) -> None:
    """Tell what a table's read came to."""
    trail.emit(Event(TABLE_JUDGED, {"table": table, "verdict": verdict.name, "rows": rows}))


async def put_act(crawl: Crawl, trail: Trail, act: Callable[..., Awaitable[None]], **values: object) -> int:
    """Have the writer commit an act of `staging` together with the events so far; give how many requests."""
    taken = trail.take()

    async def write(connection: Connection) -> None:
        await act(connection, crawl.run, requests=taken.requests, events=taken.events, **values)
        taken.mark_written()

    await crawl.writer.put(write)
    return taken.requests


class TableReader:
    """Reads one table in one slice: whole, from where an earlier slice left it."""

    def __init__(self, crawl: Crawl, table: Table, read: TableRead | None) -> None:
        self.table = table
        self._referring = table.referring
        self._crawl = crawl
        self._trail = crawl.trail.branch()
        self._is_begun = read is not None
        self._shape = describe_shape(table)
        self._is_other = read is not None and read.verdict is None and read.shape != self._shape
        self._counted = read.counted if read else None
        self._position = Position(read.cursor, read.offset, ended=bool(read.verdict)) if read else Position()
        self._pages = read.pages if read else 0
        self._rows = read.rows if read else 0
        self._asides: Asides | None = None
        self._unknown = read.reason if read else None  # what an earlier slice could not read beside the rows
        self.verdict = read.verdict if read else None

    async def read(self) -> None:
        """Read on to the table's verdict, or to the slice's end."""
        if self.verdict:
            return
        try:
            verdict = await self._read_to_end()
        except OF_A_TABLE as failure:
            verdict = judge_failure(failure)
        if verdict is None:
            await self._put(staging.keep_offset, table=self.table.name, offset=self._position.offset)
            return
        self._asides = None  # readers are kept until all are at their end
        await self._judge(verdict)
        self.verdict = verdict.name

    async def _judge(self, verdict: Verdict) -> None:
        verdict = replace(verdict, reason=verdict.reason or self._unknown)
        await judge_table(self._crawl, self._trail, self.table.name, verdict, rows=self._rows)

    async def _read_to_end(self) -> Verdict | None:
        if self._crawl.must_pause():
            return None
        if self._is_other:  # an earlier release began it, or other settings, and asked for other things
            await self._restart("whole")
        # Counted before the first row and after the last: rows come and go meanwhile, and the verdict needs both.
        if not self._is_begun:
            self._counted = await self._count()
            await self._put(
                staging.begin_table, table=self.table.name, counted=self._counted, shape=self._shape
            )
        while not self._position.ended:
            if self._crawl.must_pause():
                return None
            await self._read_page()
        counted = await self._count()
        return judge_read(rows=self._rows, counted_before=self._counted, counted_after=counted)

    async def _restart(self, way: Way) -> None:
        self._is_other, self._unknown = False, None
        self._position, self._pages, self._rows = Position(), 0, 0
        await self._put(rereading.restart_table, table=self.table.name, way=way, shape=self._shape)

    async def _read_page(self) -> None:
        client = self._crawl.client
        if self._asides is None:
            self._asides = await self._read_asides()
        # Held from before the page is asked for: pages that wait for the database are what would fill the memory.
        async with self._crawl.writer.room:
            fetched = await client.fetch_page(self.table, self._position, emit=self._trail.emit)
            page = fetched.page
            # Before the page is staged: the cursor must not move past what is not believed.
            self._check_bounds(len(page.rows), limit_rows=fetched.limit_rows)
            self._position = next_position(
                self._position, page, limit_rows=fetched.limit_rows, total=fetched.total
            )
            if page.rows:
                await self._keep(page, asides=self._asides.read)

    async def _read_asides(self) -> Asides:
        asides = await AsideReader(
            self._crawl.client, self._crawl.surface, self._trail.emit, self._counted
        ).read(self.table)
        await self._note_unknown(asides.describe_unknown())
        return asides

    async def _note_unknown(self, reason: str | None) -> None:
        """Keep at once what is not known of the records: what a later slice can read, these pages lack all the same."""
        if reason is not None and self._unknown is None:
            self._unknown = reason
            await self._put(rereading.note_unknown, table=self.table.name, reason=reason)

    def _check_bounds(self, rows: int, *, limit_rows: int) -> None:
        """Raise ResponseInvalid where an instance gives, or promises, rows without end."""
        bound = _MOST_ROWS
        if self._counted is not None:
            # A table may grow to twice its size while it is read; what goes on beyond that is no table.
            bound = min(bound, 2 * self._counted + _SPARE_PAGES * limit_rows)
        # Hidden rows count: an instance that promises rows for ever and shows none is bounded by them alone.
        if rows > limit_rows or self._rows + rows + self._position.offset > bound:
            raise ResponseInvalid(
                f"The instance gives more rows of {self.table.name} than were asked for, or than it counted "
                f"({self._counted}): reading stopped after {self._rows}. Ask the instance's administrator what answers "
                "for it."
            )

    async def _keep(self, page: Page, *, part: GraphPart | None = None, asides: Sequence[Aside] = ()) -> None:
        """Stage a page as what its rows say, or as a `part` of which only the keys are known, and wait for the commit.

        So of a worker that is killed one page of a table is asked for again, however slow the database.
        """
        if part is None:
            await self._note_unknown(describe_unnamed(self.table, page.rows))
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
            part=part or build_part(self.table, page.rows, asides=asides),
            base=self.table.base,
            keys=build_keys(
                page.rows,
                called_by=self.table.key,
                referring=self._referring if part is None else {},
            ),
            scanned=part is not None,
        )

        async def write(connection: Connection) -> None:
            await staging.stage_page(connection, self._crawl.run, staged, events=taken.events)
            taken.mark_written()

        await self._crawl.writer.ask(write)

    async def _put(self, act: Callable[..., Awaitable[None]], **values: object) -> None:
        await put_act(self._crawl, self._trail, act, **values)

    async def _count(self) -> int | None:
        """Count the table's rows, None where the account may not: no count is no evidence, not a failure."""
        try:
            return await self._crawl.client.fetch_count(self.table, emit=self._trail.emit)
        except (TableDenied, ResponseInvalid):
            return None
