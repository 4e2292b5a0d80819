"""What an instance asked for holds for every slice, worker and run of its tenant; and no wait outlasts the process."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any
from uuid import UUID

import pytest

from jobs.pace import Pace, RateWindow
from ops.local.processes import wait_until
from ops.simulator import Fault
from tests.integration.slice_case import Case
from worker.postgres.pace import keep_pace, read_pace
from worker.servicenow import TokenStore

pytestmark = pytest.mark.anyio
GROUPS = "sys_user_group"
LONG_SECONDS = 90  # longer than a fetch waits for


def elsewhere(case: Case) -> Case:
    """Give the case with the parts of another worker, which shares nothing but the database."""
    return dataclasses.replace(case, parts=dataclasses.replace(case.parts, tokens=TokenStore()))


async def waits_seconds(case: Case, run_id: UUID) -> float:
    """Give how long a run waits before it may be claimed, by the database's clock."""
    cursor = await case.admin.execute(
        "SELECT extract(epoch FROM not_before - clock_timestamp()) AS waits FROM control.run WHERE run_id = %s",
        [run_id],
    )
    row = await cursor.fetchone()
    assert row is not None
    return float(row["waits"])


async def let_claim(case: Case, run_id: UUID) -> None:
    await case.admin.execute(
        "UPDATE control.run SET not_before = clock_timestamp() WHERE run_id = %s", [run_id]
    )


async def stored(case: Case) -> Pace:
    return await read_pace(case.app, case.tenant.tenant_id)


async def test_a_retry_after_is_kept_by_every_slice_after_it_on_any_worker(case: Case) -> None:
    """R15: slice 1 is told to wait; whoever claims the run next asks nothing before, and waits for what is left."""
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="throttled", retry_after=str(LONG_SECONDS), table=GROUPS))
    run_id = await case.request_run()
    await case.work_slice(run_id, instance_concurrency=1)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("requested", "instance_throttled")
    assert LONG_SECONDS - 5 < await waits_seconds(case, run_id) <= LONG_SECONDS + 1
    assert LONG_SECONDS - 5 < (await stored(case)).cooldown_seconds <= LONG_SECONDS
    await elsewhere(case).work_slice(run_id)  # the run is not to be had yet
    asked = len(case.simulator.requests)
    await let_claim(case, run_id)
    await elsewhere(case).work_slice(run_id)
    assert len(case.simulator.requests) == asked
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("requested", "instance_throttled")
    assert LONG_SECONDS - 10 < await waits_seconds(case, run_id) <= LONG_SECONDS + 1


async def test_a_pause_is_known_to_others_while_the_slice_still_waits(case: Case) -> None:
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="throttled", retry_after="30", table=GROUPS))
    run_id = await case.request_run()
    working = asyncio.create_task(case.work_slice(run_id, instance_concurrency=1))
    while not (await stored(case)).cooldown_seconds:
        assert not working.done()
        await asyncio.sleep(0.01)
    assert 20 < (await stored(case)).cooldown_seconds <= 30
    case.parts.draining.set()
    await working


async def test_a_wait_for_the_instance_ends_when_the_process_stops(case: Case) -> None:
    """The slice gives its run back, to go on elsewhere; it is no failed attempt."""
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="throttled", retry_after="55", table=GROUPS))
    run_id = await case.request_run()
    working = asyncio.create_task(case.work_slice(run_id, instance_concurrency=1))
    failed = lambda: any(event.kind.name == "throttle.waited" for event in case.events)  # noqa: E731
    await asyncio.to_thread(wait_until, failed, deadline_seconds=30)
    case.parts.draining.set()
    async with asyncio.timeout(20):  # and not 55
        await working
    await case.check_given_back(run_id)


async def test_a_slow_instance_keeps_no_process_from_stopping_in_time(case: Case) -> None:
    """Each table would ask once more before it pauses, and they wait in line: the slice ends at half the time."""
    await case.store_credentials()
    run_id = await case.request_run()
    working = asyncio.create_task(case.work_slice(run_id, drain_seconds=6.0, instance_concurrency=1))
    begun = lambda: "canaries.checked" in case.names()  # noqa: E731
    await asyncio.to_thread(wait_until, begun, deadline_seconds=30)
    case.simulator.instance.latency_seconds = 1.0
    case.parts.draining.set()
    async with asyncio.timeout(6):  # and not a second for each table
        await working
    await case.check_given_back(run_id)
    case.simulator.instance.latency_seconds = 0.0
    case.parts.draining.clear()
    await case.work_slice(run_id)
    assert (await case.read_run(run_id))["state"] == "published"


async def test_an_instance_that_asks_for_nothing_leaves_nothing(case: Case) -> None:
    await case.sync()
    cursor = await case.admin.execute(
        "SELECT count(*) AS kept FROM control.instance_pace WHERE tenant_id = %s", [case.tenant.tenant_id]
    )
    assert await cursor.fetchone() == {"kept": 0}


async def test_the_hour_and_smaller_pages_are_left_to_the_next_run(case: Case) -> None:
    case.simulator.instance.set_faults(
        Fault(kind="rate_told", times=0, limit=10_000), Fault(kind="cancelled", table=GROUPS, first=2)
    )
    run = await case.sync(page_rows=400, instance_concurrency=4)
    pace = await stored(case)
    assert pace.window is not None
    asked = run["requests"] - 1  # the token is none of the API's
    assert (pace.window.limit_requests, pace.window.used_requests) == (10_000, asked)
    assert pace.at_once is not None
    assert 1 <= pace.at_once <= 4
    assert pace.page_rows.get(GROUPS, 0) < 400
    again = await elsewhere(case).sync(page_rows=400)
    window = (await stored(case)).window
    assert window is not None
    assert window.used_requests == asked + again["requests"] - 1


async def test_of_two_readers_of_one_hour_the_requests_of_both_count(case: Case) -> None:
    tenant_id = case.tenant.tenant_id

    def pace(used: int, ends: float, **more: Any) -> Pace:
        return Pace(window=RateWindow(100, used, ends), at_once=4, **more)

    await keep_pace(case.app, tenant_id, pace(10, 900), more_requests=10)
    # It began before the first had kept.
    await keep_pace(case.app, tenant_id, pace(13, 900), more_requests=13)
    window = (await stored(case)).window
    assert window is not None
    assert window.used_requests == 23
    await keep_pace(case.app, tenant_id, pace(2, 3_600), more_requests=2)
    window = (await stored(case)).window
    assert window is not None
    assert window.used_requests == 2  # a new hour


async def test_a_pause_is_never_cut_short_and_an_old_size_is_forgotten(case: Case) -> None:
    tenant_id = case.tenant.tenant_id
    small = Pace(cooldown_seconds=500, at_once=1, page_rows={GROUPS: 50})
    await keep_pace(case.app, tenant_id, small, more_requests=0)
    await keep_pace(case.app, tenant_id, dataclasses.replace(small, cooldown_seconds=1), more_requests=0)
    pace = await stored(case)
    assert 490 < pace.cooldown_seconds <= 500
    assert (pace.at_once, pace.page_rows) == (1, {GROUPS: 50})
    await case.admin.execute(
        "UPDATE control.instance_pace SET updated_at = now() - interval '2 hours' WHERE tenant_id = %s",
        [tenant_id],
    )
    pace = await stored(case)
    assert 490 < pace.cooldown_seconds <= 500
    assert (pace.at_once, pace.page_rows) == (None, {})
