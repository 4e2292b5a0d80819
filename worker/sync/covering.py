"""What a run covers: the surface's tables, then those that the instance names itself, each read to a verdict.

Tables are read side by side. When all have a verdict, those that were read long ago are asked after once more. A
discovered table that nothing names any more is dropped: what was read by its name is left to what its base, read
whole once more, says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.rereading import describe_shape
from jobs.surface import Discovery, Surface, Table
from worker.postgres import discovering, rereading, staging
from worker.postgres.staging import TableRead
from worker.sync.closing import close_tables
from worker.sync.crawl import Crawl, judge_table, put_act
from worker.sync.discovery import Discoverer, Found
from worker.sync.trail import Trail


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a whole crawl comes to cover: the surface with what was discovered, and what could not be read of it.

    `dropped` are tables that were read by name and are named no more. `requests` are those of this slice that belong
    to no table.
    """

    surface: Surface
    unreadable: frozenset[str] = field(default_factory=frozenset)
    dropped: frozenset[str] = field(default_factory=frozenset)
    requests: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every table that needs a verdict before the run can be published."""
        return (*self.surface.tables, *sorted(self.unreadable))

    def choose_reads(self, progress: Mapping[str, TableRead]) -> dict[str, TableRead]:
        """Give the reads of the tables that are covered: one that was begun may be named no more.

        A dropped table counts as read whole and without a row, as long as what no longer names it is complete, and
        its base was read whole: a doubt about either drops nothing.
        """
        reads = {name: progress[name] for name in self.names}
        discovery = self.surface.discovery
        if self.dropped and discovery is not None:
            base = reads[discovery.extends]
            if reads[discovery.named_in].verdict == base.verdict == "complete" and base.way == "whole":
                reads |= {name: replace(base, table=name, rows=0, requests=0) for name in self.dropped}
        return reads


async def crawl_tables(crawl: Crawl, progress: Mapping[str, TableRead]) -> Coverage | None:
    """Read every table that has no verdict yet, until all have one; None when the slice must pause before."""
    async with asyncio.TaskGroup() as writing:
        writing.create_task(crawl.writer.run(), name="writer")
        coverage = await _crawl(crawl, progress)
        if coverage is not None and not await _close(crawl, coverage, earlier=progress):
            coverage = None
        # In any case, also where the slice pauses: the group waits for the writer, and the writer for this.
        await crawl.writer.finish()
    return coverage


async def _close(crawl: Crawl, coverage: Coverage, *, earlier: Collection[str]) -> bool:
    reads = await _read_progress(crawl)
    return await close_tables(crawl, coverage.surface, reads=reads, earlier=earlier)


async def _crawl(crawl: Crawl, progress: Mapping[str, TableRead]) -> Coverage | None:
    tables = crawl.surface.tables.values()
    # Last what no closing pass can bring up to date.
    for part in (
        [table for table in tables if table.can_be_reread],
        [table for table in tables if not table.can_be_reread],
    ):
        if not await _read_tables(crawl, part, progress) or crawl.must_pause():
            return None
    discovery = crawl.surface.discovery
    if discovery is None:
        return Coverage(crawl.surface)
    progress = await _read_progress(crawl)
    # What names them could not be read: the tables known from before stay as they are, and none is dropped.
    if progress[discovery.named_in].verdict in {"absent", "denied", "failed"}:
        return Coverage(crawl.surface)
    return await _Discovered(crawl, discovery, progress).cover()


class _Discovered:
    """The second part of a crawl: the tables that the instance names itself."""

    def __init__(self, crawl: Crawl, discovery: Discovery, progress: Mapping[str, TableRead]) -> None:
        self._crawl = crawl
        self._discovery = discovery
        self._progress = progress
        self._trail: Trail = crawl.trail.branch()
        self._requests = 0

    async def cover(self) -> Coverage | None:
        crawl = self._crawl
        found = await self._discover()
        if found is None:
            return None
        self._requests += await put_act(crawl, self._trail, discovering.forget_described)
        for name, verdict in found.unreadable.items():
            read = self._progress.get(name)
            if read is None or read.verdict is None:
                await judge_table(crawl, self._trail, name, verdict, rows=0)
        surface = crawl.surface.with_tables(found.tables)
        dropped = await self._find_dropped((*surface.tables, *found.unreadable))
        tables, progress = list(found.tables), dict(self._progress)
        base = progress[self._discovery.extends]
        if dropped and base.way != "whole":
            tables.append(crawl.surface.tables[base.table])
            progress[base.table] = await self._restart(tables[-1], base)
        if not await _read_tables(crawl, tables, progress):
            return None
        return Coverage(surface, frozenset(found.unreadable), frozenset(dropped), self._requests)

    async def _discover(self) -> Found | None:
        crawl, discovery = self._crawl, self._discovery
        named = self._progress[discovery.named_in]
        names = await crawl.writer.ask(
            lambda connection: discovering.read_named(
                connection, crawl.run, table=named.table, field=discovery.field, is_listed=named.is_listed
            )
        )
        known = await crawl.writer.ask(lambda connection: discovering.read_described(connection, crawl.run))
        if named.way == "whole":  # then all is asked for, also what aggregates do not tell
            known = {tables: described for tables, described in known.items() if described.is_own}
        return await Discoverer(
            crawl.client, crawl.surface, self._trail.emit, known, self._keep, crawl.must_pause
        ).discover(names)

    async def _keep(self, described: discovering.Described) -> None:
        self._requests += await put_act(
            self._crawl, self._trail, discovering.keep_described, described=described
        )

    async def _find_dropped(self, named: Iterable[str]) -> list[str]:
        """Find what is named no more, if both the tables that could say otherwise were read completely."""
        crawl, discovery = self._crawl, self._discovery
        reads = (self._progress[discovery.named_in], self._progress[discovery.extends])
        if any(read.verdict != "complete" for read in reads):
            return []
        return await crawl.writer.ask(
            lambda connection: discovering.read_unnamed(
                connection, crawl.run, base=discovery.extends, named=list(named)
            )
        )

    async def _restart(self, table: Table, read: TableRead) -> TableRead:
        """Have a table read whole that was not: what a dropped table said of its records is to be said by it."""
        shape = describe_shape(table)
        await put_act(
            self._crawl, self._trail, rereading.restart_table, table=table.name, way="whole", shape=shape
        )
        return replace(
            read, verdict=None, reason=None, way="whole", shape=shape, cursor="", offset=0, pages=0, rows=0
        )


async def _read_progress(crawl: Crawl) -> dict[str, TableRead]:
    return await crawl.writer.ask(lambda connection: staging.read_progress(connection, crawl.run))


async def _read_tables(crawl: Crawl, tables: Iterable[Table], progress: Mapping[str, TableRead]) -> bool:
    """Read some tables side by side; whether all have their verdict."""
    readers = [crawl.open_reader(crawl, table, progress.get(table.name)) for table in tables]
    async with asyncio.TaskGroup() as reading:
        for reader in readers:
            reading.create_task(reader.read(), name=reader.table.name)
    return all(reader.verdict for reader in readers)
