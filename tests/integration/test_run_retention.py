"""Rows of runs go ninety days after their end, with the requests that became them; what is still asked about stays."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from jobs.guard import Guard
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    GROUP,
    claim_fresh_run,
    node,
    publish,
    publish_tables,
    read_own,
    stage_table,
)
from worker.postgres.audit_retention import read_overdue_seconds
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.retention import Keeping, let_go
from worker.postgres.runs import cancel_run, request_sync
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio
KEEPING = Keeping("this test", 365, 90)


async def end_runs(app: Connection, tenant: Tenant, count: int) -> list[str]:
    """Ask for runs and cancel each, so that there are as many that ended; gives their ids."""
    ids = []
    for _ in range(count):
        run = await claim_fresh_run(app, tenant)
        await cancel_run(app, run.run_id)
        ids.append(str(run.run_id))
    return ids


async def age_runs(admin: Connection, runs: list[str], age: str) -> None:
    await admin.execute(
        """UPDATE control.run SET ended_at = clock_timestamp() - %(age)s::interval,
               requested_at = clock_timestamp() - %(age)s::interval - interval '1 hour'
           WHERE run_id = ANY (%(runs)s::uuid[])""",
        {"age": age, "runs": runs},
    )


async def read_ids(admin: Connection, tenant: Tenant) -> list[str]:
    rows = await read_own(
        admin, "SELECT run_id FROM control.run WHERE tenant_id = %s ORDER BY requested_at", tenant.tenant_id
    )
    return [str(row["run_id"]) for row in rows]


async def test_a_run_goes_ninety_days_after_its_end_and_not_an_hour_before(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    old, young, newest = await end_runs(app, tenant, 3)
    await age_runs(admin, [old], "90 days 1 minute")
    await age_runs(admin, [young], "89 days 23 hours")
    _, gone = await let_go(app, tenant, KEEPING)
    assert (gone.runs, gone.requests) == (1, 1)
    assert await read_ids(admin, tenant) == [young, newest]
    requests = await read_own(
        admin, "SELECT run_id FROM control.sync_request WHERE tenant_id = %s ORDER BY 1", tenant.tenant_id
    )
    assert {str(row["run_id"]) for row in requests} == {young, newest}
    [event] = await read_own(
        admin, "SELECT detail FROM control.audit_events WHERE action = 'retention.run' AND tenant_ref = %s",
        tenant.tenant_id,
    )  # fmt: skip
    assert (event["detail"]["runs"], event["detail"]["requests"]) == (1, 1)
    assert (await let_go(app, tenant, Keeping("this test", 365, 89 + 1)))[1].runs == 0


async def test_what_is_still_asked_about_stays_however_old(
    app: Connection, admin: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """The newest; the newest that came to a graph; one whose revision waits for a person; one that lives."""
    other = await add_fresh_tenant()
    strangers = await end_runs(app, other, 2)
    groups = [node(GROUP, number) for number in range(10)]
    await publish_tables(app, tenant, {GROUP: (groups, [])})
    [published] = await read_ids(admin, tenant)
    held = await claim_fresh_run(app, tenant)
    await stage_table(app, held, GROUP, groups[:5])
    await publish(app, held, closing=(GROUP,), guard=Guard(removed_rows=2, removed_share=0.2))
    old, newest = await end_runs(app, tenant, 2)
    for days, run in enumerate([newest, old, str(held.run_id), published, *reversed(strangers)], 4000):
        await age_runs(admin, [run], f"{days} days")
    assert (await let_go(app, tenant, KEEPING))[1].runs == 1
    assert await read_ids(admin, tenant) == [published, str(held.run_id), newest]
    live = await claim_fresh_run(app, tenant)
    await let_go(app, tenant, KEEPING)
    assert await read_ids(admin, tenant) == [published, str(held.run_id), str(live.run_id)]
    assert await read_ids(admin, other) == strangers, "each tenant has a turn of its own"


async def test_a_request_that_waits_stays(app: Connection, admin: Connection, tenant: Tenant) -> None:
    request = await request_sync(app, tenant.name, mode="delta")
    await admin.execute(
        "UPDATE control.sync_request SET requested_at = requested_at - interval '400 days' WHERE request_id = %s",
        [request],
    )
    assert (await let_go(app, tenant, KEEPING))[1].requests == 0
    [row] = await read_own(admin, "SELECT run_id FROM control.sync_request WHERE request_id = %s", request)
    assert row["run_id"] is None


async def test_the_app_lets_no_run_go_that_is_younger_than_promised(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    for days in (89, 0, -1, None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="90 days at least"):
            await app.execute("SELECT control.forget_runs(%s, %s, 10)", [tenant.tenant_id, days])
    for statement in ("DELETE FROM control.run", "DELETE FROM control.sync_request"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute(statement.encode())
    other = await add_fresh_tenant()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="another tenant"):
        async with in_tenant_rows(app, tenant.tenant_id):
            await app.execute("SELECT control.forget_runs(%s, 90, 10)", [other.tenant_id])


async def test_a_tenant_whose_turn_did_not_come_is_overdue_a_day_after(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    assert (await let_go(app, tenant, KEEPING))[0] == "done"
    done = "SELECT done_at FROM control.retention WHERE tenant_id = %s"
    [row] = await read_own(admin, done, tenant.tenant_id)
    assert abs((datetime.now(UTC) - row["done_at"]).total_seconds()) < 60
    before = (await read_overdue_seconds(app, 24))["tenants"]
    assert before == 0
    async with admin.transaction(force_rollback=True):
        await admin.execute(
            "UPDATE control.retention SET done_at = done_at - interval '3 days' WHERE tenant_id = %s",
            [tenant.tenant_id],
        )
        [overdue] = await read_own(admin, "SELECT control.read_retention_overdue() AS seconds")
    assert 2 * 86400 - 60 < overdue["seconds"] < 2 * 86400 + 60
