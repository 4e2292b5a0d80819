"""A revision that would remove too much waits for a person, and the last good one stays in force."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.errors import NotQuarantined, RunLive
from jobs.guard import Guard
from jobs.surface import read_surface
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish,
    publish_tables,
    read_lines,
    read_own,
    stage_table,
)
from tests.integration.slice_case import Case
from worker.command.documents import exit_code_of
from worker.postgres import quarantine
from worker.postgres.connection import Connection
from worker.postgres.publishing import Publication, drop_abandoned
from worker.postgres.runs import claim_quarantined
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio
GUARD = Guard(removed_rows=2, removed_share=0.2)
GROUPS_OF_TEN = [node(GROUP, number, name=f"group {number}") for number in range(10)]
ITEM_OF_ONE = node(ITEM, 11, name="Laptop")
GRAPH = {GROUP: (GROUPS_OF_TEN, []), ITEM: ([ITEM_OF_ONE], [edge(ITEM_OF_ONE, GROUPS_OF_TEN[9].id)])}


async def hold(app: Connection, tenant: Tenant) -> Publication:
    """Publish ten groups and an item, then find seven of the groups."""
    await publish_tables(app, tenant, GRAPH)
    run = await claim_fresh_run(app, tenant)
    for table, (nodes, edges) in {**GRAPH, GROUP: (GROUPS_OF_TEN[:7], [])}.items():
        await stage_table(app, run, table, nodes, edges)
    return await publish(app, run, closing=(GROUP, ITEM), guard=GUARD)


async def accept(app: Connection, tenant: Tenant, revision: int | None = None) -> Publication:
    return await quarantine.accept_revision(
        app, tenant, revision, surface=read_surface(), worker="a person", lease_seconds=60
    )


async def read_states(app: Connection, tenant: Tenant) -> list[tuple[int, str]]:
    return [(row["revision"], row["state"]) for row in await quarantine.read_revisions(app, tenant)]


async def count_staged(admin: Connection, tenant: Tenant) -> dict[str, Any]:
    query = """SELECT (SELECT count(*) FROM {tenant}.staged_page) AS pages,
                      (SELECT count(*) FROM {tenant}.gone) AS gone"""
    [row] = await read_own(admin, query, within=tenant)
    return row


async def read_decisions(admin: Connection, tenant: Tenant) -> list[tuple[str, int]]:
    rows = await read_own(
        admin,
        """SELECT action, (detail -> 'revision')::integer AS revision FROM control.audit_events
           WHERE action LIKE 'revision.%%' AND tenant_ref = %s ORDER BY audit_id""",
        tenant.tenant_id,
    )
    return [(row["action"], row["revision"]) for row in rows]


async def test_the_last_good_revision_stays_and_the_counts_of_the_other_are_told(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    held = await hold(app, tenant)
    reason = "3 of 11 nodes of kind made_up would leave"
    assert held == Publication(
        "quarantined", 2, nodes=8, edges=1, added=0, changed=1, removed=3, reason=reason
    )
    assert await read_states(app, tenant) == [(2, "quarantined"), (1, "current")]
    assert len(await read_lines(app, tenant, 1)) == 12
    assert await count_staged(admin, tenant) == {"pages": 2, "gone": 3}
    assert await read_decisions(admin, tenant) == [("revision.quarantined", 2)]
    feed = await read_own(admin, "SELECT revision FROM {tenant}.feed", within=tenant)
    assert [row["revision"] for row in feed] == [1]
    revision = "SELECT revision FROM control.tenant WHERE tenant_id = %s"
    assert await read_own(admin, revision, tenant.tenant_id) == [{"revision": 1}]


async def test_accepting_publishes_it_as_it_was_found(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    held = await hold(app, tenant)
    done = await accept(app, tenant, 2)
    assert (done.outcome, done.removed, done.nodes) == ("published", held.removed, held.nodes)
    assert await read_states(app, tenant) == [(2, "current"), (1, "superseded")]
    assert len(await read_lines(app, tenant, 2)) == 9
    assert len(await read_lines(app, tenant, 1)) == 12
    assert await count_staged(admin, tenant) == {"pages": 0, "gone": 0}
    assert await read_decisions(admin, tenant) == [("revision.quarantined", 2), ("revision.accepted", 2)]
    feed = await read_own(admin, "SELECT number, revision, removed FROM {tenant}.feed", within=tenant)
    assert feed[1:] == [{"number": 2, "revision": 2, "removed": 3}]
    digests = {row["digest"] for row in await quarantine.read_revisions(app, tenant)}
    assert len(digests) == 2
    with pytest.raises(NotQuarantined):
        await accept(app, tenant, 2)


async def test_rejecting_drops_it_and_the_next_run_looks_again(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await hold(app, tenant)
    with pytest.raises(NotQuarantined, match="Revision 1"):
        await quarantine.reject_revision(app, tenant, 1)
    assert await quarantine.reject_revision(app, tenant, None) == 2
    assert await read_states(app, tenant) == [(2, "rejected"), (1, "current")]
    assert await count_staged(admin, tenant) == {"pages": 0, "gone": 0}
    assert await read_decisions(admin, tenant) == [("revision.quarantined", 2), ("revision.rejected", 2)]
    again = await publish_tables(app, tenant, {**GRAPH, GROUP: (GROUPS_OF_TEN[:9], [])})
    assert (again.outcome, again.revision, again.removed) == ("published", 3, 1)


async def test_a_newer_run_supersedes_it_when_it_ends_and_not_before(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await hold(app, tenant)
    run = await claim_fresh_run(app, tenant)
    await drop_abandoned(app, run)
    assert await count_staged(admin, tenant) == {"pages": 2, "gone": 3}
    with pytest.raises(RunLive):
        await accept(app, tenant)
    for table, (nodes, edges) in GRAPH.items():
        await stage_table(app, run, table, nodes, edges)
    assert (await publish(app, run, closing=(GROUP, ITEM), guard=GUARD)).outcome == "unchanged"
    assert await read_states(app, tenant) == [(2, "superseded"), (1, "current")]
    with pytest.raises(NotQuarantined):
        await accept(app, tenant)
    await drop_abandoned(app, await claim_fresh_run(app, tenant))
    assert await count_staged(admin, tenant) == {"pages": 0, "gone": 0}


async def test_a_worker_that_takes_an_accepted_run_over_holds_it_again(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """Whoever accepted it died before it was published: it waits as before."""
    await hold(app, tenant)
    [held] = await read_own(admin, "SELECT run_id FROM {tenant}.revision WHERE revision = 2", within=tenant)
    run = await claim_quarantined(app, held["run_id"], worker="another", lease_seconds=60)
    assert run is not None
    again = await publish(app, run, closing=(GROUP, ITEM), guard=GUARD)
    assert (again.outcome, again.revision) == ("quarantined", 2)
    assert (await accept(app, tenant)).outcome == "published"


async def test_a_table_emptied_on_the_instance_waits_and_is_told(case: Case) -> None:
    """R24: a table that had rows and is complete with none."""
    await case.store_credentials()
    await case.sync()
    before = await case.read_graph()
    for row in case.rows("sc_catalog"):
        case.simulator.instance.store.delete("sc_catalog", row["sys_id"])
    run = await case.sync()
    assert (run["state"], run["revision"]) == ("quarantined", 2)
    assert run["removed"] > 0
    assert exit_code_of({**run, "tables": []}) == 3
    assert await case.read_graph() == before
    assert "sc_catalog had rows and is complete with none" in case.fields("revision.quarantined")["reason"]
    await accept(case.app, case.tenant)
    nodes, edges = await case.read_graph()
    assert not [node_id for node_id in nodes if node_id.startswith("sc_catalog:")]
    assert "deleted" in {line.state for line in edges if line.to_id.startswith("sc_catalog:")}
    assert (await case.read_run(run["run_id"]))["state"] == "published"
