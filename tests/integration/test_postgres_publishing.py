"""A run's staged pages become a revision: only what changed is written, and only complete reads close."""

from __future__ import annotations

import pytest

from jobs.errors import LeaseLost
from jobs.graph import NodeLine, digest_lines
from jobs.verdict import Verdict
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    AS_OF,
    GROUP,
    ITEM,
    PRODUCER,
    Part,
    claim_fresh_run,
    edge,
    node,
    publish,
    publish_tables,
    read_lines,
    read_own,
    stage_table,
)
from worker.postgres.connection import Connection, as_tenant, fetch_rows
from worker.postgres.publishing import Publication, drop_abandoned
from worker.postgres.reading import read_head, read_runs, stream_edges, stream_nodes
from worker.postgres.runs import claim_run, yield_run
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

DESK, NETWORK = node(GROUP, 1, name="Service Desk"), node(GROUP, 2, name="Network")
LAPTOP, PHONE = node(ITEM, 11, name="Laptop", attributes={"active": "true"}), node(ITEM, 12, name="Phone")
GRAPH = {
    GROUP: ([DESK, NETWORK], []),
    ITEM: ([LAPTOP, PHONE], [edge(LAPTOP, DESK.id), edge(PHONE, NETWORK.id)]),
}


async def read_states(app: Connection, tenant: Tenant) -> dict[str, str]:
    async with as_tenant(app, tenant.schema_name):
        head = await read_head(app, tenant, None)
        return {line.to_id: line.state async for line in stream_edges(app, tenant, head.revision)}


async def read_names(app: Connection, tenant: Tenant, revision: int) -> list[str]:
    async with as_tenant(app, tenant.schema_name):
        return [line.name async for line in stream_nodes(app, tenant, revision)]


async def test_the_first_revision_adds_everything(app: Connection, tenant: Tenant) -> None:
    published = await publish_tables(app, tenant, GRAPH)
    assert published == Publication("published", 1, nodes=4, edges=2, added=6, changed=0, removed=0)
    assert await read_names(app, tenant, 1) == ["Laptop", "Phone", "Service Desk", "Network"]


async def test_an_empty_first_run_publishes_an_empty_revision(app: Connection, tenant: Tenant) -> None:
    published = await publish_tables(app, tenant, {GROUP: ([], [])})
    assert published == Publication("published", 1, nodes=0, edges=0, added=0, changed=0, removed=0)
    assert await read_lines(app, tenant, 1) == []


async def test_nothing_new_makes_no_revision_and_touches_no_row(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    rows = """SELECT 'node', xmin::text, ctid::text FROM {tenant}.node
              UNION ALL SELECT 'edge', xmin::text, ctid::text FROM {tenant}.edge
              UNION ALL SELECT 'node_history', xmin::text, ctid::text FROM {tenant}.node_history
              UNION ALL SELECT 'edge_history', xmin::text, ctid::text FROM {tenant}.edge_history
              UNION ALL SELECT 'revision', as_of::text, digest FROM {tenant}.revision
              UNION ALL SELECT 'feed', xmin::text, ctid::text FROM {tenant}.feed"""
    await publish_tables(app, tenant, GRAPH)
    before = await read_own(admin, rows, within=tenant)
    again = await publish_tables(app, tenant, GRAPH)
    assert again == Publication("unchanged", 1, nodes=4, edges=2, added=0, changed=0, removed=0)
    assert await read_own(admin, rows, within=tenant) == before
    [run, _] = await read_runs(app, tenant, limit=10)
    assert (run["state"], run["revision"], run["nodes"], run["changed"]) == ("unchanged", 1, 4, 0)


async def test_what_changed_was_added_or_left_is_counted_and_the_rest_stays(
    app: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, GRAPH)
    renamed = node(ITEM, 11, name="Notebook", attributes={"active": "true"})
    tablet = node(ITEM, 13, name="Tablet")
    published = await publish_tables(
        app, tenant, {GROUP: ([DESK], []), ITEM: ([renamed, tablet], [edge(LAPTOP, DESK.id)])}
    )
    # Network and Phone leave, and Phone's edge with them
    assert published == Publication("published", 2, nodes=3, edges=1, added=1, changed=1, removed=3)
    assert await read_names(app, tenant, 2) == ["Notebook", "Tablet", "Service Desk"]
    assert await read_names(app, tenant, 1) == ["Laptop", "Phone", "Service Desk", "Network"]


async def test_a_partial_read_changes_and_adds_but_closes_nothing(app: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, GRAPH)
    renamed = node(ITEM, 12, name="Telephone")
    published = await publish_tables(app, tenant, {ITEM: ([renamed], [])}, closing=())
    assert (published.added, published.changed, published.removed) == (0, 1, 0)
    assert await read_names(app, tenant, 2) == ["Laptop", "Telephone", "Service Desk", "Network"]


async def test_a_table_that_was_not_read_closes_nothing_while_another_does(
    app: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, GRAPH)
    published = await publish_tables(app, tenant, {GROUP: ([DESK], [])}, closing=(GROUP,))
    assert (published.nodes, published.edges, published.removed) == (3, 2, 1)


async def test_an_edges_state_follows_its_target(app: Connection, tenant: Tenant) -> None:
    outside = f"sys_user:{9:032x}"
    edges = [edge(LAPTOP, DESK.id), edge(LAPTOP, NETWORK.id, field="b"), edge(LAPTOP, outside, field="c")]
    await publish_tables(app, tenant, {GROUP: ([DESK], []), ITEM: ([LAPTOP], edges)})
    assert await read_states(app, tenant) == {DESK.id: "resolved", NETWORK.id: "unknown", outside: "outside"}
    published = await publish_tables(app, tenant, {GROUP: ([NETWORK], []), ITEM: ([LAPTOP], edges)})
    assert (published.added, published.changed, published.removed) == (1, 2, 1)
    assert await read_states(app, tenant) == {DESK.id: "unknown", NETWORK.id: "resolved", outside: "outside"}


def as_producer(line: NodeLine) -> NodeLine:
    return NodeLine(
        line.id,
        "record_producer",
        PRODUCER,
        line.sys_id,
        line.name,
        {**line.attributes, "table_name": "hr_case"},
    )


async def test_a_subclass_stands_in_place_of_what_its_parent_says(app: Connection, tenant: Tenant) -> None:
    tables: dict[str, Part] = {PRODUCER: ([as_producer(LAPTOP)], []), ITEM: ([LAPTOP, PHONE], [])}
    published = await publish_tables(app, tenant, tables)
    assert published.nodes == 2
    async with as_tenant(app, tenant.schema_name):
        kinds = [line.kind async for line in stream_nodes(app, tenant, 1)]
    assert kinds == ["record_producer", "made_up"]
    assert (await publish_tables(app, tenant, tables)).outcome == "unchanged"


async def test_a_subclass_read_for_the_first_time_says_more_even_when_its_base_was_not_read_whole(
    app: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, {ITEM: ([LAPTOP], [])}, closing=(ITEM,))
    published = await publish_tables(app, tenant, {PRODUCER: ([as_producer(LAPTOP)], [])}, closing=())
    assert (published.added, published.changed, published.removed) == (0, 1, 0)


async def test_a_subclass_not_read_this_time_loses_nothing_it_said(app: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, {ITEM: ([LAPTOP], []), PRODUCER: ([as_producer(LAPTOP)], [])})
    again = await publish_tables(app, tenant, {ITEM: ([LAPTOP], [])}, closing=(ITEM,))
    assert again.outcome == "unchanged"
    left = await publish_tables(app, tenant, {ITEM: ([LAPTOP], []), PRODUCER: ([], [])})
    assert (left.outcome, left.changed, left.removed) == ("published", 1, 0)


async def test_a_record_gone_from_its_subclass_stays_while_its_base_was_not_read_whole(
    app: Connection, tenant: Tenant
) -> None:
    """It may have changed its class: only the base's list says that it is gone."""
    tables = {
        ITEM: ([LAPTOP], [edge(LAPTOP, DESK.id)]),
        PRODUCER: ([as_producer(LAPTOP)], [edge(LAPTOP, DESK.id)]),
    }
    await publish_tables(app, tenant, tables)
    again = await publish_tables(app, tenant, {PRODUCER: ([], [])}, closing=(PRODUCER,))
    assert again.outcome == "unchanged"
    left = await publish_tables(app, tenant, {ITEM: ([], []), PRODUCER: ([], [])})
    assert (left.removed, left.nodes, left.edges) == (2, 0, 0)


async def test_the_databases_digest_is_that_of_the_exported_lines(app: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, GRAPH)
    async with as_tenant(app, tenant.schema_name):
        nodes = [line async for line in stream_nodes(app, tenant, 1)]
        edges = [line async for line in stream_edges(app, tenant, 1)]
        head = await read_head(app, tenant, 1)
    assert (head.nodes, head.edges, head.as_of) == (4, 2, AS_OF)
    assert head.digest == digest_lines(nodes, edges)
    assert head.tables == {GROUP: "complete", ITEM: "complete"}


async def test_a_fenced_worker_publishes_nothing(app: Connection, admin: Connection, tenant: Tenant) -> None:
    late = await claim_fresh_run(app, tenant)
    await stage_table(app, late, GROUP, [DESK])
    assert await yield_run(app, late)
    newer = await claim_run(app, late.run_id, worker="another", lease_seconds=600)
    assert newer is not None
    with pytest.raises(LeaseLost):
        await publish(app, late)
    counts = """SELECT (SELECT count(*) FROM {tenant}.node) AS nodes,
                       (SELECT count(*) FROM {tenant}.revision) AS revisions,
                       (SELECT count(*) FROM {tenant}.staged_page) AS pages"""
    assert await read_own(admin, counts, within=tenant) == [{"nodes": 0, "revisions": 0, "pages": 1}]
    assert (await publish(app, newer)).outcome == "published"
    assert await read_own(admin, counts, within=tenant) == [{"nodes": 1, "revisions": 1, "pages": 0}]
    with pytest.raises(LeaseLost):
        await publish(app, newer)


async def test_a_revision_is_told_once_in_the_feed_and_in_the_audit_trail(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, GRAPH)
    await publish_tables(app, tenant, GRAPH)
    await publish_tables(app, tenant, {GROUP: ([DESK], [])}, closing=(GROUP,))
    feed = await read_own(admin, "SELECT number, revision, added, removed FROM {tenant}.feed", within=tenant)
    assert feed == [
        {"number": 1, "revision": 1, "added": 6, "removed": 0},
        {"number": 2, "revision": 2, "added": 0, "removed": 1},
    ]
    ended = await read_own(
        admin,
        """SELECT detail ->> 'outcome' AS outcome, detail -> 'revision' AS revision FROM control.audit_events
           WHERE action = 'run.ended' AND tenant_ref = %s ORDER BY audit_id""",
        tenant.tenant_id,
    )
    assert [(row["outcome"], row["revision"]) for row in ended] == [
        ("published", 1),
        ("unchanged", 1),
        ("published", 2),
    ]


async def test_pages_of_a_run_that_never_published_are_dropped_by_the_next_alone(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """A late worker of the earlier run must not drop what the newer one has staged."""
    late = await claim_fresh_run(app, tenant)
    await stage_table(app, late, GROUP, [DESK])
    await admin.execute(
        "UPDATE control.run SET state = 'cancelled', fence = fence + 1, lease_until = NULL, ended_at = now() "
        "WHERE run_id = %s",
        [late.run_id],
    )
    newer = await claim_fresh_run(app, tenant)
    await stage_table(app, newer, GROUP, [DESK, NETWORK])
    with pytest.raises(LeaseLost):
        await drop_abandoned(app, late)
    await drop_abandoned(app, newer)
    async with as_tenant(app, tenant.schema_name):
        reads = await fetch_rows(
            app, "tenant", "read_table_reads", within=tenant.schema_name, run=newer.run_id
        )
    assert [row["rows"] for row in reads] == [2]
    pages = await read_own(admin, "SELECT run_id FROM {tenant}.staged_page", within=tenant)
    assert pages == [{"run_id": newer.run_id}]


async def test_two_tenants_with_the_same_records_share_nothing(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await publish_tables(app, tenant, GRAPH)
    await publish_tables(app, other, {GROUP: ([node(GROUP, 1, name="Theirs")], [])})
    assert await read_names(app, tenant, 1) == ["Laptop", "Phone", "Service Desk", "Network"]
    assert await read_names(app, other, 1) == ["Theirs"]


async def test_the_verdicts_of_a_run_are_kept_with_it(app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, [DESK], verdict=Verdict("hidden", hidden=3, reason="three are hidden"))
    await publish(app, run, closing=())
    [read] = await read_runs(app, tenant, limit=1)
    [table] = read["tables"]
    assert (table["table_name"], table["verdict"], table["hidden"], table["requests"]) == (
        GROUP,
        "hidden",
        3,
        3,
    )
    assert (read["requests"], read["records"]) == (3, 1)
