"""What a consumer's login reads of its tenant: the graph now and then, what changed, and how far to trust it."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from jobs.graph import EdgeLine, NodeLine
from jobs.guard import Guard
from jobs.surface import read_surface
from jobs.verdict import Verdict
from tests.integration.consumer_case import ask, ask_column
from tests.integration.postgres_steps import (
    AS_OF,
    COMPLETE,
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish,
    publish_tables,
    read_lines,
    stage_table,
)
from worker.postgres import quarantine
from worker.postgres.connection import Connection
from worker.postgres.publishing import publish_run
from worker.postgres.staging import Reads
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

GROUPS = [node(GROUP, number, name=f"group {number}", attributes={"active": "true"}) for number in range(4)]
ITEMS = [node(ITEM, number, name=f"item {number}") for number in range(10, 14)]
OUTSIDE = f"sys_user:{1:032x}"
FUNCTIONS_AT = (
    "graph_v1_nodes_at(%s)",
    "graph_v1_edges_at(%s)",
    "graph_v1_diff(%s, 1)",
    "graph_v1_diff(1, %s)",
)
FUNCTIONS_OF_A_NODE = ("graph_v1_neighbours(%s)", "graph_v1_routes(%s)", "graph_v1_affected(%s)")


def renamed(line: NodeLine, name: str) -> NodeLine:
    return node(line.table, int(line.sys_id, 16), name=name, attributes=dict(line.attributes))


def linked(item: NodeLine, target: str, **more: str) -> EdgeLine:
    return edge(item, target, **more)


STORY = [  # each revision's groups, items, and edges of the items
    (GROUPS[:3], ITEMS[:3], [linked(ITEMS[0], GROUPS[0].id), linked(ITEMS[1], GROUPS[1].id)]),
    (GROUPS, ITEMS[:3], [linked(ITEMS[0], GROUPS[0].id), linked(ITEMS[1], GROUPS[2].id)]),
    ([renamed(GROUPS[0], "other"), *GROUPS[1:3]], ITEMS[1:], [linked(ITEMS[1], GROUPS[3].id)]),
    (GROUPS, ITEMS, [linked(ITEMS[0], GROUPS[0].id), linked(ITEMS[1], OUTSIDE, field="owner")]),
    (GROUPS[:3], ITEMS[:3], [linked(ITEMS[0], GROUPS[0].id), linked(ITEMS[1], GROUPS[1].id)]),
]


async def tell(app: Connection, tenant: Tenant) -> None:
    """Publish the story, a revision each."""
    for number, (groups, items, edges) in enumerate(STORY, 1):
        done = await publish_tables(app, tenant, {GROUP: (groups, []), ITEM: (items, edges)})
        assert (done.outcome, done.revision) == ("published", number)


def node_line(row: dict[str, Any]) -> dict[str, Any]:
    names = {"id": "node_id", "kind": "kind", "table": "table_name", "sys_id": "sys_id", "name": "name"}
    return {**{new: row[old] for new, old in names.items()}, "attributes": row["attributes"]}


def edge_line(row: dict[str, Any]) -> dict[str, Any]:
    table, sys_id, field = row["source"].split(":")
    source = {"table": table, "sys_id": sys_id, "field": field}
    return {
        "kind": row["kind"], "from": row["from_id"], "to": row["to_id"], "source": source,
        "attributes": row["attributes"], "state": row["state"],
    }  # fmt: skip


async def read_at(reader: Connection, tenant: Tenant, revision: int) -> dict[tuple[str, str], dict[str, Any]]:
    """Give everything that holds at a revision, by what it is and its id."""
    nodes = await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes_at(%s)", revision, within=tenant)
    edges = await ask(reader, "SELECT * FROM {tenant}.graph_v1_edges_at(%s)", revision, within=tenant)
    named = {("node", row["node_id"]): node_line(row) for row in nodes}
    assert len(named) == len(nodes)
    for row in edges:
        key = " ".join((row["from_id"], row["kind"], row["to_id"], row["source"]))
        named["edge", key] = edge_line(row)
    return named


async def test_every_revision_reads_as_the_export_writes_it(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    await tell(app, tenant)
    for revision in range(1, len(STORY) + 1):
        lines = await read_lines(app, tenant, revision)
        found = await read_at(reader, tenant, revision)
        assert len(lines) == len(found)
        ids = await ask_column(
            reader,
            "SELECT node_id FROM {tenant}.graph_v1_nodes_at(%s) ORDER BY node_id",
            revision,
            within=tenant,
        )
        assert [f'"id":"{key}"'.encode() in line for key, line in zip(ids, lines, strict=False)] == [
            True
        ] * len(ids)
    now = await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes ORDER BY node_id", within=tenant)
    then = await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes_at(5) ORDER BY node_id", within=tenant)
    assert now == then
    edges = await ask(reader, "SELECT * FROM {tenant}.graph_v1_edges ORDER BY 1, 2, 3, 5", within=tenant)
    edges_then = await ask(
        reader, "SELECT * FROM {tenant}.graph_v1_edges_at(5) ORDER BY 1, 2, 3, 5", within=tenant
    )
    assert edges == edges_then
    assert edges


async def test_the_difference_of_any_two_revisions_is_what_comparing_them_gives(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    await tell(app, tenant)
    whole = {number: await read_at(reader, tenant, number) for number in range(1, len(STORY) + 1)}
    for start, end in itertools.product(whole, whole):
        rows = await ask(reader, "SELECT * FROM {tenant}.graph_v1_diff(%s, %s)", start, end, within=tenant)
        expected = {}
        for key in whole[start].keys() | whole[end].keys():
            before, after = whole[start].get(key), whole[end].get(key)
            if before != after:
                change = "added" if before is None else "removed" if after is None else "changed"
                expected[key] = (change, before, after)
        found = {(row["what"], row["id"]): (row["change"], row["before"], row["after"]) for row in rows}
        assert found == expected
        assert len(rows) == len(found)
    assert whole[1] == whole[5]


@pytest.mark.parametrize("function", FUNCTIONS_AT)
async def test_a_revision_that_was_never_published_is_an_error(
    function: str, app: Connection, reader: Connection, tenant: Tenant
) -> None:
    """Whatever is asked of the rows: a condition must not turn an error into an empty answer."""
    await tell(app, tenant)
    column = "id" if "diff" in function else "node_id" if "nodes" in function else "from_id"
    for revision in (0, 6, -1, None):
        for rest in ("", f" WHERE {column} = 'x'", " LIMIT 1", f" ORDER BY {column} LIMIT 1"):
            query = f"SELECT * FROM {{tenant}}.{function}{rest}"  # noqa: S608  our own names
            with pytest.raises(psycopg.errors.NoDataFound, match="there is no published revision") as refusal:
                await ask(reader, query, revision, within=tenant)
            assert "graph_v1_revisions" in str(refusal.value.diag.message_hint)


@pytest.mark.parametrize("function", FUNCTIONS_OF_A_NODE)
async def test_a_node_that_is_not_there_is_an_error(
    function: str, app: Connection, reader: Connection, tenant: Tenant
) -> None:
    await tell(app, tenant)
    for name in ("sys_user_group:nobody", "", "'; --", None):
        for rest in ("", " WHERE kind = 'x'", " LIMIT 1"):
            query = f"SELECT * FROM {{tenant}}.{function}{rest}"  # noqa: S608  our own names
            with pytest.raises(psycopg.errors.NoDataFound, match="there is no node"):
                await ask(reader, query, name, within=tenant)


async def test_before_the_first_revision_there_is_nothing_and_an_error_for_what_is_asked_by_number(
    reader: Connection, tenant: Tenant
) -> None:
    for view in ("revisions", "tables", "nodes", "edges", "feed"):
        query = f"SELECT * FROM {{tenant}}.graph_v1_{view}"  # noqa: S608  our own names
        assert await ask(reader, query, within=tenant) == []
    with pytest.raises(psycopg.errors.NoDataFound):
        await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes_at(1)", within=tenant)


async def test_neighbours_are_on_both_sides_of_a_node(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    item, group = ITEMS[0], GROUPS[0]
    graph = {
        GROUP: ([group], []),
        ITEM: ([item], [edge(item, group.id), edge(item, OUTSIDE, kind="OWNED_BY")]),
    }
    await publish_tables(app, tenant, graph)
    query = "SELECT direction, kind, node_id, name, state FROM {tenant}.graph_v1_neighbours(%s) ORDER BY 1, 2"
    assert [tuple(row.values()) for row in await ask(reader, query, item.id, within=tenant)] == [
        ("out", "FULFILLED_BY", group.id, "group 0", "resolved"),
        ("out", "OWNED_BY", OUTSIDE, None, "outside"),
    ]
    assert [tuple(row.values()) for row in await ask(reader, query, group.id, within=tenant)] == [
        ("in", "FULFILLED_BY", item.id, "item 10", "resolved")
    ]
    # what is no node, but at the other end of an edge, has neighbours too
    assert [row["node_id"] for row in await ask(reader, query, OUTSIDE, within=tenant)] == [item.id]


async def run_once(
    app: Connection, tenant: Tenant, *, hours: int, verdict: Verdict = COMPLETE, name: str = "group 0"
) -> str:
    """Read one group so many hours later; give the outcome."""
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, [renamed(GROUPS[0], name)], verdict=verdict)
    closing = (GROUP,) if verdict == COMPLETE else ()
    absent = (ITEM, *((GROUP,) if verdict.name == "absent" else ()))
    reads = Reads((GROUP, ITEM), closing, listed=closing, absent=absent)
    as_of = AS_OF + timedelta(hours=hours)
    done = await publish_run(app, run, surface=read_surface(), reads=reads, as_of=as_of, events=[])
    return done.outcome


async def test_a_run_that_finds_nothing_new_makes_the_revision_in_force_fresher(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    async def read() -> list[tuple[Any, ...]]:
        query = """SELECT revision, state, as_of, complete_as_of, staleness_seconds > 0 AS stale
                   FROM {tenant}.graph_v1_revisions ORDER BY revision"""
        return [tuple(row.values()) for row in await ask(reader, query, within=tenant)]

    async def read_verdicts() -> list[tuple[Any, ...]]:
        query = "SELECT revision, verdict FROM {tenant}.graph_v1_tables ORDER BY revision"
        return [tuple(row.values()) for row in await ask(reader, query, within=tenant)]

    hour = [AS_OF + timedelta(hours=number) for number in range(5)]
    assert await run_once(app, tenant, hours=0) == "published"
    assert await read() == [(1, "current", hour[0], hour[0], True)]
    assert await run_once(app, tenant, hours=1) == "unchanged"
    assert await read() == [(1, "current", hour[1], hour[1], True)]
    # an incomplete read says when it looked, and does not say that all was seen then
    assert await run_once(app, tenant, hours=2, verdict=Verdict("denied")) == "unchanged"
    assert await read() == [(1, "current", hour[2], hour[1], True)]
    assert await read_verdicts() == [(1, "denied")]
    # nor does one after which the graph keeps what is left of a table that went
    assert await run_once(app, tenant, hours=2, verdict=Verdict("absent")) == "unchanged"
    assert await read() == [(1, "current", hour[2], hour[1], True)]
    assert await run_once(app, tenant, hours=3, name="new") == "published"
    assert await read() == [(1, "superseded", hour[2], hour[1], None), (2, "current", hour[3], hour[3], True)]
    assert await read_verdicts() == [(1, "complete"), (2, "complete")]


async def test_a_run_that_has_not_published_shows_nothing(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    assert await run_once(app, tenant, hours=0) == "published"
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, GROUPS, verdict=Verdict("hidden", reason="made up", hidden=3))
    assert await ask_column(reader, "SELECT verdict FROM {tenant}.graph_v1_tables", within=tenant) == [
        "complete"
    ]
    assert await ask_column(reader, "SELECT verdict FROM {tenant}.table_read", within=tenant) == ["complete"]
    assert await ask_column(reader, "SELECT count(*) FROM {tenant}.graph_v1_nodes", within=tenant) == [1]


async def hold(app: Connection, tenant: Tenant) -> int:
    """Publish four groups, then read one: the revision waits. Give its number."""
    await publish_tables(app, tenant, {GROUP: (GROUPS, [])})
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, GROUPS[:1])
    held = await publish(app, run, closing=(GROUP,), guard=Guard(removed_rows=1, removed_share=0.1))
    assert held.outcome == "quarantined"
    return held.revision


async def test_a_revision_that_waits_cannot_be_read_until_it_is_accepted(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    held = await hold(app, tenant)
    revisions = "SELECT revision FROM {tenant}.graph_v1_revisions ORDER BY 1"
    assert await ask_column(reader, revisions, within=tenant) == [1]
    assert await ask_column(reader, "SELECT revision FROM {tenant}.revision", within=tenant) == [1]
    assert await ask_column(reader, "SELECT revision FROM {tenant}.graph_v1_tables", within=tenant) == [1]
    with pytest.raises(psycopg.errors.NoDataFound):
        await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes_at(%s)", held, within=tenant)
    await quarantine.accept_revision(
        app, tenant, held, surface=read_surface(), worker="a person", lease_seconds=60
    )
    assert await ask_column(reader, revisions, within=tenant) == [1, 2]
    nodes = "SELECT count(*) FROM {tenant}.graph_v1_nodes_at(%s)"
    assert await ask_column(reader, nodes, held, within=tenant) == [1]
    assert await ask_column(reader, nodes, 1, within=tenant) == [4]


async def test_a_rejected_revision_cannot_be_read(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    held = await hold(app, tenant)
    await quarantine.reject_revision(app, tenant, held)
    with pytest.raises(psycopg.errors.NoDataFound):
        await ask(reader, "SELECT * FROM {tenant}.graph_v1_diff(1, %s)", held, within=tenant)


async def test_a_consumer_that_was_away_catches_up_by_number_and_gets_nothing_twice(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    """Across a revision that waits and is accepted, one that is rejected, and a run that finds nothing."""
    query = "SELECT number, revision FROM {tenant}.graph_v1_feed WHERE number > %s ORDER BY number"
    seen: list[tuple[int, int]] = []

    async def catch_up() -> None:
        last = seen[-1][0] if seen else 0
        seen.extend((row["number"], row["revision"]) for row in await ask(reader, query, last, within=tenant))

    held = await hold(app, tenant)
    await catch_up()
    assert seen == [(1, 1)]
    await catch_up()
    await quarantine.accept_revision(
        app, tenant, held, surface=read_surface(), worker="a person", lease_seconds=60
    )
    rejected = await hold(app, tenant)
    await quarantine.reject_revision(app, tenant, rejected)
    await publish_tables(app, tenant, {GROUP: (GROUPS, [])})
    await catch_up()
    await publish_tables(app, tenant, {GROUP: (GROUPS[1:], [])})
    await catch_up()
    await catch_up()
    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    published = await ask_column(
        reader, "SELECT revision FROM {tenant}.graph_v1_revisions ORDER BY revision", within=tenant
    )
    assert [revision for _, revision in seen] == published
    assert rejected not in published


async def test_who_listens_is_woken_by_each_revision_with_a_reference_that_names_nobody(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    await reader.execute("LISTEN zaptik_revision")
    [own] = await hold_and_accept(app, reader, tenant)
    heard = []
    async for notice in reader.notifies(timeout=20, stop_after=2):
        heard.append(notice.payload)
        assert notice.channel == "zaptik_revision"
    assert heard == [own, own]
    assert tenant.name not in own
    assert str(tenant.tenant_id) != own


async def hold_and_accept(app: Connection, reader: Connection, tenant: Tenant) -> list[str]:
    """Publish two revisions, the second by accepting it; give the tenant's reference."""
    held = await hold(app, tenant)
    await quarantine.accept_revision(
        app, tenant, held, surface=read_surface(), worker="a person", lease_seconds=60
    )
    query = "SELECT DISTINCT reference::text FROM {tenant}.graph_v1_feed"
    return list(await ask_column(reader, query, within=tenant))
