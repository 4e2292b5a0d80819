"""What a slice does when its process stops: nothing new is asked, what was asked is kept, and nobody is waited for."""

from __future__ import annotations

import asyncio
import time

import pytest

from ops.simulator import Fault
from tests.integration.slice_case import Case

pytestmark = pytest.mark.anyio
AT_ONCE = 2


async def test_what_waits_for_its_turn_is_not_asked_when_the_process_stops(case: Case) -> None:
    """Forty tables are begun side by side: all but those under way would be served one after the other."""
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="slow", endpoint="api", seconds=0.2, times=0))
    run_id = await case.request_run()
    asked = []

    def stop() -> None:
        case.parts.draining.set()
        asked.append(len(case.simulator.requests))

    stopping = case.when("request.answered", stop, table="sys_user_group", endpoint="stats")
    await stopping.work_slice(run_id, instance_concurrency=AT_ONCE)
    [before] = asked
    # Those under way, and what was let in while the slice had not yet looked.
    assert len(case.simulator.requests) - before <= 3 * AT_ONCE
    await case.check_given_back(run_id)


async def test_a_slow_answer_is_not_waited_for_longer_than_half_of_the_drain(case: Case) -> None:
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="slow", endpoint="api", seconds=40, table="sys_user_group"))
    run_id = await case.request_run()
    began: list[float] = []

    def stop() -> None:
        case.parts.draining.set()
        began.append(time.monotonic())

    stopping = case.when("request.answered", stop, table="sys_user_role")
    async with asyncio.timeout(30):
        await stopping.work_slice(run_id, drain_seconds=4, instance_concurrency=AT_ONCE)
    assert time.monotonic() - began[0] < 4
    await case.check_given_back(run_id)
