"""Row security takes no index away: under the tenant's role a query is planned as it is without any policy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from psycopg import sql

from jobs.surface import read_surface
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish_tables,
    stage_table,
)
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows, statement
from worker.postgres.runs import ClaimedRun
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

ITEMS, REVISIONS = 3000, 4


async def fill(app: Connection, admin: Connection, tenant: Tenant) -> ClaimedRun:
    """Publish a few thousand rows some times, and stage a run more that is not published."""
    groups = [node(GROUP, number) for number in range(50)]
    for revision in range(REVISIONS + 1):
        items = [
            node(ITEM, number, name=f"{number} as of {revision if number % 3 == 0 else 0}")
            for number in range(ITEMS)
        ]
        edges = [edge(item, groups[number % 50].id) for number, item in enumerate(items)]
        if revision < REVISIONS:
            await publish_tables(app, tenant, {GROUP: (groups, []), ITEM: (items, edges)})
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, ITEM, items, edges)
    await admin.execute("ANALYZE")
    return run


async def explain(
    connection: Connection, query: sql.Composable, values: Mapping[str, object]
) -> dict[str, Any]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(sql.SQL("EXPLAIN (FORMAT JSON, COSTS OFF) ") + query, values)
        row = await cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row["QUERY PLAN"][0]["Plan"]
    return plan


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from walk(part)


def indexes(plan: dict[str, Any]) -> set[str]:
    return {part["Index Name"] for part in walk(plan) if "Index Name" in part}


def cursor_for(name: str, tenant: Tenant) -> sql.Composed:
    """Give a query as it is run for an export: by a cursor, of which a batch is wanted soon."""
    declared = sql.SQL("DECLARE c NO SCROLL CURSOR FOR ")
    return declared + statement("tenant", name, within=tenant.schema_name)


async def test_a_revision_is_read_in_order_from_the_indexes_without_a_sort(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await fill(app, admin, tenant)
    wanted = {
        "read_nodes_at": {"node_pkey", "node_history_pkey"},
        "read_edges_at": {"edge_pkey", "edge_history_pkey"},
    }
    for name, expected in wanted.items():
        async with as_tenant(app, tenant.schema_name):
            plan = await explain(app, cursor_for(name, tenant), {"revision": 2})
        assert indexes(plan) == expected
        assert "Sort" not in {part["Node Type"] for part in walk(plan)}


async def test_a_tenants_queries_are_planned_as_without_row_security(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    run = await fill(app, admin, tenant)
    values = {
        "run": run.run_id,
        "revision": 2,
        "closing": [GROUP, ITEM],
        "listed": [GROUP, ITEM],
        "subclasses": list(read_surface().subclasses),
        "parents": list(read_surface().parents),
        "surface": list(read_surface().bases),
        "unfiltered": [GROUP, ITEM],
    }
    for name in (
        "publish_nodes",
        "publish_edges",
        "read_digest",
        "read_nodes_at",
        "read_edges_at",
        "read_table_reads",
        "publish_findings",
        "read_findings_at",
    ):
        query = statement("tenant", name, within=tenant.schema_name)
        async with as_tenant(app, tenant.schema_name):
            bound = await explain(app, query, values)
        free = await explain(admin, query, values)
        assert bound == free, name


async def test_one_node_and_the_edges_at_it_are_found_by_index(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await fill(app, admin, tenant)
    group = node(GROUP, 1).id
    schema = sql.Identifier(tenant.schema_name)
    for table, column, index in (
        ("node", "node_id", "node_pkey"),
        ("edge", "from_id", "edge_pkey"),
        ("edge", "to_id", "edge_to"),
    ):
        query = sql.SQL("SELECT * FROM {}.{} WHERE {} = %(id)s").format(
            schema, sql.Identifier(table), sql.Identifier(column)
        )
        async with as_tenant(app, tenant.schema_name):
            assert indexes(await explain(app, query, {"id": group})) == {index}


async def test_a_tenants_rows_in_control_are_found_by_index(app: Connection, tenant: Tenant) -> None:
    """The policy's setting is compared by the index, where the table is large enough for one."""
    async with in_tenant_rows(app, tenant.tenant_id):
        await app.execute("SET LOCAL enable_seqscan = off")
        runs = await explain(app, statement("control", "read_runs"), {"run": None, "limit": 5})
        key = await explain(app, statement("control", "read_data_key"), {"tenant_id": tenant.tenant_id})
    trail = {index for index in indexes(runs) if re.fullmatch(r"audit_events_\w+_run_id_idx", index)}
    assert indexes(runs) - trail == {"run_newest_of_tenant"}
    assert trail, "what a run told of itself is found by its id"
    assert indexes(key) == {"data_key_pkey"}
