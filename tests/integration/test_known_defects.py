"""Deletes and publishing as peers got them wrong, each defect tried against our own code: R17, R18, R20 to R23.

R19 is in test_evidence, R24 in test_quarantine.
"""

from __future__ import annotations

import asyncio

import pytest

from jobs.errors import LeaseLost
from jobs.events import Event
from ops.simulator.access import Access
from tests.integration.postgres_steps import (
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
from tests.integration.slice_case import Case, verdict_of
from worker.postgres.connection import Connection, DatabaseFailure, translated_errors
from worker.postgres.runs import claim_run, yield_run
from worker.postgres.tenants import Tenant
from worker.telemetry import Metrics

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, LINKS = "sys_user_group", "sc_cat_item", "sc_cat_item_category"
DESK, LAPTOP = node(GROUP, 1, name="Desk"), node(ITEM, 2, name="Laptop")
GRAPH = {GROUP: ([DESK], []), ITEM: ([LAPTOP], [edge(LAPTOP, DESK.id)])}


async def test_unchanged_links_stay_when_only_a_parent_changed(case: Case) -> None:
    """R17: link rows outside the window of what changed must not empty what they link to."""
    await case.store_credentials()
    await case.sync()
    _, before = await case.read_graph()
    item = case.rows(LINKS)[0]["sc_cat_item"]
    case.simulator.instance.store.put(ITEMS, [{"sys_id": item, "name": "Renamed"}])
    run = await case.sync()
    nodes, edges = await case.read_graph()
    assert (run["changed"], run["removed"]) == (1, 0)
    assert nodes[f"{ITEMS}:{item}"].name == "Renamed"
    assert edges == before


async def test_a_read_that_breaks_in_the_middle_leaves_the_last_revision_and_is_told(case: Case) -> None:
    """R18: page 2 fails: the previous revision stays current, the run fails, the metric says so."""
    await case.store_credentials()
    await case.sync()
    before = await case.read_graph()
    oauth = case.simulator.instance.oauth
    case.simulator.instance.store.delete(GROUPS, case.rows(GROUPS)[0]["sys_id"])

    def break_off() -> None:
        oauth.revoke()
        oauth.client_secret = "another"

    metrics = Metrics(version="test", process="worker")
    breaking = case.when("request.answered", break_off, endpoint="table", table=GROUPS)
    run = await breaking.sync()
    for event in case.events:
        metrics.observe(event)
    assert (run["state"], run["revision"]) == ("failed", None)
    assert await case.read_graph() == before
    failed = {"outcome": "failed", "code": "credentials_rejected"}
    assert metrics.registry.get_sample_value("zaptik_runs_total", failed) == 1


async def test_a_run_that_goes_on_from_the_middle_removes_nothing_it_read_before(case: Case) -> None:
    """R20: resumed from a mid-point, the pages of earlier slices count as read."""
    await case.store_credentials()
    await case.sync()
    gone = case.rows(GROUPS)[30]["sys_id"]
    case.simulator.instance.store.delete(GROUPS, gone)
    run_id = await case.request_run(mode="full")
    slices = 0
    while (await case.read_run(run_id))["state"] == "requested":
        stopping = case.when("request.answered", case.parts.draining.set, endpoint="table", table=GROUPS)
        await stopping.work_slice(run_id)
        case.parts.draining.clear()
        slices += 1
    run = await case.read_run(run_id)
    nodes, _ = await case.read_graph()
    assert slices > 3
    assert verdict_of(run, GROUPS) == ("complete", 0)
    assert {i for i in nodes if i.startswith(GROUPS + ":")} == {
        f"{GROUPS}:{r['sys_id']}" for r in case.rows(GROUPS)
    }


async def test_a_refused_table_takes_nothing_of_its_own_or_of_others_away(case: Case) -> None:
    """R21: 403 in one table must not remove other tables' nodes, nor its own."""
    await case.store_credentials()
    await case.sync()
    before = await case.read_graph()
    case.simulator.instance.access[GROUPS] = Access(denied=True)
    run = await case.sync()
    assert (run["state"], verdict_of(run, GROUPS)) == ("unchanged", ("denied", 0))
    assert await case.read_graph() == before


async def test_a_publication_that_breaks_off_is_invisible(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """R21: a crash between two writes must be invisible to readers."""
    await publish_tables(app, tenant, GRAPH)
    before = await read_lines(app, tenant, 1)
    run = await claim_fresh_run(app, tenant)
    for table in GRAPH:
        await stage_table(app, run, table, [])
    # the last table that publishing writes refuses the row, when nodes and edges have been written
    feed = f"{tenant.schema_name}.feed"
    await admin.execute(f"ALTER TABLE {feed} ADD CONSTRAINT broken CHECK (number < 2)")
    with pytest.raises(DatabaseFailure), translated_errors():
        await publish(app, run, closing=(GROUP, ITEM))
    assert await read_lines(app, tenant, 1) == before
    await admin.execute(f"ALTER TABLE {feed} DROP CONSTRAINT broken")
    assert (await publish(app, run, closing=(GROUP, ITEM))).removed == 3


async def test_tables_that_were_not_read_keep_what_they_have(app: Connection, tenant: Tenant) -> None:
    """R22: crawling a subset of tables must not remove the rest."""
    await publish_tables(app, tenant, GRAPH)
    published = await publish_tables(app, tenant, {GROUP: ([], [])}, closing=(GROUP,))
    assert (published.removed, published.nodes, published.edges) == (1, 1, 1)


async def test_a_late_worker_publishes_nothing_over_a_newer_revision(app: Connection, tenant: Tenant) -> None:
    """R23: refused in the same transaction."""
    late = await claim_fresh_run(app, tenant)
    await stage_table(app, late, GROUP, [DESK])
    assert await yield_run(app, late)
    newer = await claim_run(app, late.run_id, worker="another", lease_seconds=600)
    assert newer is not None
    await publish(app, newer)
    newest = await publish_tables(app, tenant, GRAPH)
    with pytest.raises(LeaseLost):
        await publish(app, late)
    assert len(await read_lines(app, tenant, newest.revision)) == newest.nodes + newest.edges


async def test_a_worker_that_was_paused_finds_its_lease_gone_when_it_publishes(case: Case) -> None:
    """R23: cut off while it read, and another took the run."""
    await case.store_credentials()
    await case.sync()
    before = await case.read_graph()
    case.simulator.instance.store.delete(GROUPS, case.rows(GROUPS)[0]["sys_id"])
    run_id = await case.request_run()
    loop = asyncio.get_running_loop()

    def take() -> None:
        taking = case.admin.execute("UPDATE control.run SET fence = fence + 1 WHERE run_id = %s", [run_id])
        asyncio.run_coroutine_threadsafe(taking, loop).result(timeout=20)

    await case.when("gone.looked_up", take).work_slice(run_id)
    told: Event = case.events[-1]
    assert told.kind.name == "run.fenced"
    assert await case.read_graph() == before


async def test_a_field_that_is_withheld_takes_no_edges_away_and_comes_back_as_it_is(case: Case) -> None:
    """A field ACL leaves a field out with 200: that is no evidence that the reference is empty."""
    await case.sync()
    before = await read_fulfilled(case)
    assert before
    withheld = Access(fields_hidden=frozenset({"group"}))
    for table in (ITEMS, "sc_cat_item_producer"):
        case.simulator.instance.access[table] = withheld
    moved = next(
        row["sys_id"] for row in case.rows(ITEMS) if row["group"] and f"{ITEMS}:{row['sys_id']}" in before
    )
    case.simulator.instance.store.put(ITEMS, [{"sys_id": moved, "group": "", "name": "another"}])
    assert (await case.sync(mode="full"))["state"] == "published"
    assert await read_fulfilled(case) == before
    case.simulator.instance.access.clear()
    await case.sync(mode="full")
    assert await read_fulfilled(case) == before - {f"{ITEMS}:{moved}"}


async def read_fulfilled(case: Case) -> set[str]:
    """Give which items have a group in the graph."""
    _, edges = await case.read_graph()
    return {
        edge.from_id for edge in edges if edge.kind == "FULFILLED_BY" and edge.from_id.startswith(f"{ITEMS}:")
    }
