"""What people and the command read: runs, the fleet, processes, the graph at a revision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobs.errors import UnknownRevision
from jobs.graph import EdgeLine, NodeLine, Source
from worker.postgres.connection import (
    Connection,
    as_tenant,
    fetch_row,
    fetch_rows,
    in_tenant_rows,
    statement,
)
from worker.postgres.tenants import Tenant

_BATCH_ROWS = 2_000
_SEEN_SECONDS = 40  # two reports and a little: who has not reported since is gone, or stuck


@dataclass(frozen=True, slots=True)
class GraphHead:
    """A revision of a graph: its number, when it was read, sizes, digest, and each table's verdict."""

    revision: int
    as_of: datetime
    nodes: int
    edges: int
    digest: str
    tables: dict[str, str]


@dataclass(frozen=True, slots=True)
class Process:
    """A worker or a scheduler, as it reports itself; `key_ids` are the keys that a worker holds."""

    process_id: UUID
    kind: str
    host: str
    pid: int
    version: str
    threads: int
    key_ids: Sequence[str] | None = None


async def read_runs(
    connection: Connection, tenant: Tenant, *, limit: int, run_id: UUID | None = None
) -> list[dict[str, Any]]:
    """Give a tenant's newest runs, or the one asked for, each with its tables."""
    async with in_tenant_rows(connection, tenant.tenant_id):
        runs = await fetch_rows(connection, "control", "read_runs", run=run_id, limit=limit)
    async with as_tenant(connection, tenant.schema_name):
        for run in runs:
            run["tables"] = await fetch_rows(
                connection, "tenant", "read_table_reads", within=tenant.schema_name, run=run["run_id"]
            )
    return runs


async def read_fleet(connection: Connection) -> list[dict[str, Any]]:
    """Give every tenant with its state and freshness."""
    return await fetch_rows(connection, "control", "read_fleet")


async def count_runs(connection: Connection) -> dict[str, int]:
    """Give how many runs are in each state, and as `asked` how many requests are no run yet."""
    return {row["state"]: row["runs"] for row in await fetch_rows(connection, "control", "count_runs")}


async def read_processes(connection: Connection) -> list[dict[str, Any]]:
    """Give the workers and schedulers that reported lately."""
    return await fetch_rows(connection, "control", "read_processes", within_seconds=_SEEN_SECONDS)


async def report_process(connection: Connection, process: Process) -> None:
    """Say that a process lives."""
    await fetch_rows(
        connection, "control", "report_process", process_id=process.process_id, kind=process.kind,
        host=process.host, pid=process.pid, version=process.version, threads=process.threads,
        key_ids=None if process.key_ids is None else list(process.key_ids),
    )  # fmt: skip


async def forget_process(connection: Connection, process_id: UUID) -> None:
    """Take this process off the list."""
    await fetch_rows(connection, "control", "forget_process", process_id=process_id)


@asynccontextmanager
async def at_one_moment(connection: Connection, tenant: Tenant) -> AsyncIterator[None]:
    """Be the tenant's role for one transaction in which nothing changes, whatever is published or let go meanwhile."""
    async with as_tenant(connection, tenant.schema_name):
        # Not too late here: becoming the tenant's role was no query, and took no snapshot.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


async def read_head(connection: Connection, tenant: Tenant, revision: int | None) -> GraphHead:
    """Give the revision in force, or the one asked for; UnknownRevision where there is none. As the tenant."""
    within = tenant.schema_name
    if revision is None:
        current = await fetch_row(connection, "tenant", "read_current_revision", within=within)
        if current is None:
            raise UnknownRevision(
                f"{tenant.name} has no revision yet: run `zaptik sync {tenant.name} --wait`."
            )
        revision = current["revision"]
    head = await fetch_row(connection, "tenant", "read_revision", within=within, revision=revision)
    if head is None:
        raise UnknownRevision(
            f"{tenant.name} has no published revision {revision}: `zaptik revision list {tenant.name}` shows them."
        )
    reads = await fetch_rows(connection, "tenant", "read_table_reads", within=within, run=head.pop("run_id"))
    return GraphHead(**head, tables={row["table_name"]: row["verdict"] for row in reads})


async def stream_nodes(connection: Connection, tenant: Tenant, revision: int) -> AsyncIterator[NodeLine]:
    """Give a revision's nodes in order of their ids, a batch at a time. As the tenant."""
    async for row in stream_rows(connection, tenant, "read_nodes_at", {"revision": revision}):
        yield NodeLine(
            id=row["node_id"],
            kind=row["kind"],
            table=row["table_name"],
            sys_id=row["node_id"].partition(":")[2],
            name=row["name"],
            attributes=row["attributes"],
        )


async def stream_edges(connection: Connection, tenant: Tenant, revision: int) -> AsyncIterator[EdgeLine]:
    """Give a revision's edges in order of (from, kind, to, source), a batch at a time. As the tenant."""
    async for row in stream_rows(connection, tenant, "read_edges_at", {"revision": revision}):
        table, sys_id, field = row["source"].split(":")
        yield EdgeLine(
            kind=row["kind"],
            from_id=row["from_id"],
            to_id=row["to_id"],
            source=Source(table, sys_id, field),
            attributes=row["attributes"],
            state=row["state"],
        )


async def stream_missing(
    connection: Connection, tenant: Tenant, revision: int
) -> AsyncIterator[tuple[str, str]]:
    """Give what a revision's edges name and is no node of it, each id with its edges' state. As the tenant."""
    async for row in stream_rows(connection, tenant, "read_missing_at", {"revision": revision}):
        yield row["node_id"], row["state"]


async def read_attribute_names(
    connection: Connection, tenant: Tenant, revision: int
) -> tuple[list[str], list[str]]:
    """Give the names of the attributes of a revision's nodes, and of its edges. As the tenant."""
    rows = await fetch_rows(
        connection, "tenant", "read_attribute_names", within=tenant.schema_name, revision=revision
    )
    nodes, edges = ([row["name"] for row in rows if row["what"] == what] for what in ("node", "edge"))
    return nodes, edges


async def stream_rows(
    connection: Connection, tenant: Tenant, query: str, values: Mapping[str, object]
) -> AsyncIterator[dict[str, Any]]:
    """Give the rows of a named query a batch at a time, held by the server meanwhile. As the tenant."""
    # Whoever takes the rows may be slow, and an export locks nothing that others wait for.
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    async with connection.cursor(query, binary=True) as cursor:
        cursor.itersize = _BATCH_ROWS
        await cursor.execute(statement("tenant", query, within=tenant.schema_name), values)
        async for row in cursor:
            yield row
