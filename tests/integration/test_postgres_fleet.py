"""Schedulers share the fleet without a leader: no turn is missed, none is taken twice, nobody waits for anybody."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.conftest import Deployment
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    bare_tenants,
    claim_fresh_run,
    node,
    publish,
    publish_tables,
    read_own,
)
from worker.postgres.connection import Connection, fetch_rows, open_connection
from worker.postgres.reading import (
    Process,
    count_runs,
    forget_process,
    read_fleet,
    read_processes,
    report_process,
)
from worker.postgres.runs import ClaimedRun, claim_run, plan_round, read_request, request_sync, yield_run
from worker.postgres.tenants import Tenant, change_state

pytestmark = pytest.mark.anyio

LIVE = (
    "SELECT run_id, mode, reason FROM control.run WHERE tenant_id = %s AND state IN ('requested', 'running')"
)


async def fold(app: Connection, *, batch: int = 10_000) -> set[UUID]:
    rows = await fetch_rows(app, "control", "fold_requests", batch=batch)
    return {row["tenant_id"] for row in rows}


async def claim(app: Connection, run_id: UUID) -> ClaimedRun:
    run = await claim_run(app, run_id, worker="a worker", lease_seconds=600)
    assert run is not None
    return run


@pytest.fixture
async def registered(admin: Connection) -> AsyncIterator[list[UUID]]:
    """Sixty due tenants that are rows alone, and gone afterwards: schedulers look at nothing else."""
    async with bare_tenants(admin, 60) as ids:
        yield ids


async def test_two_schedulers_at_once_take_each_due_tenant_once(
    deployment: Deployment, registered: list[UUID]
) -> None:
    async def take() -> list[UUID]:
        taken: list[UUID] = []
        async with open_connection(deployment.app_url, purpose="test scheduler") as app:
            while rows := await fetch_rows(
                app, "control", "claim_due_tenants", batch=7, starts_per_second=1000
            ):
                taken.extend(row["tenant_id"] for row in rows)
        return taken

    taken = Counter(tenant for part in await asyncio.gather(take(), take(), take()) for tenant in part)
    assert {tenant: count for tenant, count in taken.items() if tenant in registered} == dict.fromkeys(
        registered, 1
    )


async def test_schedulers_that_fold_and_claim_the_same_tenants_do_not_block_each_other(
    deployment: Deployment, admin: Connection, registered: list[UUID]
) -> None:
    """A deadlock would be an error of one of them; a lost request one without a run."""

    async def go_round(connection: Connection) -> None:
        await plan_round(connection, max_attempts=5, again_after_seconds=600)

    async with (
        open_connection(deployment.app_url, purpose="test scheduler") as one,
        open_connection(deployment.app_url, purpose="test scheduler") as two,
        open_connection(deployment.app_url, purpose="test scheduler") as three,
    ):
        for _ in range(8):
            await admin.execute("DELETE FROM control.sync_request WHERE tenant_id = ANY (%s)", [registered])
            await admin.execute("DELETE FROM control.run WHERE tenant_id = ANY (%s)", [registered])
            await admin.execute(
                "UPDATE control.tenant SET next_due_at = now() WHERE tenant_id = ANY (%s)", [registered]
            )
            await admin.execute(
                """INSERT INTO control.sync_request (tenant_id, mode)
                   SELECT tenant_id, mode FROM unnest(%s::uuid[]) tenant_id, unnest('{full,delta}'::text[]) mode
                   ORDER BY random()""",
                [registered],
            )
            await asyncio.gather(go_round(one), go_round(two), go_round(three))
            await go_round(one)
            live = await read_own(
                admin, "SELECT tenant_id, mode FROM control.run WHERE tenant_id = ANY (%s)", registered
            )
            assert Counter(row["tenant_id"] for row in live) == dict.fromkeys(registered, 1)
            assert {row["mode"] for row in live} == {"full"}


async def test_what_another_scheduler_holds_is_passed_over_and_not_waited_for(
    app: Connection, admin: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    held = await add_fresh_tenant()
    await app.execute("SET lock_timeout = '5s'")  # waiting is an error
    async with admin.transaction():
        await admin.execute(
            "SELECT FROM control.tenant WHERE tenant_id = %s FOR NO KEY UPDATE", [held.tenant_id]
        )
        rows = await fetch_rows(app, "control", "claim_due_tenants", batch=1000, starts_per_second=1000)
        assert tenant.tenant_id in {row["tenant_id"] for row in rows}
        assert held.tenant_id not in {row["tenant_id"] for row in rows}
    rows = await fetch_rows(app, "control", "claim_due_tenants", batch=1000, starts_per_second=1000)
    assert held.tenant_id in {row["tenant_id"] for row in rows}


async def test_missed_turns_become_one_run_and_the_next_is_a_cadence_away(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await admin.execute(
        "UPDATE control.tenant SET next_due_at = now() - interval '10 h' WHERE tenant_id = %s",
        [tenant.tenant_id],
    )
    planned = await plan_round(app, max_attempts=5, again_after_seconds=600)
    assert [run.run_id for run in (*planned.asked, *planned.due) if run.tenant_id == tenant.tenant_id] == [
        row["run_id"] for row in await read_own(admin, LIVE, tenant.tenant_id)
    ]
    [due] = await read_own(
        admin,
        "SELECT extract(epoch FROM next_due_at - now())::float AS seconds FROM control.tenant WHERE tenant_id = %s",
        tenant.tenant_id,
    )
    assert 0.85 * 3600 < due["seconds"] < 1.1 * 3600
    again = await plan_round(app, max_attempts=5, again_after_seconds=600)
    assert tenant.tenant_id not in {run.tenant_id for run in (*again.asked, *again.due)}


async def test_a_turn_that_comes_while_a_run_lives_makes_no_second_one(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    await plan_round(app, max_attempts=5, again_after_seconds=600)
    assert [row["run_id"] for row in await read_own(admin, LIVE, tenant.tenant_id)] == [run.run_id]


async def test_only_active_tenants_have_turns(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant
) -> None:
    waiting = await add_fresh_tenant(state="awaiting_credentials")
    paused = await add_fresh_tenant(state="paused")
    await plan_round(app, max_attempts=5, again_after_seconds=600)
    for tenant in (waiting, paused):
        assert await read_own(admin, LIVE, tenant.tenant_id) == []
    await change_state(app, paused.tenant_id, "active", reason=None)
    await plan_round(app, max_attempts=5, again_after_seconds=600)
    assert len(await read_own(admin, LIVE, paused.tenant_id)) == 1


async def test_requests_before_a_run_begins_are_one_run_and_full_wins(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    requests = [await request_sync(app, tenant.name, mode=mode) for mode in ("delta", "full", "delta")]
    await fold(app)
    [run] = await read_own(admin, LIVE, tenant.tenant_id)
    assert (run["mode"], run["reason"]) == ("full", "request")
    assert [await read_request(app, tenant.tenant_id, request) for request in requests] == [run["run_id"]] * 3


async def test_a_request_joins_a_run_that_has_not_begun_and_makes_it_full(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await plan_round(app, max_attempts=5, again_after_seconds=600)
    [by_cadence] = await read_own(admin, LIVE, tenant.tenant_id)
    assert (by_cadence["mode"], by_cadence["reason"]) == ("delta", "cadence")
    request = await request_sync(app, tenant.name, mode="full")
    await fold(app)
    [run] = await read_own(admin, LIVE, tenant.tenant_id)
    assert (run["run_id"], run["mode"]) == (by_cadence["run_id"], "full")
    assert await read_request(app, tenant.tenant_id, request) == run["run_id"]


@pytest.mark.parametrize("between_slices", [False, True], ids=["while it runs", "between two slices"])
async def test_requests_during_a_run_make_one_further_run_after_it(
    *, between_slices: bool, app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """What a run has read already may be what the request was about."""
    await publish_tables(app, tenant, {})
    run = await claim_fresh_run(app, tenant, mode="delta")
    if between_slices:
        await yield_run(app, run)
    requests = [await request_sync(app, tenant.name, mode=mode) for mode in ("full", "delta")]
    assert tenant.tenant_id not in await fold(app)
    if between_slices:
        run = await claim(app, run.run_id)
    assert run.mode == "delta"
    await publish(app, run)
    await fold(app)
    [further] = await read_own(admin, LIVE, tenant.tenant_id)
    assert further["mode"] == "full"
    assert [await read_request(app, tenant.tenant_id, request) for request in requests] == [
        further["run_id"]
    ] * 2
    await publish(app, await claim(app, further["run_id"]))
    await fold(app)
    assert await read_own(admin, LIVE, tenant.tenant_id) == []


async def test_requests_that_must_wait_stand_in_nobodys_way(
    app: Connection, add_fresh_tenant: AddTenant
) -> None:
    held, busy, between, free = [await add_fresh_tenant() for _ in range(4)]
    await fold(app)
    await claim_fresh_run(app, busy)
    await yield_run(app, await claim_fresh_run(app, between))
    for tenant in (held, busy, between, free):
        await request_sync(app, tenant.name, mode="delta")
    await change_state(app, held.tenant_id, "paused", reason="waits for a person")
    assert await fold(app, batch=1) == {free.tenant_id}


@pytest.mark.usefixtures("slots")
async def test_a_run_is_rung_for_once_and_again_only_when_nobody_came(
    app: Connection, tenant: Tenant
) -> None:
    planned = await plan_round(app, max_attempts=5, again_after_seconds=600)
    [run_id] = [run.run_id for run in (*planned.asked, *planned.due) if run.tenant_id == tenant.tenant_id]
    assert run_id in planned.to_ring
    assert run_id not in (await plan_round(app, max_attempts=5, again_after_seconds=600)).to_ring
    assert run_id in (await plan_round(app, max_attempts=5, again_after_seconds=0)).to_ring
    run = await claim(app, run_id)
    assert run_id not in (await plan_round(app, max_attempts=5, again_after_seconds=0)).to_ring
    await yield_run(app, run)
    assert run_id in (await plan_round(app, max_attempts=5, again_after_seconds=600)).to_ring


async def test_the_fleet_is_seen_with_its_freshness_and_last_error(app: Connection, tenant: Tenant) -> None:
    async def read_mine() -> dict[str, object]:
        [mine] = [row for row in await read_fleet(app) if row["tenant"] == tenant.name]
        return mine

    before = await read_mine()
    assert (before["state"], before["revision"], before["published_at"]) == ("active", None, None)
    await publish_tables(app, tenant, {"sys_user_group": ([node("sys_user_group", 1)], [])})
    after = await read_mine()
    assert (after["revision"], after["last_error"]) == (1, None)
    assert isinstance(after["staleness_seconds"], float)
    assert set(await count_runs(app)) <= {"requested", "running", "asked"}


async def test_processes_report_themselves_and_are_forgotten(app: Connection) -> None:
    process = Process(uuid.uuid4(), "worker", "a host", 42, "0.0.1", 4)
    await report_process(app, process)
    await report_process(app, process)
    assert [row["pid"] for row in await read_processes(app) if row["process_id"] == process.process_id] == [
        42
    ]
    await forget_process(app, process.process_id)
    assert process.process_id not in {row["process_id"] for row in await read_processes(app)}
