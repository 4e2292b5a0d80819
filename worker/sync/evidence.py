"""Looking up what complete reads no longer gave, before a revision takes it out of the graph.

Tables one after the other, when all of them have their verdict. A record leaves only if it is known to be
deleted; one that is there and hidden, or of which nothing is known, stays, and changes its table's verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from jobs.errors import OF_A_TABLE
from jobs.events import GONE_LOOKED_UP, TABLE_JUDGED, Event
from jobs.lookup import BATCH_KEYS, MOST_KEYS, Fate, is_key, judge_gone, judge_missing
from jobs.surface import Surface, Table
from worker.postgres import evidence, staging
from worker.postgres.connection import Connection
from worker.postgres.staging import TableRead, sort_reads
from worker.sync.covering import Coverage
from worker.sync.crawl import Crawl

_MOST_COUNTS = 40
"""Counts of parts of batches, for one table, beyond which keys that differ among each other stay unknown."""

_CHUNK_KEYS = 10 * BATCH_KEYS  # what is looked up before it is kept: a slice that ends loses no more


async def look_up_gone(crawl: Crawl, connection: Connection, coverage: Coverage) -> bool:
    """Look up what is gone of every table read completely; False when the slice had to pause before the end.

    What was read by the name of a dropped table comes last: what names it must be complete after all look-ups.
    """
    reads = coverage.choose_reads(await staging.read_progress(connection, crawl.run))
    kept = {name: read for name, read in reads.items() if name not in coverage.dropped}
    if not await _look_up(crawl, connection, surface=coverage.surface, reads=kept):
        return False
    if not coverage.dropped:
        return True
    reads = coverage.choose_reads(await staging.read_progress(connection, crawl.run))
    return await _look_up(crawl, connection, surface=coverage.surface, reads=reads)


async def _look_up(
    crawl: Crawl, connection: Connection, *, surface: Surface, reads: Mapping[str, TableRead]
) -> bool:
    gone = await evidence.note_gone(connection, crawl.run, surface=surface, reads=sort_reads(reads))
    for name, keys in gone.items():
        if keys > MOST_KEYS:
            continue  # the removal guard decides
        if not await _Inquiry(crawl, surface.tables[name]).settle(connection):
            return False
    return True


class _Inquiry:
    """Finds out what became of one table's gone records."""

    def __init__(self, crawl: Crawl, table: Table) -> None:
        self._crawl = crawl
        self._table = table
        self._trail = crawl.trail.branch()
        self._counts_left = _MOST_COUNTS

    async def settle(self, connection: Connection) -> bool:
        """Look the records up, and keep what that told; False when the slice had to pause before the end."""
        run, name = self._crawl.run, self._table.name
        while keys := await evidence.read_gone(connection, run, table=name, limit=_CHUNK_KEYS):
            if self._crawl.must_pause():
                return False
            await self._settle(connection, keys)
        return True

    async def _settle(self, connection: Connection, keys: Sequence[str]) -> None:
        run, name = self._crawl.run, self._table.name
        fates: dict[str, Fate] = {key: "unknown" for key in keys if not is_key(self._table, key)}
        asked = [key for key in keys if key not in fates]
        for start in range(0, len(asked), BATCH_KEYS):
            fates |= await self._look_up(asked[start : start + BATCH_KEYS])
        met = Counter(fates.values())
        told = {fate: met[fate] for fate in ("deleted", "hidden", "unknown")}
        self._trail.emit(Event(GONE_LOOKED_UP, {"table": name, "gone": len(keys), **told}))
        met += await evidence.count_fates(connection, run, table=name)
        verdict = judge_gone(list(met.elements()))
        if verdict is not None:
            self._trail.emit(Event(TABLE_JUDGED, {"table": name, "verdict": verdict.name}))
        taken = self._trail.take()
        await evidence.settle_gone(
            connection,
            run,
            table=name,
            fates=fates,
            verdict=verdict,
            requests=taken.requests,
            events=taken.events,
        )
        taken.mark_written()

    async def _look_up(self, keys: Sequence[str]) -> dict[str, Fate]:
        """Ask both APIs; what is given after all was missed, and only the next read knows more."""
        try:
            given = await self._crawl.client.fetch_given(self._table, keys, emit=self._trail.emit)
            missing = [key for key in keys if key not in given]
            fates = await self._count(missing) if missing else {}
        except OF_A_TABLE:
            return dict.fromkeys(keys, "unknown")
        return {**dict.fromkeys(given, "unknown"), **fates}

    async def _count(self, keys: Sequence[str]) -> dict[str, Fate]:
        """Count keys that are not given; where only some are counted, halve them until it is plain which."""
        counted = await self._crawl.client.fetch_count_of(self._table, keys, emit=self._trail.emit)
        fate = judge_missing(missing=len(keys), counted=counted)
        if fate is not None:
            return dict.fromkeys(keys, fate)
        # Some are deleted and some hidden: a count names none, so the half in which they are is looked for.
        middle = len(keys) // 2
        return {**await self._count_part(keys[:middle]), **await self._count_part(keys[middle:])}

    async def _count_part(self, keys: Sequence[str]) -> dict[str, Fate]:
        if self._counts_left == 0:
            return dict.fromkeys(keys, "unknown")
        self._counts_left -= 1
        return await self._count(keys)
