"""Reading a table's asides: the flags of its rows, and the values of the few records on its list.

An aside that could not be read leaves its attribute out, which says "not known", and never fails the table. It
is read before the table's rows, in each slice that reads some of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.asides import (
    Aside,
    build_flag,
    build_values,
    is_opposite,
    is_proven,
    plan_flag,
    plan_values,
)
from jobs.derived import FlagOrigin, Origin, build_derived
from jobs.errors import PredicateIgnored, ResponseInvalid, TableDenied
from jobs.events import Emit
from jobs.surface import Surface, Table
from worker.servicenow import Client
from worker.sync.whole import Answer, fetch_whole


@dataclass(frozen=True, slots=True)
class Asides:
    """What could be read of a table's asides, and the attributes of those that could not."""

    read: tuple[Aside, ...] = ()
    unknown: tuple[str, ...] = ()

    def describe_unknown(self) -> str | None:
        """Say which attributes are left out, None where all were read."""
        names = ", ".join(self.unknown)
        return (
            f"not known of its records: {names}; the columns behind it may not be queried" if names else None
        )


@dataclass(frozen=True, slots=True)
class AsideReader:
    """Reads the asides of one table; `counted` is how many rows the instance says that it has."""

    client: Client
    surface: Surface
    emit: Emit
    counted: int | None

    async def read(self, table: Table) -> Asides:
        """Read all of them; what the instance as a whole does wrong is raised."""
        read, unknown = [], []
        for flag in table.flags:
            aside = await self._read_flag(table, flag)
            read.append(aside)
            unknown += [flag] if aside.otherwise is None else []
        if table.values:
            try:
                read.append(await self._read_values(table))
            except (TableDenied, ResponseInvalid):
                unknown.append("value")
        return Asides(tuple(read), tuple(unknown))

    async def _read_flag(self, table: Table, flag: str) -> Aside:
        flagged: set[str] = set()
        is_whole = True
        for origin in plan_flag(table, flag):
            try:
                flagged |= await self._read_flagged(origin)
            except (TableDenied, ResponseInvalid):
                is_whole = False
        return build_flag(flag, flagged, is_whole=is_whole)

    async def _read_flagged(self, origin: FlagOrigin) -> set[str]:
        """Read the rows in which a column is not empty; PredicateIgnored where the instance dropped the question.

        The column is not read, so no row shows whether the predicate held. Where all rows came, or none, the
        opposite is asked too.
        """
        answer = await self._fetch(origin)
        flagged = {row["sys_id"] for row in answer.rows}
        if is_proven(answer.total, self.counted):
            return flagged
        others = await self._fetch(replace(origin, is_opposite=True), to_first_row=True)
        others_ids = {row["sys_id"] for row in others.rows}
        if not is_opposite(flagged, others_ids, others_total=others.total):
            raise PredicateIgnored(
                f"The instance dropped the question behind {origin.flag} of {origin.table}."
            )
        return flagged

    async def _read_values(self, table: Table) -> Aside:
        answers = [await self._fetch(origin) for origin in plan_values(table)]
        return build_values(table, (row for answer in answers for row in answer.rows))

    async def _fetch(self, origin: Origin, *, to_first_row: bool = False) -> Answer:
        table = build_derived(self.surface, origin)
        return await fetch_whole(self.client, table, emit=self.emit, to_first_row=to_first_row)
