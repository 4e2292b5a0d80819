"""Finding the tables that an instance names itself, and their columns, before they are read like any other.

Which tables stands where the surface's discovery says, and what columns they have in the dictionary, whole or
not at all: a column left out because its description could not be read would be a silent gap. What leads to no
table is a verdict, with the reason. While the dictionary's aggregates for some tables stay, so do their columns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.derived import (
    MOST_NAMES,
    Column,
    ColumnOrigin,
    TableOrigin,
    build_derived,
    choose_columns,
    describe_refusal,
)
from jobs.errors import OF_A_TABLE, OutsideSurface
from jobs.events import Emit
from jobs.rereading import is_unchanged
from jobs.surface import Surface, Table
from jobs.values import NAME
from jobs.verdict import Verdict, judge_read
from worker.postgres.discovering import Described
from worker.servicenow import Client
from worker.sync.whole import fetch_whole

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """The tables that can be read, and the verdicts of those that cannot, by name."""

    tables: tuple[Table, ...] = ()
    unreadable: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discoverer:
    """Asks one instance for its tables; `known` is what it said before, `keep` is given what it says now."""

    client: Client
    surface: Surface
    emit: Emit
    known: Mapping[tuple[str, ...], Described]
    keep: Callable[[Described], Awaitable[None]]
    must_pause: Callable[[], bool]

    async def discover(self, named: Iterable[str]) -> Found | None:
        """Find the tables of some names; None when the slice must pause before all are described."""
        names = [name for name in named if NAME.match(name)]
        refused = {name: _refuse(reason) for name in names if (reason := describe_refusal(name))}
        wanted = [name for name in names if name not in refused and name not in self.surface.tables]
        found = Found(unreadable=refused)
        for begin in range(0, len(wanted), MOST_NAMES):
            if self.must_pause():
                return None
            more = await self._describe(wanted[begin : begin + MOST_NAMES])
            found = Found((*found.tables, *more.tables), {**found.unreadable, **more.unreadable})
        return found

    async def _describe(self, names: Sequence[str]) -> Found:
        """Build the tables of some names by the dictionary, asked as little as will do."""
        known = self.known.get(tuple(names))
        # An earlier slice of this run asked: what it was told is what its rows were read by.
        if known is not None and known.is_own:
            return self._build(known)
        try:
            described = await self._fetch(names, known)
        except OF_A_TABLE as failure:
            return _give_up(names, failure.message)
        if isinstance(described, Verdict):
            return _give_up(names, described.reason or "")
        await self.keep(described)
        return self._build(described)

    async def _fetch(self, names: Sequence[str], known: Described | None) -> Described | Verdict:
        """Ask for the aggregates first: what changes after that is seen to have changed by the next run."""
        table = build_derived(self.surface, ColumnOrigin(tuple(names)))
        now = await self.client.fetch_aggregates(table, emit=self.emit)
        if known and known.checked_at and is_unchanged(known.aggregates, now, checked_at=known.checked_at):
            return known
        rows = await self._fetch_rows(table)
        verdict = judge_read(rows=len(rows), counted_before=now.counted, counted_after=now.counted)
        return Described(tuple(names), _sort_columns(names, rows), now) if verdict.closes else verdict

    def _build(self, described: Described) -> Found:
        bare = [name for name in described.tables if name not in described.columns]
        tables = []
        unreadable = dict(_give_up(bare, "the dictionary shows none to the integration user").unreadable)
        for name, columns in described.columns.items():
            try:
                tables.append(build_derived(self.surface, TableOrigin(name, columns)))
            except OutsideSurface as refusal:
                unreadable[name] = _refuse(refusal.message)
        return Found(tuple(tables), unreadable)

    async def _fetch_rows(self, table: Table) -> list[Row]:
        return (await fetch_whole(self.client, table, emit=self.emit)).rows


def _sort_columns(names: Iterable[str], rows: Iterable[Row]) -> dict[str, tuple[Column, ...]]:
    """Give the columns that may be read of each table that has any column; of the others nothing is kept."""
    columns: dict[str, list[Column]] = {name: [] for name in names}
    for row in rows:
        column = Column(row.get("element", ""), row.get("internal_type", ""), row.get("reference", ""))
        columns.get(row.get("name", ""), []).append(column)
    return {name: choose_columns(own) for name, own in columns.items() if own}


def _give_up(names: Iterable[str], reason: str) -> Found:
    verdict = Verdict("unknown", reason=f"its columns could not be read: {reason}")
    return Found(unreadable=dict.fromkeys(names, verdict))


def _refuse(reason: str) -> Verdict:
    return Verdict("unknown", reason=f"a data lookup names it, and it is not read: {reason}")
