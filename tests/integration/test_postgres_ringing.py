"""Who is rung for next: no more than the slots bear, who was served least first, and nobody never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from tests.integration.postgres_steps import bare_tenants, read_own
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.reading import Process, forget_process, report_process

pytestmark = pytest.mark.anyio

SLOTS = 3


@pytest.fixture
async def queue(admin: Connection, app: Connection) -> AsyncIterator[list[UUID]]:
    """Thirty tenants that are rows alone, each with a run that waits, and one worker; all gone afterwards."""
    await admin.execute("DELETE FROM control.process")
    await admin.execute("UPDATE control.run SET not_before = 'infinity' WHERE state = 'requested'")
    async with bare_tenants(admin, 30, due="infinity") as ids:
        runs = await read_own(
            admin,
            """INSERT INTO control.run (tenant_id, mode, reason, not_before)
               SELECT tenant_id, 'delta', 'cadence', now() - interval '1 h' + number * interval '1 s'
               FROM unnest(%s::uuid[]) WITH ORDINALITY AS asked (tenant_id, number)
               RETURNING run_id, tenant_id""",
            ids,
        )
        worker = Process(uuid4(), "worker", "a host", 1, "0", SLOTS)
        await report_process(app, worker)
        yield [row["run_id"] for row in sorted(runs, key=lambda row: ids.index(row["tenant_id"]))]
        await forget_process(app, worker.process_id)


async def ring(app: Connection, *, again_after_seconds: float = 600) -> set[UUID]:
    rows = await fetch_rows(
        app, "control", "runs_to_ring", batch=500, again_after_seconds=again_after_seconds
    )
    return {row["runs_to_ring"] for row in rows}


async def test_there_are_twice_as_many_doorbells_as_slots(
    admin: Connection, app: Connection, queue: list[UUID]
) -> None:
    first = await ring(app)
    assert first == set(queue[: 2 * SLOTS])
    assert await ring(app) == set()
    await admin.execute(
        "UPDATE control.run SET state = 'cancelled', ended_at = now() WHERE run_id = ANY (%s)", [queue[:2]]
    )
    assert await ring(app) == set(queue[6:8])


async def test_nothing_is_rung_for_while_no_worker_lives(
    admin: Connection, app: Connection, queue: list[UUID]
) -> None:
    assert queue
    await admin.execute("UPDATE control.process SET seen_at = now() - interval '1 minute'")
    assert await ring(app) == set()


async def test_a_bell_that_nobody_answered_is_rung_again_in_its_turn(
    app: Connection, queue: list[UUID]
) -> None:
    assert await ring(app) == await ring(app, again_after_seconds=0) == set(queue[: 2 * SLOTS])


async def test_who_was_served_for_long_comes_behind_those_who_came_meanwhile_and_no_others(
    admin: Connection, app: Connection, queue: list[UUID]
) -> None:
    """The first was served for ten seconds: behind the ten after it, which wait as long, and before all others."""
    await admin.execute("UPDATE control.run SET served_seconds = 10.5 WHERE run_id = %s", [queue[0]])
    order = []
    while rung := await ring(app):
        order.append(rung)
        await admin.execute(
            "UPDATE control.run SET state = 'cancelled', ended_at = now() WHERE run_id = ANY (%s)",
            [list(rung)],
        )
    assert order[0] == set(queue[1:7])
    assert order[1] == {*queue[7:11], queue[0], queue[11]}
    assert len(order) == 5


async def test_what_somebody_asked_for_counts_as_a_minute_older(
    admin: Connection, app: Connection, queue: list[UUID]
) -> None:
    await admin.execute("UPDATE control.run SET reason = 'request' WHERE run_id = %s", [queue[-1]])
    assert await ring(app) == {queue[-1], *queue[:5]}
