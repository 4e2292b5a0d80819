"""What a consumer asks is planned by indexes: its conditions reach them through the views, functions and policies."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from tests.integration.consumer_case import schema_of
from tests.integration.postgres_steps import GROUP, ITEM, edge, node, publish_tables, read_own
from tests.integration.test_postgres_plans import explain, indexes, walk
from worker.postgres.connection import Connection, compose_text
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

ITEMS, REVISIONS, SOME, BASES = 4000, 5, 200, 40
BRIN_LEAVES_UPDATES_HOT = 160_000
ONE, DESK = node(ITEM, 1).id, node(GROUP, 1).id
OF_A_DIFF = {"node_since", "edge_since", "node_history_until", "edge_history_until"}
# Each question (ONE is an item, DESK a group), and the indexes by which nodes and edges are found.
QUESTIONS = {
    "SELECT * FROM {tenant}.graph_v1_nodes WHERE node_id = 'ONE'": {"node_pkey"},
    "SELECT * FROM {tenant}.graph_v1_edges WHERE from_id = 'ONE'": {"edge_pkey"},
    "SELECT * FROM {tenant}.graph_v1_edges WHERE to_id = 'DESK'": {"edge_to"},
    "SELECT * FROM {tenant}.graph_v1_nodes_at(3) WHERE node_id = 'ONE'": {"node_pkey", "node_history_pkey"},
    "SELECT * FROM {tenant}.graph_v1_edges_at(3) WHERE from_id = 'ONE'": {"edge_pkey", "edge_history_pkey"},
    "SELECT * FROM {tenant}.graph_v1_edges_at(3) WHERE to_id = 'DESK'": {"edge_to", "edge_history_to"},
    "SELECT * FROM {tenant}.graph_v1_diff(4, 5)": OF_A_DIFF,
    "SELECT * FROM {tenant}.graph_v1_diff(3, 2)": OF_A_DIFF,
    "SELECT * FROM {tenant}.graph_v1_neighbours('ONE')": {"edge_pkey", "edge_to", "node_pkey"},
    "SELECT * FROM {tenant}.graph_v1_routes('ONE')": {"edge_pkey", "edge_to", "node_pkey"},
    "SELECT * FROM {tenant}.graph_v1_affected('DESK')": {"edge_pkey", "edge_to", "node_pkey"},
}


def shape(plan: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Give a plan's steps, and by which index or of which table each is."""
    return [(part["Node Type"], part.get("Index Name", part.get("Relation Name"))) for part in walk(plan)]


async def fill(app: Connection, admin: Connection, tenant: Tenant) -> None:
    """Publish a few thousand rows, of which each revision changes a few."""
    groups = [node(GROUP, number, name="g" * 40) for number in range(200)]
    names = ["0"] * ITEMS
    for revision in range(1, REVISIONS + 1):
        for number in range(SOME):
            names[revision * SOME + number] = str(revision)
        items = [node(ITEM, number, name=name * 40) for number, name in enumerate(names)]
        edges = [edge(item, groups[number % 200].id) for number, item in enumerate(items)]
        edges = [line for number, line in enumerate(edges) if number % BASES != revision]
        await publish_tables(app, tenant, {GROUP: (groups, []), ITEM: (items, edges)})
    await admin.execute(f"VACUUM ANALYZE {', '.join(f'{tenant.schema_name}.{t}' for t in TABLES)}".encode())


TABLES = ("node", "edge", "node_history", "edge_history", "revision", "table_read")


def ask_for(question: str, tenant: Tenant) -> sql.SQL:
    """Give a question of one tenant's."""
    return compose_text(question.replace("ONE", ONE).replace("DESK", DESK), within=tenant.schema_name)


def scanned(plan: dict[str, Any]) -> set[str]:
    """Name the tables of the graph that a plan reads from one end to the other."""
    whole = {part["Relation Name"] for part in walk(plan) if part["Node Type"] == "Seq Scan"}
    return whole & {"node", "edge"}


async def test_every_question_is_answered_by_indexes(
    app: Connection, admin: Connection, reader: Connection, tenant: Tenant
) -> None:
    """In one test, since filling the tables is what takes time."""
    await fill(app, admin, tenant)
    has_brin = admin.info.server_version >= BRIN_LEAVES_UPDATES_HOT
    for question, wanted in QUESTIONS.items():
        if wanted is OF_A_DIFF and not has_brin:
            continue  # on 15 what is new is found by reading through
        plan = await explain(reader, ask_for(question, tenant), {})
        assert scanned(plan) == set(), question
        assert indexes(plan) >= wanted, question


async def test_a_question_as_a_program_asks_it_with_parameters_is_planned_so_too(
    app: Connection, admin: Connection, reader: Connection, tenant: Tenant
) -> None:
    await fill(app, admin, tenant)
    query = compose_text(
        "SELECT * FROM {tenant}.graph_v1_nodes_at(%(revision)s) WHERE node_id = %(id)s",
        within=tenant.schema_name,
    )
    plan = await explain(reader, query, {"revision": 3, "id": ONE})
    assert indexes(plan) == {"node_pkey", "node_history_pkey"}


async def test_row_security_costs_a_consumer_no_plan(
    app: Connection, admin: Connection, reader: Connection, tenant: Tenant
) -> None:
    """Of the graph's tables: the policies of revisions and verdicts are conditions, and meant."""
    await fill(app, admin, tenant)
    for question in QUESTIONS:
        if "routes" not in question:
            query = ask_for(question, tenant)
            bound, free = await explain(reader, query, {}), await explain(admin, query, {})
            assert shape(bound) == shape(free), question


async def test_a_change_of_rows_still_leaves_the_indexes_alone(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """The index on the revision a row came with does not keep an update from being HOT."""
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, number) for number in range(50)], [])})
    changed = [node(GROUP, number, name="new" if number < 3 else "") for number in range(50)]
    await publish_tables(app, tenant, {GROUP: (changed, [])})
    counted = """SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_all_tables
                 WHERE relid = %s::regclass"""
    table = schema_of(tenant).as_string(admin) + ".node"
    # What was counted is told at the next transaction's end.
    await app.execute("SELECT pg_stat_force_next_flush()")
    await app.execute("SELECT 1")
    assert await read_own(admin, counted, table) == [{"updated": 3, "hot": 3}]
