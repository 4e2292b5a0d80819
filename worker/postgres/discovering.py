"""What a run keeps of the tables that an instance names itself: what names them, and how they were described.

The names are those that stand in the graph, or that the run staged: no request asks for them a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from jobs.derived import Column
from jobs.events import Event
from jobs.rereading import Aggregates
from worker.postgres.connection import Connection, as_tenant, fetch_rows
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import record_events

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What the dictionary says of some tables' columns, and the aggregates that it goes with.

    A table of which it says nothing is not among `columns`. `checked_at` is None for an answer of just now; `is_own`
    is one that this run got.
    """

    tables: Names
    columns: Mapping[str, tuple[Column, ...]]
    aggregates: Aggregates
    checked_at: datetime | None = None
    is_own: bool = False


async def read_named(
    connection: Connection, run: ClaimedRun, *, table: str, field: str, is_listed: bool
) -> list[str]:
    """Give what the records of a table name; `is_listed` where the run read every key, so that no other record is."""
    within = run.schema_name
    async with as_tenant(connection, within):
        rows = await fetch_rows(
            connection, "tenant", "read_named", within=within, run=run.run_id, table=table, field=field,
            listed=is_listed,
        )  # fmt: skip
    return sorted(row["name"] for row in rows)


async def read_described(connection: Connection, run: ClaimedRun) -> dict[Names, Described]:
    """Give what the dictionary answered to this run and earlier ones, by the tables that were asked for."""
    within = run.schema_name
    async with as_tenant(connection, within):
        rows = await fetch_rows(connection, "tenant", "read_described", within=within, run=run.run_id)
    return {tuple(row["tables"]): _build_described(**row) for row in rows}


async def keep_described(
    connection: Connection, run: ClaimedRun, *, described: Described, requests: int, events: Sequence[Event]
) -> None:
    """Keep what the dictionary answered: neither a later slice nor, while it stays so, a later run asks again."""
    within, found = run.schema_name, described.aggregates
    async with as_tenant(connection, within):
        await fetch_rows(
            connection, "tenant", "keep_described", within=within, run=run.run_id, tables=list(described.tables),
            columns=msgspec.json.encode(described.columns).decode(), counted=found.counted, newest=found.newest,
            changes=found.changes,
        )  # fmt: skip
        await record_events(connection, run, events, requests=requests, records=0)


async def forget_described(
    connection: Connection, run: ClaimedRun, *, requests: int, events: Sequence[Event]
) -> None:
    """Forget the answers to questions that this run, whose discovery is over, did not ask."""
    within = run.schema_name
    async with as_tenant(connection, within):
        await fetch_rows(connection, "tenant", "forget_described", within=within, run=run.run_id)
        await record_events(connection, run, events, requests=requests, records=0)


async def read_unnamed(
    connection: Connection, run: ClaimedRun, *, base: str, named: Collection[str]
) -> list[str]:
    """Give the tables that nodes of a base table were read by and that are named no more."""
    within = run.schema_name
    async with as_tenant(connection, within):
        rows = await fetch_rows(
            connection, "tenant", "read_unnamed", within=within, base=base, named=list(named)
        )
    return [row["name"] for row in rows]


async def forget_unread(
    connection: Connection, run: ClaimedRun, *, listed: Collection[str], tables: Collection[str]
) -> None:
    """Forget, in the publishing transaction, what was kept of tables that the surface has no more."""
    within = run.schema_name
    if not set(listed) <= set(tables):
        await fetch_rows(
            connection, "tenant", "leave_to_base", within=within, run=run.run_id, listed=list(listed)
        )
    await fetch_rows(connection, "tenant", "forget_tables", within=within, tables=list(tables))


def _build_described(
    *, tables: list[str], columns: object, counted: int, newest: str, changes: int, checked_at: datetime,
    is_own: bool,
) -> Described:  # fmt: skip
    return Described(
        tuple(tables),
        msgspec.convert(columns, dict[str, tuple[Column, ...]]),
        Aggregates(counted, newest, changes),
        checked_at=checked_at,
        is_own=is_own,
    )
