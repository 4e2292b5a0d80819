"""Reading a table again with as little as will do: skipped, what is newer, or what differs; else whole.

Each way ends in evidence, or gives way to the next: `delta` to `scan`, and that to `whole`. Which way a table is on
is kept with its cursor, so that the next slice goes on with it. See `jobs.rereading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from jobs.asides import Aside
from jobs.errors import OrderIgnored, ResponseInvalid, TableDenied
from jobs.graph import GraphPart
from jobs.lookup import BATCH_KEYS
from jobs.page import Page, next_position
from jobs.rereading import (
    Aggregates,
    Forced,
    KnownTable,
    Way,
    is_fetch_cheaper,
    lower_bound,
    plan_way,
)
from jobs.surface import Table
from jobs.verdict import Verdict, VerdictName
from worker.postgres import rereading, staging
from worker.postgres.staging import TableRead
from worker.servicenow import FetchedPage
from worker.sync.asides import AsideReader
from worker.sync.crawl import Crawl, TableReader, tell_verdict

_NOTHING = GraphPart(b"[]", b"[]")
_MOST_DIFFERING = 10_000


class _AsideUnread(Exception):  # noqa: N818  no error but a reason to read the table whole
    """What is said beside some rows could not be had: only a whole read treats all rows alike."""


class Rereader(TableReader):
    """Reads one table in one slice, from what earlier runs know of it."""

    def __init__(
        self,
        crawl: Crawl,
        table: Table,
        read: TableRead | None,
        *,
        known: KnownTable | None,
        forced: Forced,
        trusts_times: bool = True,
    ) -> None:
        super().__init__(crawl, table, read)
        self._known = known
        self._forced = forced
        self._trusts_times = trusts_times
        self._way = cast("Way", read.way) if read else "whole"
        self._stands = False
        self._aggregates = read.aggregates if read else None

    async def _read_to_end(self) -> Verdict | None:
        if self._crawl.must_pause():
            return None
        # A slice that goes on with a table keeps to the way that the first one chose, which its row has.
        verdict = None if self._is_begun else await self._begin()
        if self._is_other:
            await self._restart("whole")
        while verdict is None and self._way != "whole":
            if self._crawl.must_pause():
                return None
            try:
                verdict = await self._step()
            except (OrderIgnored, _AsideUnread):  # of the first, the bound on time or key was dropped
                await self._restart("whole")
        return verdict or await self._read_whole()

    async def _read_whole(self) -> Verdict | None:
        """Read everything; where rows changed meanwhile, what was read beside them before may be older than they are.

        A change that moves a row's count and not its time is in no delta later, and its state is known.
        """
        verdict = await super()._read_to_end()
        if verdict and verdict.name == "complete" and (self.table.flags or self.table.values):
            known = await self._read_known(scanned=True)
            if known != self._aggregates:
                await self._put(rereading.doubt_table, table=self.table.name)
        return verdict

    async def _begin(self) -> Verdict | None:
        """Ask for the aggregates and decide; a table that stands as it was gets the verdict it had."""
        now = self._aggregates = await self._aggregate()
        name, known = self.table.name, self._known
        if now is None:
            await self._put(staging.begin_table, table=name, counted=await self._count(), shape=self._shape)
        else:
            self._counted = now.counted
            self._way = plan_way(
                known,
                now,
                shape=self._shape,
                forced=self._forced,
                trusts_times=self._trusts_times,
                is_link=self.table.link is not None,
            )
            if self._way == "skipped" and known is not None and known.lacks_asides:
                self._way = "whole" if await self._asides_of().is_answered(self.table) else "skipped"
            if self._way == "skipped" and known is not None:
                self._stands = True
                return Verdict(cast("VerdictName", known.verdict), known.hidden, known.reason)
            await self._put(
                staging.begin_table,
                table=name,
                counted=now.counted,
                newest=now.newest,
                changes=now.changes,
                way=self._way,
                shape=self._shape,
            )
        self._is_begun = True
        return None

    async def _judge(self, verdict: Verdict) -> None:
        if not self._stands:
            await super()._judge(verdict)
            return
        tell_verdict(self._trail, self.table.name, verdict, rows=0)
        await self._put(rereading.skip_table, table=self.table.name)

    async def _step(self) -> Verdict | None:
        match self._way:
            case "delta":
                return await self._read_changed()
            case "scan":
                await self._scan()
                return None
            case _:
                return await self._fetch_differing()

    async def _read_changed(self) -> Verdict | None:
        assert self._known is not None
        client = self._crawl.client
        fetched = await client.fetch_changed(
            self.table, self._position, since=lower_bound(self._known), emit=self._trail.emit
        )
        # A flag of some rows is asked for by their keys, both ways: for many rows that is more than all of it.
        if self.table.flags and not self._is_cheaper(fetched.total or len(fetched.page.rows)):
            await self._restart("whole")
            return None
        await self._take(fetched, asides=await self._read_asides_of(fetched.page))
        if not self._position.ended:
            return None
        verdict = await self._verify(after_scan=False)
        if verdict is None:
            await self._restart("scan")
        return verdict

    async def _scan(self) -> None:
        client = self._crawl.client
        async with self._crawl.writer.room:
            fetched = await client.fetch_keys(self.table, self._position, emit=self._trail.emit)
            await self._take(fetched, part=_NOTHING)
        if self._position.ended:
            self._way = "fetch"
            await self._put(rereading.turn_to_fetch, table=self.table.name)

    async def _fetch_differing(self) -> Verdict | None:
        """Fetch the records that a scan found new or changed; one that is gone meanwhile has the table read whole."""
        keys, differing = await self._crawl.writer.ask(
            lambda connection: rereading.read_differing(
                connection, self._crawl.run, table=self.table.name, limit=_MOST_DIFFERING
            )
        )
        if not self._is_cheaper(differing):
            await self._restart("whole")
            return None
        for start in range(0, len(keys), BATCH_KEYS):
            if self._crawl.must_pause():
                return None
            batch = keys[start : start + BATCH_KEYS]
            page = await self._crawl.client.fetch_records(self.table, batch, emit=self._trail.emit)
            # The scan saw it and now it is gone or hidden: which, only a whole read with its counts can tell.
            if len(page.rows) < len(batch):
                await self._restart("whole")
                return None
            await self._keep(page, asides=await self._read_asides_of(page))
        if len(keys) < differing:
            return None
        verdict = await self._verify(after_scan=True)
        if verdict is None:
            await self._restart("whole")
        return verdict

    async def _verify(self, *, after_scan: bool) -> Verdict | None:
        """Compare what is known now with what the instance counted before, or counts now: equal is complete."""
        known = await self._read_known(scanned=after_scan)
        # The second question is for what changed in between; equal to either is a state that the instance has had.
        if known != self._aggregates and known != await self._aggregate():
            return None
        await self._put(rereading.verify_table, table=self.table.name, aggregates=known)
        return Verdict("complete")

    async def _read_known(self, *, scanned: bool) -> Aggregates:
        return await self._crawl.writer.ask(
            lambda connection: rereading.read_known_aggregates(
                connection, self._crawl.run, table=self.table.name, scanned=scanned
            )
        )

    def _is_cheaper(self, differing: int) -> bool:
        return is_fetch_cheaper(
            differing=differing,
            counted=self._counted or 0,
            batch_keys=BATCH_KEYS,
            page_rows=self._crawl.client.limits.page_rows,
        )

    def _asides_of(self) -> AsideReader:
        return AsideReader(self._crawl.client, self._crawl.surface, self._trail.emit, self._counted)

    async def _read_asides_of(self, page: Page) -> tuple[Aside, ...]:
        try:
            return await self._asides_of().read_of(self.table, page.rows)
        except (TableDenied, ResponseInvalid) as failure:
            raise _AsideUnread from failure

    async def _take(
        self, fetched: FetchedPage, *, part: GraphPart | None = None, asides: Sequence[Aside] = ()
    ) -> None:
        page, limit_rows = fetched.page, fetched.limit_rows
        self._check_bounds(len(page.rows), limit_rows=limit_rows)
        self._position = next_position(self._position, page, limit_rows=limit_rows, total=fetched.total)
        if page.rows:
            await self._keep(page, part=part, asides=asides)

    async def _restart(self, way: Way) -> None:
        self._way = way
        await super()._restart(way)

    async def _aggregate(self) -> Aggregates | None:
        try:
            return await self._crawl.client.fetch_aggregates(self.table, emit=self._trail.emit)
        except (TableDenied, ResponseInvalid):
            return None
