"""A run's moves are constraints; cancelling, slices that come no further, and the instance's breaker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from jobs.errors import CredentialsRejected, Failure, InstanceSlow, InstanceThrottled, InstanceUnreachable
from jobs.retry import Fate
from tests.conftest import Deployment
from tests.integration.postgres_steps import (
    GROUP,
    bare_tenants,
    claim_fresh_run,
    node,
    publish,
    publish_tables,
    read_own,
)
from worker.fleet.scheduler import read_figures
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.reading import read_fleet
from worker.postgres.runs import (
    ClaimedRun,
    EndedSlice,
    Unfinished,
    cancel_run,
    claim_run,
    plan_round,
    release_failed,
    renew_lease,
    request_sync,
    yield_run,
)
from worker.postgres.tenants import Tenant
from worker.postgres.waking import listen

pytestmark = pytest.mark.anyio

STATES = ("requested", "running", "published", "unchanged", "quarantined", "failed", "cancelled")
MOVES = {
    ("requested", "running"), ("requested", "cancelled"),
    ("running", "requested"), ("running", "published"), ("running", "unchanged"), ("running", "quarantined"),
    ("running", "failed"), ("running", "cancelled"),
    ("quarantined", "running"),
}  # fmt: skip
SET = """UPDATE control.run SET state = %s, fence = fence + %s, revision = 1,
         lease_until = CASE WHEN %s = 'running' THEN now() END,
         ended_at = CASE WHEN %s NOT IN ('requested', 'running') THEN now() END WHERE run_id = %s"""


async def move(admin: Connection, run: ClaimedRun, state: str, *, fence: int = 1) -> None:
    await admin.execute(SET, [state, fence, state, state, run.run_id])


async def lay(admin: Connection, run: ClaimedRun, state: str) -> None:
    """Put a run into a state whatever it was in."""
    await admin.execute("SET LOCAL session_replication_role = replica")
    await move(admin, run, state)
    await admin.execute("SET LOCAL session_replication_role = origin")


async def read_state(admin: Connection, run: ClaimedRun) -> dict[str, Any]:
    [row] = await read_own(
        admin,
        """SELECT state, attempt, worker, error ->> 'code' AS code, not_before > now() + interval '30 s' AS waits
           FROM control.run WHERE run_id = %s""",
        run.run_id,
    )
    return row


async def claim_again(app: Connection, admin: Connection, run: ClaimedRun) -> ClaimedRun:
    await admin.execute("UPDATE control.run SET not_before = now() WHERE run_id = %s", [run.run_id])
    again = await claim_run(app, run.run_id, worker="another worker", lease_seconds=600)
    assert again is not None
    return again


async def test_only_the_drawn_moves_are_possible(admin: Connection, app: Connection, tenant: Tenant) -> None:
    run = await claim_fresh_run(app, tenant)
    possible = set()
    for before, after in itertools.permutations(STATES, 2):
        async with admin.transaction(force_rollback=True):
            await lay(admin, run, before)
            try:
                async with admin.transaction():
                    await move(admin, run, after)
            except psycopg.errors.CheckViolation as refused:
                assert "cannot go from" in str(refused)  # noqa: PT017  which of two is the question
            else:
                possible.add((before, after))
    assert possible == MOVES


@pytest.mark.parametrize(
    "step",
    [
        ("requested", "running", 0),
        ("running", "cancelled", 0),
        ("quarantined", "running", 0),
        ("running", "running", -1),
    ],
)
async def test_no_move_goes_without_its_fence(
    step: tuple[str, str, int], admin: Connection, app: Connection, tenant: Tenant
) -> None:
    before, after, fence = step
    run = await claim_fresh_run(app, tenant)
    async with admin.transaction(force_rollback=True):
        await lay(admin, run, before)
        with pytest.raises(psycopg.errors.CheckViolation, match="fence"):
            await move(admin, run, after, fence=fence)


async def test_a_cancelled_run_is_over_and_its_worker_writes_nothing_more(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    assert await cancel_run(app, run.run_id) == "running"
    assert (await read_state(admin, run))["state"] == "cancelled"
    assert not await renew_lease(app, run, lease_seconds=600)
    assert not await yield_run(app, run)
    with pytest.raises(Failure) as lost:
        await publish(app, run)
    assert lost.value.code == "lease_lost"
    rows = await read_own(
        admin, "SELECT detail ->> 'outcome' AS o FROM control.audit_events WHERE run_id = %s AND action = 'run.ended'",
        run.run_id,
    )  # fmt: skip
    assert rows == [{"o": "cancelled"}]
    assert (await claim_fresh_run(app, tenant)).run_id != run.run_id


async def test_a_run_that_waits_is_cancelled_and_one_that_ended_stays_as_it_is(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    assert await yield_run(app, run)
    assert await cancel_run(app, run.run_id) == "requested"
    assert await cancel_run(app, run.run_id) == "cancelled"
    ended = await claim_fresh_run(app, tenant)
    assert (await publish(app, ended)).outcome == "published"
    assert await cancel_run(app, ended.run_id) == "published"
    assert (await read_state(admin, ended))["state"] == "published"
    assert await cancel_run(app, uuid4()) is None


@pytest.mark.parametrize(
    ("ending", "attempt"),
    [("yielded", 1), ("stalled", 3), ("handed_over", 2)],
    ids=["with progress", "without", "without, since its process stops"],
)
async def test_only_progress_begins_the_attempts_anew(
    ending: Unfinished, attempt: int, admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    await release_failed(app, run, fate_of(InstanceThrottled("later")))
    run = await claim_again(app, admin, run)
    assert run.attempt == 2
    assert await yield_run(app, run, ending)
    assert (await claim_again(app, admin, run)).attempt == attempt


def fate_of(failure: Failure) -> Fate:
    return Fate("retried", 0.0, failure.document(), failure.blames_instance)


async def fail_slices(
    app: Connection, admin: Connection, run: ClaimedRun, failure: Failure, *, times: int
) -> tuple[ClaimedRun, list[EndedSlice]]:
    ended = []
    for _ in range(times):
        ended.append(await release_failed(app, run, fate_of(failure)))
        run = await claim_again(app, admin, run)
    return run, ended


async def read_breaker(app: Connection, tenant: Tenant) -> str:
    [mine] = [row for row in await read_fleet(app) if row["tenant_id"] == tenant.tenant_id]
    return str(mine["breaker"])


async def test_an_instance_that_does_not_answer_is_left_alone_longer_and_longer(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run, ended = await fail_slices(
        app, admin, await claim_fresh_run(app, tenant), InstanceUnreachable("no answer"), times=10
    )
    assert [slice_.opened_seconds for slice_ in ended] == [
        None,
        None,
        60,
        120,
        240,
        480,
        960,
        1920,
        3600,
        3600,
    ]
    assert await read_breaker(app, tenant) == "open"
    await release_failed(app, run, fate_of(InstanceSlow("too slow")))
    assert (await read_state(admin, run))["waits"]
    assert await claim_run(app, run.run_id, worker="x", lease_seconds=60) is None


async def test_a_due_tenants_run_waits_for_the_breaker_and_is_its_one_probe(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run, _ = await fail_slices(
        app, admin, await claim_fresh_run(app, tenant), InstanceUnreachable("no"), times=3
    )
    assert await cancel_run(app, run.run_id) == "running"
    await admin.execute(
        "UPDATE control.tenant SET next_due_at = now() - interval '1 day' WHERE tenant_id = %s",
        [tenant.tenant_id],
    )
    await plan_round(app, max_attempts=5, again_after_seconds=600)
    [due] = await read_own(
        admin,
        """SELECT run_id, not_before > now() + interval '30 s' AS waits FROM control.run
           WHERE tenant_id = %s AND state = 'requested'""",
        tenant.tenant_id,
    )
    assert due["waits"]
    await admin.execute(
        "UPDATE control.instance_breaker SET open_until = now() WHERE tenant_id = %s", [tenant.tenant_id]
    )
    assert await read_breaker(app, tenant) == "half_open"
    await admin.execute("UPDATE control.run SET not_before = now() WHERE run_id = %s", [due["run_id"]])
    probe = await claim_run(app, due["run_id"], worker="the probe", lease_seconds=60)
    assert probe is not None
    assert (await release_failed(app, probe, fate_of(InstanceSlow("still")))).opened_seconds == 120
    assert await read_breaker(app, tenant) == "open"


@pytest.mark.parametrize("ending", ["yields with progress", "publishes"])
async def test_an_instance_that_answers_needs_no_breaker(
    ending: str, admin: Connection, app: Connection, tenant: Tenant
) -> None:
    run, _ = await fail_slices(app, admin, await claim_fresh_run(app, tenant), InstanceSlow("slow"), times=3)
    await (yield_run(app, run) if ending.startswith("yields") else publish(app, run))
    assert await read_breaker(app, tenant) == "closed"
    assert (
        await read_own(admin, "SELECT FROM control.instance_breaker WHERE tenant_id = %s", tenant.tenant_id)
        == []
    )


@pytest.mark.parametrize("failure", [InstanceThrottled, CredentialsRejected])
async def test_what_is_not_the_instances_being_away_opens_no_breaker(
    failure: Callable[[str], Failure], admin: Connection, app: Connection, tenant: Tenant
) -> None:
    _, ended = await fail_slices(app, admin, await claim_fresh_run(app, tenant), failure("no"), times=4)
    assert {slice_.opened_seconds for slice_ in ended} == {None}
    assert await read_breaker(app, tenant) == "closed"


async def test_who_holds_a_revision_back_is_seen_in_the_fleet(app: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    [mine] = [row for row in await read_fleet(app) if row["tenant_id"] == tenant.tenant_id]
    assert (mine["last_state"], mine["breaker"]) == ("published", "closed")


async def test_who_could_be_served_now_is_counted_and_who_waits_out_a_breaker_is_not(
    admin: Connection, app: Connection
) -> None:
    """What workers are scaled by: more of them would not serve one whose run may not begin yet."""
    async with bare_tenants(admin, 4, due="2999-01-01") as (due, waiting, later, running):
        before = (await read_figures(app)).waiting
        await admin.execute("UPDATE control.tenant SET next_due_at = now() WHERE tenant_id = %s", [due])
        for tenant_id, delay in ((waiting, 0), (later, 60), (running, 0)):
            await admin.execute(
                """INSERT INTO control.run (tenant_id, mode, reason, not_before)
                   VALUES (%s, 'delta', 'cadence', now() + %s * interval '1 s')""",
                [tenant_id, delay],
            )
        await admin.execute(
            "UPDATE control.run SET state = 'running', fence = 1, lease_until = now() WHERE tenant_id = %s",
            [running],
        )
        assert (await read_figures(app)).waiting == before + 2


async def test_who_asks_for_a_run_wakes_a_scheduler_that_listens(
    deployment: Deployment, app: Connection, tenant: Tenant
) -> None:
    listens, asked = asyncio.Event(), asyncio.Event()

    def wake() -> None:
        (asked if listens.is_set() else listens).set()

    ear = asyncio.create_task(listen(deployment.app_url, wake=wake, is_over=asked.is_set))
    await asyncio.wait_for(listens.wait(), timeout=30)
    await request_sync(app, tenant.name, mode="delta")
    await asyncio.wait_for(ear, timeout=30)


async def test_turns_begin_no_faster_than_they_may(app: Connection, admin: Connection) -> None:
    """The budget holds for ten seconds at most, and what is due stays due."""
    refill = "UPDATE control.start_budget SET starts = 0, filled_at = now() - interval '1 hour'"
    async with bare_tenants(admin, 60, due="-infinity"):
        await admin.execute(refill)
        async with app.transaction():  # the clock that fills it does not stand, but it is slow
            began = await fetch_rows(app, "control", "claim_due_tenants", batch=1000, starts_per_second=0.5)
            again = await fetch_rows(app, "control", "claim_due_tenants", batch=1000, starts_per_second=1e-6)
        await admin.execute(refill)
        assert len(began) == 5
        assert again == []
        rest = await fetch_rows(app, "control", "claim_due_tenants", batch=1000, starts_per_second=1e4)
        assert {row["tenant_id"] for row in began}.isdisjoint(row["tenant_id"] for row in rest)
