"""What a run has read, kept in the tenant's schema until it publishes: pages, cursors, verdicts.

A page, the table's new cursor and the audit events of the requests behind it commit together, so nothing in a
revision rests on an unrecorded request, and a killed worker loses at most the page it was reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from jobs.errors import Audience, LeaseLost, NotMigrated, RunFailure
from jobs.events import Event
from jobs.graph import GraphPart
from jobs.rereading import Aggregates
from jobs.surface import Surface
from jobs.verdict import Verdict
from schema import latest_version
from worker.postgres.connection import Connection, as_tenant, fetch_rows, fetch_value
from worker.postgres.runs import ClaimedRun


class OutOfTurn(RunFailure):
    """A table begun twice, or a page that is not the next one: the worker lost count."""

    code = "out_of_turn"
    audience: ClassVar[Audience] = "developer"


@dataclass(frozen=True, slots=True)
class TableRead:
    """How far a run has read one table; `verdict` is None while it is not at its end."""

    table: str
    cursor: str
    offset: int
    pages: int
    rows: int
    requests: int
    counted: int | None
    hidden: int
    read: str
    verdict: str | None
    reason: str | None
    as_of: object
    way: str
    newest: str | None
    changes: int | None
    known: int | None
    begun_at: datetime | None = None
    shape: str | None = None

    @property
    def aggregates(self) -> Aggregates | None:
        """The instance's aggregates that the read goes with, None where it had none."""
        if self.counted is None or self.newest is None or self.changes is None:
            return None
        return Aggregates(self.counted, self.newest, self.changes)

    @property
    def is_listed(self) -> bool:
        """Whether it is complete and gave every key in this run."""
        return self.verdict == "complete" and self.way not in {"skipped", "delta"}


@dataclass(frozen=True, slots=True)
class StagedPage:
    """One checked page, ready to be kept: its number from 1, the cursor after it, what it says, and of which records.

    `base` is the table that the ids of its nodes and the sources of its edges name. A `scanned` page has only the
    keys and states of records.
    """

    table: str
    page: int
    depth: int
    cursor: str
    rows: int
    requests: int
    part: GraphPart
    base: str
    keys: bytes
    scanned: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """The tables that a run has read, by name.

    `closing` are those that it has completely, `listed` those of them that gave every key in this run; `absent` are
    those that the instance does not have.
    """

    names: Collection[str]
    closing: Collection[str]
    listed: Collection[str]
    absent: Collection[str] = ()

    @property
    def lack_nothing(self) -> bool:
        """Whether the run has every table completely that the instance has."""
        return set(self.names) <= {*self.closing, *self.absent}

    def name_subclasses(self, surface: Surface) -> list[str]:
        """Name the tables that say more of a record than their parent: the surface's, and all that were discovered."""
        return [*surface.subclasses, *(name for name in self.names if name not in surface.tables)]


async def check_version(connection: Connection, tenant_schema: str) -> None:
    """Raise NotMigrated when this code does not know the tenant's schema; other tenants are not touched."""
    async with as_tenant(connection, tenant_schema):
        version = await fetch_value(connection, "tenant", "read_schema_version", within=tenant_schema)
    if version != (needed := latest_version("tenant")):
        raise NotMigrated(
            f"The schema {tenant_schema} is at version {version} and this worker needs {needed}: run `zaptik "
            "migrate`, or the release that fits the schema."
        )


async def read_progress(connection: Connection, run: ClaimedRun) -> dict[str, TableRead]:
    """Give how far earlier slices of a run came, by table."""
    async with as_tenant(connection, run.schema_name):
        rows = await fetch_rows(
            connection, "tenant", "read_table_reads", within=run.schema_name, run=run.run_id
        )
    return {row["table_name"]: TableRead(row.pop("table_name"), **row) for row in rows}


async def read_verdicts(connection: Connection, schema_name: str, run_id: UUID) -> dict[str, str | None]:
    """Give the verdicts of another run of the same tenant, by table."""
    async with as_tenant(connection, schema_name):
        rows = await fetch_rows(connection, "tenant", "read_table_reads", within=schema_name, run=run_id)
    return {row["table_name"]: row["verdict"] for row in rows}


def sort_reads(progress: Mapping[str, TableRead]) -> Reads:
    """Tell apart what a run's reads came to, for the graph."""
    closing = [name for name, read in progress.items() if read.verdict == "complete"]
    absent = [name for name, read in progress.items() if read.verdict == "absent"]
    return Reads(list(progress), closing, [name for name in closing if progress[name].is_listed], absent)


async def begin_table(
    connection: Connection, run: ClaimedRun, *, table: str, counted: int | None, requests: int,
    events: Sequence[Event], newest: str | None = None, changes: int | None = None, way: str = "whole",
    shape: str | None = None,
) -> None:  # fmt: skip
    """Note that a table is begun, with the instance's aggregates before; OutOfTurn when the run has begun it.

    Without its `shape` no later run goes on from this read.
    """
    async with as_tenant(connection, run.schema_name):
        begun = await fetch_value(
            connection, "tenant", "begin_table", within=run.schema_name,
            run=run.run_id, table=table, counted=counted, newest=newest, changes=changes, way=way, shape=shape,
            requests=requests,
        )  # fmt: skip
        await record_events(connection, run, events, requests=requests, records=0)
        if begun is None:
            raise OutOfTurn(f"Table {table} of run {run.run_id} was begun already. Nothing was written.")


async def stage_page(
    connection: Connection, run: ClaimedRun, page: StagedPage, *, events: Sequence[Event]
) -> None:
    """Keep a page and move the table's cursor; LeaseLost when another worker has the run.

    Raises OutOfTurn for a page that is not the one after those staged.
    """
    async with as_tenant(connection, run.schema_name):
        await fetch_rows(
            connection, "tenant", "stage_page", within=run.schema_name, run=run.run_id, table=page.table,
            page=page.page, depth=page.depth, nodes=page.part.nodes.decode(), edges=page.part.edges.decode(),
            base=page.base, keys=page.keys.decode(), scanned=page.scanned,
        )  # fmt: skip
        advanced = await fetch_value(
            connection, "tenant", "advance_table", within=run.schema_name, run=run.run_id, table=page.table,
            page=page.page, cursor=page.cursor, rows=page.rows, requests=page.requests,
        )  # fmt: skip
        await record_events(connection, run, events, requests=page.requests, records=page.rows)
        if advanced is None:
            raise OutOfTurn(
                f"Page {page.page} of {page.table} of run {run.run_id} is not the next one. Nothing was written."
            )


async def keep_offset(
    connection: Connection, run: ClaimedRun, *, table: str, offset: int, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Note how far past hidden rows a table's read has come, for the next slice to go on there."""
    async with as_tenant(connection, run.schema_name):
        await fetch_rows(
            connection, "tenant", "keep_offset", within=run.schema_name,
            run=run.run_id, table=table, offset=offset, requests=requests,
        )  # fmt: skip
        await record_events(connection, run, events, requests=requests, records=0)


async def judge_table(
    connection: Connection, run: ClaimedRun, *, table: str, verdict: Verdict, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Close a table's read with its verdict."""
    async with as_tenant(connection, run.schema_name):
        await fetch_rows(
            connection, "tenant", "judge_table", within=run.schema_name, run=run.run_id, table=table,
            requests=requests, hidden=verdict.hidden, verdict=verdict.name, reason=verdict.reason,
        )  # fmt: skip
        await record_events(connection, run, events, requests=requests, records=0)


async def record_alone(
    connection: Connection, run: ClaimedRun, *, requests: int, events: Sequence[Event]
) -> None:
    """Write events for which there is nothing else to commit: a token, a failed request."""
    async with as_tenant(connection, run.schema_name):
        await record_events(connection, run, events, requests=requests, records=0)


async def record_events(
    connection: Connection, run: ClaimedRun, events: Sequence[Event], *, requests: int, records: int
) -> None:
    """Write audit events and count the run's work, in the tenant's transaction; LeaseLost when fenced."""
    details = [{"action": event.kind.name, "detail": event.fields} for event in events]
    # Who calls this does so in the transaction of what it tells of: the function holds the run's row until the
    # commit, and where the fence is another's the raise undoes the rest.
    held = await fetch_value(
        connection, "control", "record_events", run=run.run_id, fence=run.fence,
        events=msgspec.json.encode(details).decode(), requests=requests, records=records,
    )  # fmt: skip
    if not held:
        raise lease_lost(run.run_id)


def lease_lost(run_id: UUID) -> LeaseLost:
    """Make the failure of a worker that came too late."""
    return LeaseLost(
        f"The lease of run {run_id} is lost: another worker has it, or it ended. Nothing was written."
    )
