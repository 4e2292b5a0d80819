"""Holding a run's lease while its slice works.

Renewal has a connection of its own, so that a long statement of the work never holds it up. A slice whose lease
could not be renewed in time is stopped: another worker may have the run, and the fence would refuse it anyway.
docs/explanation/fleet.md says how often it is renewed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.errors import DatabaseAway, Failure
from worker.postgres import runs
from worker.postgres.connection import open_connection
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import lease_lost

_RENEWALS = 3  # within one lease: one that fails leaves time for another


@asynccontextmanager
async def held_lease(url: str, run: ClaimedRun, *, lease_seconds: float) -> AsyncIterator[None]:
    """Renew the lease until the block ends; LeaseLost inside the block when it is gone."""
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(_keep(url, run, lease_seconds=lease_seconds), name="lease")
            yield
            # The group counts a child that was cancelled as ended, and not as failed.
            keeper.cancel()
    except BaseExceptionGroup as raised:
        raise first_failure(raised) from None


def first_failure(raised: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the exception that ended a task group: a foreseen failure before a bug, a bug before the rest."""
    leaves = list(_leaves(raised))
    for kind in (Failure, Exception):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(raised: BaseException) -> list[BaseException]:
    if not isinstance(raised, BaseExceptionGroup):
        return [raised]
    return [leaf for inner in raised.exceptions for leaf in _leaves(inner)]


async def _keep(url: str, run: ClaimedRun, *, lease_seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + lease_seconds
    while True:
        try:
            async with (
                asyncio.timeout_at(until) as bound,
                open_connection(url, purpose="lease") as connection,
            ):
                while True:
                    await asyncio.sleep(lease_seconds / _RENEWALS)
                    until = clock() + lease_seconds  # the server's begins later, so ours is never too long
                    if not await runs.renew_lease(connection, run, lease_seconds=lease_seconds):
                        raise lease_lost(run.run_id)
                    bound.reschedule(until)
        except TimeoutError:
            raise lease_lost(run.run_id) from None
        # `until` stays as it is: a new connection does not make the lease longer.
        except DatabaseAway:
            await asyncio.sleep(lease_seconds / _RENEWALS / 10)
