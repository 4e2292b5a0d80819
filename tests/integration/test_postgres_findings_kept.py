"""When findings are computed, how certain they are, and that those of every revision are kept."""

from __future__ import annotations

import psycopg
import pytest

from jobs.guard import Guard
from tests.integration.conftest import AddTenant
from tests.integration.findings_steps import (
    GROUP,
    ITEM,
    PLAN,
    RULE,
    SURFACE,
    find,
    link,
    make,
    run_once,
)
from tests.integration.postgres_steps import read_own
from worker.postgres import quarantine
from worker.postgres.connection import Connection
from worker.postgres.findings import read_findings
from worker.postgres.tenants import Tenant, add_tenant, change_state

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("verdict", ["partial", "hidden", "denied", "failed", "unknown"])
async def test_a_finding_on_a_table_that_was_not_read_whole_says_that_it_cannot_know(
    app: Connection, tenant: Tenant, verdict: str
) -> None:
    [found] = await find(app, tenant, [make(ITEM, 11)], verdicts={PLAN: verdict, RULE: verdict})
    assert not found.certain
    assert found.detail["cannot_know"] == f"cannot know: {PLAN} is {verdict}, {RULE} is {verdict}"


async def test_a_table_that_was_not_read_leaves_it_open_and_one_that_is_not_there_does_not(
    app: Connection, add_fresh_tenant: AddTenant
) -> None:
    [open_one] = await find(app, await add_fresh_tenant(), [make(ITEM, 11)], without=[PLAN])
    assert open_one.detail["cannot_know"] == f"cannot know: {PLAN} is not read"
    [found] = await find(app, await add_fresh_tenant(), [make(ITEM, 11)], verdicts={PLAN: "absent"})
    assert found.certain


async def test_every_revisions_findings_are_kept_and_what_stays_is_not_written_again(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    group, item, other = make(GROUP, 1), make(ITEM, 11), make(ITEM, 12)
    read = [(await run_once(app, tenant, [group, item, other], [])).revision]
    before = await read_own(
        admin, "SELECT node_id, xmin::text, ctid::text FROM {tenant}.finding", within=tenant
    )
    read.append(
        (await run_once(app, tenant, [group, item, other], [link("FULFILLED_BY", other, group)])).revision
    )
    after = await read_own(
        admin, "SELECT node_id, xmin::text, ctid::text FROM {tenant}.finding", within=tenant
    )
    assert [row for row in before if row["node_id"] == item.id] == after
    assert read == [1, 2]
    for revision, nodes in ((1, [item.id, other.id]), (2, [item.id])):
        assert [one.node_id for one in (await read_findings(app, tenant, revision))[1]] == nodes
        rows = await read_own(
            admin, "SELECT node_id FROM {tenant}.graph_v1_findings_at(%s) ORDER BY 1", revision, within=tenant
        )
        assert [row["node_id"] for row in rows] == nodes
    [shown] = await read_own(admin, "SELECT * FROM {tenant}.graph_v1_findings", within=tenant)
    assert shown["finding"] == "item_without_route"


async def test_a_run_that_finds_nothing_new_computes_nothing_unless_a_verdict_did(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """Same graph: only the verdicts say how certain a finding is, and they are those of the newest run."""
    item = make(ITEM, 11)
    await run_once(app, tenant, [item])
    await admin.execute(f"DELETE FROM {tenant.schema_name}.finding")  # noqa: S608
    assert (await run_once(app, tenant, [item])).outcome == "unchanged"
    assert (await read_findings(app, tenant, None))[1] == []
    assert (await run_once(app, tenant, [item], verdicts={PLAN: "denied"})).outcome == "unchanged"
    revision, [found] = await read_findings(app, tenant, None)
    assert (revision, found.certain) == (1, False)
    assert (await run_once(app, tenant, [item])).outcome == "unchanged"
    assert [one.certain for one in (await read_findings(app, tenant, None))[1]] == [True]
    assert await read_own(admin, "SELECT * FROM {tenant}.finding_history", within=tenant) == []


async def test_other_rules_are_applied_to_a_tenant_whose_graph_stays_as_it_is(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    rows, name = [make(ITEM, 11)], tenant.schema_name
    await run_once(app, tenant, rows, [])
    _, before = await read_findings(app, tenant, None)
    assert before
    # As rules would have left it that did not know this one.
    await admin.execute(f"DELETE FROM {name}.finding")  # noqa: S608  our own name
    assert (await run_once(app, tenant, rows, [])).outcome == "unchanged"
    assert await read_findings(app, tenant, None) == (1, [])
    earlier = f"UPDATE {name}.finding_basis SET verdict = 'of an earlier release' WHERE table_name = '#rules'"  # noqa: S608  our own name
    assert (await admin.execute(earlier)).rowcount == 1
    assert (await run_once(app, tenant, rows, [])).outcome == "unchanged"
    assert await read_findings(app, tenant, None) == (1, before)


async def test_the_findings_of_a_quarantined_revision_come_when_it_is_accepted(
    app: Connection, tenant: Tenant
) -> None:
    groups, item = [make(GROUP, number) for number in range(1, 11)], make(ITEM, 11)
    edges = [link("FULFILLED_BY", item, groups[-1])]
    await run_once(app, tenant, [*groups, item], edges)
    held = await run_once(
        app, tenant, [*groups[:5], item], edges, guard=Guard(removed_rows=2, removed_share=0.2)
    )
    assert held.outcome == "quarantined"
    assert (await read_findings(app, tenant, None))[1] == []
    await quarantine.accept_revision(app, tenant, None, surface=SURFACE, worker="a person", lease_seconds=60)
    revision, [found] = await read_findings(app, tenant, None)
    assert (revision, found.finding, found.node_id) == (2, "route_to_missing_group", item.id)


async def test_two_tenants_with_the_same_records_in_another_order_have_the_same_findings(
    app: Connection, add_fresh_tenant: AddTenant
) -> None:
    groups = [make(GROUP, number, active="false") for number in range(1, 6)]
    items = [make(ITEM, number) for number in range(11, 18)]
    edges = [link("FULFILLED_BY", items[n % 5], groups[n % 3], field=f"f{n}") for n in range(12)]
    edges += [link("CHILD_OF", groups[n], groups[(n + 1) % 5], field="parent") for n in range(5)]
    first = await find(app, await add_fresh_tenant(), [*groups, *items], edges)
    second = await find(app, await add_fresh_tenant(), [*items[::-1], *groups[::-1]], edges[::-1])
    assert first == second
    assert len({one.finding for one in first}) == 3


async def test_a_tenants_reader_sees_the_findings_and_changes_none(
    app: Connection, admin: Connection
) -> None:
    tenant = await add_tenant(admin, "finders", url="https://finders.service-now.com", every_seconds=3600)
    await change_state(app, tenant.tenant_id, "active", reason=None)
    await run_once(app, tenant, [make(ITEM, 11)])
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE reader_finders")
        for source in ("graph_v1_findings", "graph_v1_findings_at(1)"):
            found = await read_own(admin, f"SELECT node_id FROM {{tenant}}.{source}", within=tenant)  # noqa: S608
            assert found == [{"node_id": make(ITEM, 11).id}]
        with pytest.raises(psycopg.errors.NoDataFound, match="no published revision 2"):
            await read_own(admin, "SELECT node_id FROM {tenant}.graph_v1_findings_at(2)", within=tenant)
        raise psycopg.Rollback
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE reader_finders")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await admin.execute("DELETE FROM tenant_finders.finding")
        raise psycopg.Rollback
    await change_state(app, tenant.tenant_id, "paused", reason="done with")
