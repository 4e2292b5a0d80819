"""However large a graph is, exporting it and comparing it holds a batch of rows at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator

import pytest

from jobs.export.changes import ChangesDocument
from jobs.export.form import Form, Lines
from jobs.export.graphml import Graphml
from jobs.export.webpage import Webpage
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import GROUP, node, publish_tables, read_own
from worker.command.graph_export import stream_pieces
from worker.postgres import reading
from worker.postgres.comparing import stream_changes
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

FEW, MANY = 6_000, 24_000  # batches of 2,000 rows
_FILL = """
WITH numbers AS (SELECT lpad(to_hex(i), 32, '0') AS id FROM generate_series(100, 99 + %s) i), nodes AS (
    INSERT INTO {tenant}.node (node_id, kind, table_name, name, attributes, read_table, hash, since)
    SELECT 'sys_user_group:' || id, 'assignment_group', 'sys_user_group', 'Group ' || id,
           jsonb_build_object('description', repeat('x', 100)), 'sys_user_group', sha256(id::bytea), 2 FROM numbers
)
INSERT INTO {tenant}.edge (from_id, kind, to_id, source, state, attributes, read_table, hash, since)
SELECT 'sys_user_group:' || id, 'CHILD_OF', 'sys_user_group:gone' || id, 'sys_user_group:' || id || ':parent',
       'unknown', '{}', 'sys_user_group', sha256(id::bytea), 2 FROM numbers RETURNING from_id"""


async def publish_many(app: Connection, admin: Connection, tenant: Tenant, count: int) -> None:
    """Publish two small revisions and put so many nodes and edges into the second."""
    for name in ("before", "after"):
        await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name=name)], [])})
    assert len(await read_own(admin, _FILL, count, within=tenant)) == count


async def stream_export(app: Connection, tenant: Tenant, form: Form) -> AsyncIterator[bytes]:
    async with as_tenant(app, tenant.schema_name):
        head = await reading.read_head(app, tenant, 2)
        async for piece in stream_pieces(app, tenant, head, form, None):
            yield piece


async def stream_document(app: Connection, tenant: Tenant) -> AsyncIterator[bytes]:
    document = ChangesDocument(tenant.name, 1, 2)
    async with as_tenant(app, tenant.schema_name):
        async for change in stream_changes(app, tenant, from_revision=1, to_revision=2):
            yield document.add(change).encode()


async def measure_peak(pieces: AsyncIterator[bytes]) -> tuple[int, int]:
    """Take every piece and give the most bytes that Python held meanwhile, and how many bytes there were."""
    tracemalloc.start()
    try:
        size = 0
        async for piece in pieces:
            size += len(piece)
        return tracemalloc.get_traced_memory()[1], size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", [Lines, Graphml, Webpage, None], ids=["jsonl", "graphml", "html", "diff"])
async def test_four_times_the_graph_is_held_in_the_same_memory(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant, form: type[Form] | None
) -> None:
    measured = []
    for count in (FEW, MANY):
        tenant = await add_fresh_tenant()
        await publish_many(app, admin, tenant, count)
        pieces = stream_export(app, tenant, form()) if form else stream_document(app, tenant)
        measured.append(await measure_peak(pieces))
    (few_held, few_bytes), (many_held, many_bytes) = measured
    assert many_bytes > 2 * few_bytes - 1_000_000  # the page's script is the same in both
    assert many_held < 1.5 * few_held


async def test_the_rows_wait_in_the_database_and_not_in_the_client(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_many(app, admin, tenant, FEW)
    async with as_tenant(app, tenant.schema_name):
        rows = reading.stream_nodes(app, tenant, 2)
        await anext(rows)
        [cursor] = await read_own(app, "SELECT name FROM pg_cursors")
        assert cursor["name"] == "read_nodes_at"
        await rows.aclose()  # type: ignore[attr-defined]
