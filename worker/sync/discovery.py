"""Finding the tables that an instance names itself, and their columns, before they are read like any other.

Which tables is read where the surface's discovery says, and what columns they have in the dictionary, whole or
not at all: a column left out because its description could not be read would be a silent gap. What leads to no
table is a verdict, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jobs.derived import (
    MOST_NAMES,
    Column,
    ColumnOrigin,
    TableOrigin,
    build_derived,
    describe_refusal,
)
from jobs.errors import OutsideSurface, ResponseInvalid, TableAbsent, TableDenied
from jobs.events import Emit
from jobs.surface import Surface, Table
from jobs.verdict import Verdict, judge_read
from worker.servicenow import Client
from worker.sync.whole import fetch_whole

Row = Mapping[str, str]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """The tables that can be read, and the verdicts of those that cannot, by name."""

    tables: tuple[Table, ...] = ()
    unreadable: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discoverer:
    """Asks one instance for its tables."""

    client: Client
    surface: Surface
    emit: Emit

    async def discover(self) -> Found:
        """Find the tables; what is wrong with the list of names itself is raised."""
        names = await self._fetch_names()
        refused = {name: _refuse(reason) for name in names if (reason := describe_refusal(name))}
        wanted = [name for name in names if name not in refused and name not in self.surface.tables]
        found = Found(unreadable=refused)
        for begin in range(0, len(wanted), MOST_NAMES):
            more = await self._describe(wanted[begin : begin + MOST_NAMES])
            found = Found((*found.tables, *more.tables), {**found.unreadable, **more.unreadable})
        return found

    async def _fetch_names(self) -> list[str]:
        discovery = self.surface.discovery
        if discovery is None:
            return []
        table = replace(
            self.surface.tables[discovery.named_in], fields=("sys_id", discovery.field), references={}
        )
        named = {row.get(discovery.field, "").strip() for row in await self._fetch_rows(table)}
        return sorted(name for name in named if _NAME.match(name))

    async def _describe(self, names: Sequence[str]) -> Found:
        """Build the tables of some names by the dictionary."""
        described = build_derived(self.surface, ColumnOrigin(tuple(names)))
        try:
            rows = await self._fetch_rows(described)
            counted = await self.client.fetch_count(described, emit=self.emit)
        except (TableDenied, TableAbsent, ResponseInvalid) as failure:
            return _give_up(names, failure.message)
        verdict = judge_read(rows=len(rows), counted_before=counted, counted_after=counted)
        if not verdict.closes:
            return _give_up(names, verdict.reason or "")
        return self._build(names, rows)

    def _build(self, names: Iterable[str], rows: Iterable[Row]) -> Found:
        columns: dict[str, list[Column]] = {name: [] for name in names}
        for row in rows:
            column = Column(row.get("element", ""), row.get("internal_type", ""), row.get("reference", ""))
            columns.get(row.get("name", ""), []).append(column)
        bare = [name for name, own in columns.items() if not own]
        tables = []
        unreadable = dict(_give_up(bare, "the dictionary shows none to the integration user").unreadable)
        for name in columns.keys() - bare:
            try:
                tables.append(build_derived(self.surface, TableOrigin(name, tuple(columns[name]))))
            except OutsideSurface as refusal:
                unreadable[name] = _refuse(refusal.message)
        return Found(tuple(tables), unreadable)

    async def _fetch_rows(self, table: Table) -> list[Row]:
        return (await fetch_whole(self.client, table, emit=self.emit)).rows


def _give_up(names: Iterable[str], reason: str) -> Found:
    verdict = Verdict("unknown", reason=f"its columns could not be read: {reason}")
    return Found(unreadable=dict.fromkeys(names, verdict))


def _refuse(reason: str) -> Verdict:
    return Verdict("unknown", reason=f"a data lookup names it, and it is not read: {reason}")
