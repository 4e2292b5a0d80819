"""A run is taken by one worker at a time, under a lease with a fence; whoever comes too late writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from jobs.errors import DatabaseAway, InstanceUnreachable, LeaseLost
from jobs.events import TOKEN_FETCHED, Event
from jobs.retry import Fate
from tests.conftest import Deployment
from tests.integration.postgres_steps import (
    COMPLETE,
    GROUP,
    build_staged,
    claim_fresh_run,
    node,
    publish,
    publish_tables,
    read_own,
    stage_table,
)
from worker.postgres.connection import Connection, as_tenant, open_connection
from worker.postgres.publishing import drop_abandoned
from worker.postgres.runs import (
    ClaimedRun,
    claim_run,
    plan_round,
    read_request,
    release_failed,
    renew_lease,
    request_sync,
    yield_run,
)
from worker.postgres.staging import (
    OutOfTurn,
    StagedPage,
    begin_table,
    judge_table,
    read_progress,
    record_alone,
    record_events,
    stage_page,
)
from worker.postgres.tenants import Tenant, change_state

pytestmark = pytest.mark.anyio

RUN = "SELECT state, mode, attempt, fence, error ->> 'code' AS code FROM control.run WHERE run_id = %s"
FATE = Fate("retried", 3600.0, InstanceUnreachable("it did not answer").document())


async def end_lease(admin: Connection, run: ClaimedRun) -> None:
    await admin.execute(
        "UPDATE control.run SET lease_until = now() - interval '1 s' WHERE run_id = %s", [run.run_id]
    )


async def rescue(app: Connection, *, max_attempts: int = 5) -> None:
    await plan_round(app, max_attempts=max_attempts, again_after_seconds=600)


async def claim_again(app: Connection, run: ClaimedRun) -> ClaimedRun | None:
    return await claim_run(app, run.run_id, worker="another worker", lease_seconds=600)


def page(number: int, *, table: str = GROUP) -> StagedPage:
    part = build_staged([node(table, number)])
    return StagedPage(
        table, number, depth=0, cursor=f"{number:032x}", rows=1, requests=1, part=part, base=table, keys=b"[]"
    )


async def test_of_many_workers_that_claim_a_run_at_once_one_gets_it(
    deployment: Deployment, app: Connection, tenant: Tenant
) -> None:
    request = await request_sync(app, tenant.name, mode="delta")
    await rescue(app)
    run_id = await read_request(app, tenant.tenant_id, request)
    assert run_id is not None

    async def claim(worker: str) -> ClaimedRun | None:
        async with open_connection(deployment.app_url, purpose="test claim") as connection:
            return await claim_run(connection, run_id, worker=worker, lease_seconds=600)

    claims = await asyncio.gather(*(claim(f"worker {number}") for number in range(12)))
    [winner] = [claim for claim in claims if claim]
    assert (winner.attempt, winner.fence, winner.tenant) == (1, 1, tenant.name)


async def test_a_run_is_full_while_its_tenant_has_no_revision(app: Connection, tenant: Tenant) -> None:
    first = await claim_fresh_run(app, tenant, mode="delta")
    assert first.mode == "full"
    await publish(app, first)
    assert (await claim_fresh_run(app, tenant, mode="delta")).mode == "delta"


async def test_a_tenant_has_one_live_run_by_the_index(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    await claim_fresh_run(app, tenant)
    with pytest.raises(psycopg.errors.UniqueViolation, match="run_one_live_a_tenant"):
        await admin.execute(
            "INSERT INTO control.run (tenant_id, mode, reason) VALUES (%s, 'full', 'request')",
            [tenant.tenant_id],
        )


@pytest.mark.usefixtures("slots")
async def test_a_held_tenants_run_is_neither_rung_for_nor_claimed(app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    assert await yield_run(app, run)
    await change_state(app, tenant.tenant_id, "paused", reason="waits for a person")
    planned = await plan_round(app, max_attempts=5, again_after_seconds=0)
    assert run.run_id not in planned.to_ring
    assert await claim_again(app, run) is None
    await change_state(app, tenant.tenant_id, "active", reason=None)
    planned = await plan_round(app, max_attempts=5, again_after_seconds=0)
    assert run.run_id in planned.to_ring
    assert await claim_again(app, run) is not None


@pytest.mark.usefixtures("slots")
async def test_a_lease_that_is_renewed_is_kept_and_one_that_ran_out_is_rescued(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    await end_lease(admin, run)
    assert await renew_lease(app, run, lease_seconds=600)
    await rescue(app)
    assert await claim_again(app, run) is None
    await end_lease(admin, run)
    planned = await plan_round(app, max_attempts=5, again_after_seconds=600)
    assert (run.run_id, False) in [(lost.run_id, lost.gave_up) for lost in planned.lost]
    assert run.run_id in planned.to_ring
    assert not await renew_lease(app, run, lease_seconds=600)
    again = await claim_again(app, run)
    assert again is not None
    assert again.attempt == 2
    assert again.fence > run.fence


async def test_a_run_that_kills_its_workers_is_given_up(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    for _ in range(2):
        await end_lease(admin, run)
        await rescue(app, max_attempts=3)
        again = await claim_again(app, run)
        assert again is not None
    await end_lease(admin, run)
    planned = await plan_round(app, max_attempts=3, again_after_seconds=600)
    assert (run.run_id, True) in [(lost.run_id, lost.gave_up) for lost in planned.lost]
    [row] = await read_own(admin, RUN, run.run_id)
    assert (row["state"], row["attempt"], row["code"]) == ("failed", 3, "gave_up")
    assert await claim_again(app, run) is None
    assert (await claim_fresh_run(app, tenant)).run_id != run.run_id


async def test_a_slice_that_yields_begins_its_attempts_anew(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    assert await yield_run(app, run)
    again = await claim_again(app, run)
    assert again is not None
    assert (again.attempt, again.started_at) == (1, run.started_at)
    assert (await read_own(admin, RUN, run.run_id))[0]["state"] == "running"


async def test_a_retried_run_waits_its_time_and_keeps_its_attempts(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    assert (await release_failed(app, run, FATE)).released
    assert await claim_again(app, run) is None
    planned = await plan_round(app, max_attempts=5, again_after_seconds=0)
    assert run.run_id not in planned.to_ring
    await admin.execute("UPDATE control.run SET not_before = now() WHERE run_id = %s", [run.run_id])
    again = await claim_again(app, run)
    assert again is not None
    assert again.attempt == 2


async def test_a_failed_run_says_why_and_is_over(admin: Connection, app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    assert (await release_failed(app, run, Fate("failed", 0.0, FATE.error))).released
    [row] = await read_own(admin, RUN, run.run_id)
    assert (row["state"], row["code"]) == ("failed", "instance_unreachable")
    assert await claim_again(app, run) is None


LATE_ACTS: dict[str, Callable[[Connection, ClaimedRun], Awaitable[object]]] = {
    "begins a table": lambda app, run: begin_table(app, run, table="other", counted=1, requests=1, events=[]),
    "begins a table that the new one has begun": lambda app, run: begin_table(
        app, run, table=GROUP, counted=1, requests=1, events=[]
    ),
    "stages the page that the new one has staged": lambda app, run: stage_page(app, run, page(1), events=[]),
    "stages the next page": lambda app, run: stage_page(app, run, page(2), events=[]),
    "judges a table": lambda app, run: judge_table(
        app, run, table=GROUP, verdict=COMPLETE, requests=0, events=[]
    ),
    "records an event": lambda app, run: record_alone(app, run, requests=1, events=[Event(TOKEN_FETCHED)]),
    "drops what others staged": drop_abandoned,
    "publishes": publish,
}


@pytest.mark.parametrize("act", LATE_ACTS)
async def test_a_late_worker_is_told_and_writes_nothing_when_it(
    act: str, admin: Connection, app: Connection, tenant: Tenant
) -> None:
    late = await claim_fresh_run(app, tenant)
    await end_lease(admin, late)
    await rescue(app)
    newer = await claim_again(app, late)
    assert newer is not None
    await begin_table(app, newer, table=GROUP, counted=2, requests=1, events=[])
    await stage_page(app, newer, page(1), events=[])
    state = """SELECT (SELECT jsonb_agg(t) FROM {tenant}.table_read t) AS reads,
                      (SELECT jsonb_agg(p) FROM {tenant}.staged_page p) AS pages,
                      (SELECT count(*) FROM {tenant}.node) AS nodes,
                      (SELECT count(*) FROM control.audit_events) AS events,
                      (SELECT to_jsonb(r) FROM control.run r WHERE run_id = %s) AS run"""
    before = await read_own(admin, state, late.run_id, within=tenant)
    with pytest.raises(LeaseLost):
        await LATE_ACTS[act](app, late)
    assert await read_own(admin, state, late.run_id, within=tenant) == before


async def test_a_late_worker_neither_renews_nor_releases(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    late = await claim_fresh_run(app, tenant)
    await end_lease(admin, late)
    await rescue(app)
    newer = await claim_again(app, late)
    assert newer is not None
    assert not await renew_lease(app, late, lease_seconds=600)
    assert not await yield_run(app, late)
    assert not (await release_failed(app, late, FATE)).released
    assert await renew_lease(app, newer, lease_seconds=600)


async def test_a_worker_that_lost_count_is_told(app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    await begin_table(app, run, table=GROUP, counted=2, requests=1, events=[])
    await stage_page(app, run, page(1), events=[])
    for number in (1, 3):
        with pytest.raises(OutOfTurn, match=f"Page {number} of"):
            await stage_page(app, run, page(number), events=[])
    with pytest.raises(OutOfTurn, match="begun already"):
        await begin_table(app, run, table=GROUP, counted=2, requests=1, events=[])
    progress = await read_progress(app, run)
    assert (progress[GROUP].pages, progress[GROUP].rows, progress[GROUP].requests) == (1, 1, 2)


async def test_the_next_slice_knows_how_far_the_last_one_came(app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    await begin_table(app, run, table=GROUP, counted=2, requests=1, events=[])
    await stage_page(app, run, page(1), events=[])
    await yield_run(app, run)
    again = await claim_again(app, run)
    assert again is not None
    read = (await read_progress(app, again))[GROUP]
    assert (read.cursor, read.pages, read.counted, read.verdict) == (f"{1:032x}", 1, 2, None)
    await stage_page(app, again, page(2), events=[])
    assert (await publish(app, again)).nodes == 2


async def test_a_worker_stopped_in_mid_transaction_does_not_hold_its_run_back(
    deployment: Deployment, admin: Connection, app: Connection, tenant: Tenant
) -> None:
    """The server ends its transaction, which has the run's row locked, so that the run can be rescued."""
    idle = await read_own(app, "SHOW idle_in_transaction_session_timeout")
    assert idle == [{"idle_in_transaction_session_timeout": "10s"}]
    run = await claim_fresh_run(app, tenant)

    async def stop_in_mid_transaction() -> None:
        async with open_connection(deployment.app_url, purpose="test stopped worker") as stopped:
            await stopped.execute("SET idle_in_transaction_session_timeout = '100ms'")
            async with as_tenant(stopped, tenant.schema_name):
                await record_events(stopped, run, [], requests=1, records=0)
                await end_lease(admin, run)  # waits for the row
                planned = await plan_round(app, max_attempts=5, again_after_seconds=600)
                assert (run.run_id, False) in [(lost.run_id, lost.gave_up) for lost in planned.lost]
                await record_events(stopped, run, [], requests=1, records=0)

    with pytest.raises(DatabaseAway):
        await stop_in_mid_transaction()
    assert await read_own(admin, "SELECT requests FROM control.run WHERE run_id = %s", run.run_id) == [
        {"requests": 0}
    ]


async def test_a_lease_is_renewed_while_a_long_publish_goes_on(
    deployment: Deployment, admin: Connection, app: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, [node(GROUP, 1, name="new")])
    async with open_connection(deployment.app_url, purpose="test renewal") as renewal:
        async with admin.transaction():
            await admin.execute(f"LOCK TABLE {tenant.schema_name}.edge IN ACCESS EXCLUSIVE MODE".encode())
            publishing = asyncio.create_task(publish(app, run))
            while not await read_own(admin, "SELECT FROM pg_locks WHERE NOT granted"):
                assert not publishing.done()
            assert await renew_lease(renewal, run, lease_seconds=600)
        assert (await publishing).revision == 2
