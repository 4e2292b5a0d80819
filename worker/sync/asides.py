"""Reading a table's asides: the flags of its rows, and the values of the few records on its list.

An aside that could not be read leaves its attribute out, which says "not known", and never fails the table. Of a
whole table it is read before the rows, in each slice that reads some of them; of some rows, after these, and only
if all of it can be: an attribute must not come and go with what happens to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from jobs.asides import (
    Aside,
    build_flag,
    build_values,
    is_opposite,
    is_parted,
    is_proven,
    plan_flag,
    plan_values,
)
from jobs.derived import FlagOrigin, Origin, build_derived
from jobs.errors import PredicateIgnored, ResponseInvalid, TableDenied
from jobs.events import Emit
from jobs.lookup import BATCH_KEYS
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
    counted: int | None = None

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

    async def read_of(self, table: Table, rows: Collection[Mapping[str, str]]) -> tuple[Aside, ...]:
        """Read the asides of some rows that were read just now; raises where one cannot be had.

        After the rows, so that what is said of them is never older than their state.
        """
        sys_ids = [row["sys_id"] for row in rows]
        read = [await self._read_flag_of(table, flag, sys_ids) for flag in (table.flags if rows else ())]
        if any(row.get("name") in table.values for row in rows):
            read.append(await self._read_values(table))
        return tuple(read)

    async def is_answered(self, table: Table) -> bool:
        """Say whether all asides of a table can be read, asking as little as shows it."""
        try:
            for flag in table.flags:
                for origin in plan_flag(table, flag):
                    await self._read_flagged(origin)
            if table.values:
                await self._read_values(table)
        except (TableDenied, ResponseInvalid):
            return False
        return True

    async def _read_flag_of(self, table: Table, flag: str, sys_ids: list[str]) -> Aside:
        """Ask about the rows' own keys, and the opposite too: each of them must be in one of both answers."""
        flagged: set[str] = set()
        for origin in plan_flag(table, flag):
            for start in range(0, len(sys_ids), BATCH_KEYS):
                batch = sys_ids[start : start + BATCH_KEYS]
                having = await self._fetch_of(origin, batch)
                others = await self._fetch_of(replace(origin, is_opposite=True), batch)
                if not is_parted(set(batch), having, others):
                    raise _describe_ignored(origin)
                flagged |= having
        return build_flag(flag, flagged, is_whole=True)

    async def _fetch_of(self, origin: FlagOrigin, sys_ids: list[str]) -> set[str]:
        page = await self.client.fetch_records(build_derived(self.surface, origin), sys_ids, emit=self.emit)
        return {row["sys_id"] for row in page.rows}

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
        # To its first page with a row, for its total: what shows by that to have been dropped is not read to its end.
        answer = await self._fetch(origin, to_first_row=True)
        others = None
        if not is_proven(answer.total, self.counted):
            others = await self._fetch(replace(origin, is_opposite=True), to_first_row=True)
            _check_opposite(origin, answer, others)  # of two that were dropped the first rows are the same
        answer = await self._fetch(origin, begun=answer)
        if others is not None:
            _check_opposite(origin, answer, others)
        return {row["sys_id"] for row in answer.rows}

    async def _read_values(self, table: Table) -> Aside:
        answers = [await self._fetch(origin) for origin in plan_values(table)]
        return build_values(table, (row for answer in answers for row in answer.rows))

    async def _fetch(
        self, origin: Origin, *, to_first_row: bool = False, begun: Answer | None = None
    ) -> Answer:
        table = build_derived(self.surface, origin)
        return await fetch_whole(self.client, table, emit=self.emit, to_first_row=to_first_row, begun=begun)


def _check_opposite(origin: FlagOrigin, answer: Answer, others: Answer) -> None:
    flagged = {row["sys_id"] for row in answer.rows}
    if not is_opposite(flagged, {row["sys_id"] for row in others.rows}, others_total=others.total):
        raise _describe_ignored(origin)


def _describe_ignored(origin: FlagOrigin) -> PredicateIgnored:
    return PredicateIgnored(f"The instance dropped the question behind {origin.flag} of {origin.table}.")
