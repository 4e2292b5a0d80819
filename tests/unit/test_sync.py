"""The small parts of a slice: what a trail keeps, in what order a writer works, which failure counts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

import pytest

from jobs.errors import InstanceUnreachable, LeaseLost
from jobs.events import REQUEST_ANSWERED, THROTTLE_WAITED, TOKEN_FETCHED, Event
from worker.postgres.connection import Connection
from worker.sync.lease import first_failure
from worker.sync.trail import Trail
from worker.sync.writer import Writer

pytestmark = pytest.mark.anyio
CONNECTION = cast("Connection", object())  # handed through, never used


def test_a_trail_tells_at_once_and_keeps_what_is_audited_bound_to_its_run() -> None:
    told: list[Event] = []
    trail = Trail(told.append, tenant="ref", run="id")
    trail.emit(Event(TOKEN_FETCHED, {"seconds": 1}))
    trail.emit(Event(THROTTLE_WAITED, {"seconds": 2}))
    trail.emit(Event(REQUEST_ANSWERED, {"rows": 3}))
    assert [(event.tenant, event.run) for event in told] == [("ref", "id")] * 3
    taken = trail.take()
    assert [event.kind for event in taken.events] == [TOKEN_FETCHED, REQUEST_ANSWERED]
    assert taken.requests == 2
    assert trail.take().events == ()


def test_a_branch_of_a_trail_keeps_its_own() -> None:
    trail = Trail(lambda _: None, tenant="ref", run="id")
    branch = trail.branch()
    branch.emit(Event(TOKEN_FETCHED))
    assert trail.take().events == ()
    assert [event.run for event in branch.take().events] == ["id"]


async def test_a_writer_works_in_the_order_it_was_given_and_ends_when_told() -> None:
    done: list[int] = []
    writer = Writer(CONNECTION)

    async def work(number: int, _: Connection) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(writer.run())
        for number in range(30):  # more than may wait
            await writer.put(partial(work, number))
        await writer.finish()
    assert done == list(range(30))
    assert running.done()


async def test_the_writer_goes_on_where_whoever_asked_does_not_wait_any_more() -> None:
    writer = Writer(CONNECTION)
    begun, going_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def question(_: Connection) -> None:
        begun.set()
        await going_on.wait()
        done.append("written")

    async def later(_: Connection) -> None:
        done.append("later")

    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run())
        asking = group.create_task(writer.ask(question))
        await begun.wait()
        asking.cancel()
        going_on.set()
        await writer.put(later)
        await writer.finish()
    assert done == ["written", "later"]
    assert asking.cancelled()


async def test_work_that_fails_ends_the_writer_and_those_who_wait_for_it() -> None:
    writer = Writer(CONNECTION)

    async def fail(_: Connection) -> None:
        raise LeaseLost("gone")

    async def feed() -> None:
        while True:
            await writer.put(fail)

    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012  one group, two tasks
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            group.create_task(feed())
    assert isinstance(first_failure(raised.value), LeaseLost)


def test_a_foreseen_failure_counts_before_a_bug_however_deep() -> None:
    foreseen, bug = InstanceUnreachable("away"), KeyError("bug")
    assert first_failure(ExceptionGroup("", [bug, ExceptionGroup("", [foreseen])])) is foreseen
    assert first_failure(ExceptionGroup("", [ExceptionGroup("", [bug])])) is bug
    cancelled = asyncio.CancelledError()
    assert first_failure(BaseExceptionGroup("", [cancelled])) is cancelled
