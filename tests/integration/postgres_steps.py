"""The steps that tests of the database have in common: a small graph, its run, its pages, its revision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from psycopg import sql

from jobs.graph import (
    EdgeLine,
    GraphPart,
    NodeLine,
    Source,
    StagedEdge,
    StagedNode,
    encode_line,
    hash_line,
)
from jobs.guard import Guard
from jobs.keys import build_keys
from jobs.surface import read_surface
from jobs.verdict import Verdict
from worker.postgres.connection import Connection, as_tenant, compose_text, fetch_rows
from worker.postgres.evidence import note_gone
from worker.postgres.publishing import Publication, publish_run
from worker.postgres.reading import stream_edges, stream_nodes
from worker.postgres.runs import ClaimedRun, claim_run, read_request, request_sync
from worker.postgres.staging import Reads, StagedPage, begin_table, judge_table, stage_page
from worker.postgres.tenants import Tenant

GROUP, ITEM, PRODUCER = "sys_user_group", "sc_cat_item", "sc_cat_item_producer"
AS_OF = datetime(2026, 3, 1, 10, tzinfo=UTC)
COMPLETE = Verdict("complete")

Part: TypeAlias = tuple[Sequence[NodeLine], Sequence[EdgeLine]]


def node(table: str, number: int, *, name: str = "", attributes: dict[str, str] | None = None) -> NodeLine:
    """Make a node of a base table."""
    sys_id = f"{number:032x}"
    return NodeLine(f"{table}:{sys_id}", "made_up", table, sys_id, name, attributes or {})


def edge(start: NodeLine, target: str, *, kind: str = "FULFILLED_BY", field: str = "group") -> EdgeLine:
    """Make an edge from a node to a node's id, without its state."""
    table = start.id.partition(":")[0]
    return EdgeLine(kind, start.id, target, Source(table, start.sys_id, field), {})


def build_staged(nodes: Sequence[NodeLine], edges: Sequence[EdgeLine] = ()) -> GraphPart:
    """Give nodes and edges the form in which pages are staged."""
    staged_nodes = [StagedNode(n.id, n.kind, n.table, n.name, n.attributes, hash_line(n)) for n in nodes]
    staged_edges = [
        StagedEdge(
            from_id=e.from_id,
            kind=e.kind,
            to_id=e.to_id,
            source=f"{e.source.table}:{e.source.sys_id}:{e.source.field}",
            attributes=e.attributes,
            hash=hash_line(e),
        )
        for e in edges
    ]
    encoded = msgspec.json.encode(staged_nodes), msgspec.json.encode(staged_edges)
    return GraphPart(*encoded)


async def claim_fresh_run(app: Connection, tenant: Tenant, *, mode: str = "delta") -> ClaimedRun:
    """Ask for a run, let it be folded, and claim it."""
    request = await request_sync(app, tenant.name, mode=mode)
    await fetch_rows(app, "control", "fold_requests", batch=10_000)
    run_id = await read_request(app, tenant.tenant_id, request)
    assert run_id is not None
    run = await claim_run(app, run_id, worker="a worker", lease_seconds=600)
    assert run is not None
    return run


async def stage_table(
    app: Connection, run: ClaimedRun, table: str, nodes: Sequence[NodeLine] = (), edges: Sequence[EdgeLine] = (),
    *, depth: int = 0, verdict: Verdict = COMPLETE,
) -> None:  # fmt: skip
    """Stage a table as one page and close its read."""
    await begin_table(app, run, table=table, counted=len(nodes), requests=1, events=[])
    page = StagedPage(
        table,
        1,
        depth=depth,
        cursor="f" * 32,
        rows=len(nodes),
        requests=1,
        part=build_staged(nodes, edges),
        base=read_surface().tables[table].base,
        keys=build_keys([{"sys_id": line.sys_id} for line in nodes]),
    )
    await stage_page(app, run, page, events=[])
    await judge_table(app, run, table=table, verdict=verdict, requests=1, events=[])


async def publish(
    app: Connection,
    run: ClaimedRun,
    *,
    closing: Collection[str] = (GROUP, ITEM, PRODUCER),
    guard: Guard | None = None,
) -> Publication:
    """Publish what the run staged; what the tables `closing` did not give is gone."""
    surface = read_surface()
    reads = Reads(closing, closing, listed=closing)
    await note_gone(app, run, surface=surface, reads=reads)
    return await publish_run(app, run, surface=surface, reads=reads, as_of=AS_OF, events=[], guard=guard)


async def publish_tables(
    app: Connection,
    tenant: Tenant,
    tables: Mapping[str, Part],
    *,
    closing: Collection[str] = (GROUP, ITEM, PRODUCER),
) -> Publication:
    """Run once: stage these tables and publish them."""
    run = await claim_fresh_run(app, tenant)
    for table, (nodes, edges) in tables.items():
        await stage_table(app, run, table, nodes, edges, depth=1 if table == PRODUCER else 0)
    return await publish(app, run, closing=closing)


async def read_lines(app: Connection, tenant: Tenant, revision: int) -> list[bytes]:
    """Give the lines of a revision's export, nodes first."""
    async with as_tenant(app, tenant.schema_name):
        nodes = [encode_line(line) async for line in stream_nodes(app, tenant, revision)]
        edges = [encode_line(line) async for line in stream_edges(app, tenant, revision)]
    return nodes + edges


async def read_own(
    connection: Connection, query: str, *values: object, within: Tenant | None = None
) -> list[dict[str, Any]]:
    """Run a test's own query and give its rows; `{tenant}` in it stands for the schema of `within`."""
    text = compose_text(query, within=within.schema_name if within else None)
    cursor = await connection.execute(text, values)
    return await cursor.fetchall()


@asynccontextmanager
async def bare_tenants(admin: Connection, count: int, *, due: str = "now") -> AsyncIterator[list[UUID]]:
    """Give active tenants that are rows alone, gone afterwards with their runs: schedulers look at nothing else."""
    rows = await read_own(
        admin,
        """INSERT INTO control.tenant (name, schema_name, url, every_seconds, state, next_due_at)
           SELECT 'row-' || n, 'tenant_row_' || n, 'https://row.service-now.com', 3600, 'active', %s::timestamptz
           FROM generate_series(1, %s) n RETURNING tenant_id""",
        due,
        count,
    )
    ids = [row["tenant_id"] for row in rows]
    try:
        yield ids
    finally:
        for table in ("sync_request", "run", "tenant"):
            await admin.execute(
                sql.SQL("DELETE FROM {} WHERE tenant_id = ANY (%s)").format(sql.Identifier("control", table)),
                [ids],
            )
