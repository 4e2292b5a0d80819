"""How many ask at once, and who waits for whom: the limit follows what the instance bears, a pause holds for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import (
    Failure,
    InstanceAsleep,
    InstanceSlow,
    InstanceThrottled,
    InstanceUnreachable,
    ResponseInvalid,
    TableDenied,
    TransactionCancelled,
)
from jobs.events import CONCURRENCY_CHANGED, THROTTLE_WAITED, Event
from worker.servicenow import Limits
from worker.servicenow.turns import Turns

LIMITS = Limits(page_rows=100, request_timeout_seconds=10, concurrency=4)


class Clock:
    """A time that goes on only where somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def read(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class Case:
    """Turns by a clock of their own, and what they tell."""

    def __init__(self, *, concurrency: int = 4, cooldown_seconds: float = 0.0) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        limits = Limits(page_rows=100, request_timeout_seconds=10, concurrency=concurrency)
        self.turns = Turns(
            limits,
            host="acme",
            cooldown_seconds=cooldown_seconds,
            clock=self.clock.read,
            sleep=self.clock.sleep,
        )

    async def ask(self, outcome: Failure | None = None, *, status: int | None = 200) -> None:
        """Make a request that takes a second and ends so."""
        try:
            async with self.turns.turn(self.told.append) as turn:
                await self.clock.sleep(1)
                turn.status = status
                if outcome:
                    raise outcome
        except Failure as failure:
            if failure is not outcome:
                raise

    def limits_told(self) -> list[tuple[Any, Any]]:
        return [
            (event.fields["limit"], event.fields["reason"])
            for event in self.told
            if event.kind is CONCURRENCY_CHANGED
        ]


def play(main: Callable[[Case], Coroutine[Any, Any, None]], **made: Any) -> Case:
    case = Case(**made)
    asyncio.run(main(case))
    return case


FULL: list[tuple[Failure, int | None]] = [
    (InstanceThrottled("x"), 429),
    (InstanceThrottled("x"), 202),
    (InstanceUnreachable("x"), 503),
    (InstanceAsleep("x"), 503),
    (InstanceUnreachable("x"), 502),
    (InstanceUnreachable("x"), 504),
    (InstanceSlow("x"), None),
    (TransactionCancelled("x"), 200),
    (TransactionCancelled("x"), 500),
]
OTHER: list[tuple[Failure, int | None]] = [
    (InstanceUnreachable("x"), None),
    (InstanceAsleep("x"), 200),
    (ResponseInvalid("x"), 200),
    (ResponseInvalid("x"), 500),
    (TableDenied("x"), 403),
    (InstanceThrottled("the hourly budget, of which no request was made"), None),
]


@pytest.mark.parametrize(("failure", "status"), FULL)
def test_whatever_says_that_the_instance_is_full_halves_the_limit_down_to_one(
    failure: Failure, status: int | None
) -> None:
    async def main(case: Case) -> None:
        for _ in range(4):
            await case.ask(failure, status=status)

    case = play(main)
    assert case.limits_told() == [(2, failure.code), (1, failure.code)]
    assert case.turns.limit == 1


@pytest.mark.parametrize(("failure", "status"), OTHER)
def test_what_says_nothing_of_it_leaves_the_limit_alone(failure: Failure, status: int | None) -> None:
    async def main(case: Case) -> None:
        await case.ask(failure, status=status)

    assert play(main).limits_told() == []


def test_requests_that_were_under_way_together_halve_it_once() -> None:
    async def main(case: Case) -> None:
        await asyncio.gather(*(case.ask(InstanceThrottled("x"), status=429) for _ in range(4)))

    assert play(main).turns.limit == 2


def test_answers_bring_it_back_step_by_step_and_never_past_the_ceiling() -> None:
    async def main(case: Case) -> None:
        for _ in range(3):
            await case.ask(InstanceThrottled("x"), status=429)
        for _ in range(4 * (1 + 2 + 3) + 20):
            await case.ask()

    told = play(main).limits_told()
    assert told[2:] == [(2, "answered"), (3, "answered"), (4, "answered")]


@given(st.lists(st.sampled_from(["ok", "full", "other"]), max_size=60), st.integers(1, 8))
def test_it_stays_between_one_and_the_ceiling_and_every_turn_comes_back(
    outcomes: list[str], concurrency: int
) -> None:
    failures = {"ok": None, "full": InstanceThrottled("x"), "other": TableDenied("x")}
    most = 0

    async def main(case: Case) -> None:
        nonlocal most
        inside = 0

        async def ask(outcome: str) -> None:
            nonlocal most, inside
            async with case.turns.turn(case.told.append) as turn:
                inside += 1
                most = max(most, inside)
                await case.clock.sleep(1)
                inside -= 1
                turn.status = 429 if outcome == "full" else 200
                if failure := failures[outcome]:
                    raise failure

        await asyncio.gather(*map(ask, outcomes), return_exceptions=True)
        assert 1 <= case.turns.limit <= concurrency
        await case.ask()  # a turn that was lost would wait here for ever

    play(main, concurrency=concurrency)
    assert most <= concurrency


def test_while_the_limit_is_lower_fewer_run_at_once() -> None:
    async def main(case: Case) -> None:
        await case.ask(InstanceThrottled("x"), status=429)
        await case.ask(InstanceThrottled("x"), status=429)
        inside = most = 0

        async def ask() -> None:
            nonlocal inside, most
            async with case.turns.turn(case.told.append):
                inside += 1
                most = max(most, inside)
                await case.clock.sleep(1)
                inside -= 1
                raise TableDenied("neither more nor less")

        await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)
        assert most == 1

    play(main)


def test_a_cancelled_wait_and_a_cancelled_turn_take_no_place_with_them() -> None:
    async def main(case: Case) -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with case.turns.turn(case.told.append):
                begun.set()
                await never.wait()

        holding = asyncio.create_task(hold())
        await begun.wait()
        waiting = asyncio.create_task(case.ask())
        await asyncio.sleep(0)
        for task in (waiting, holding):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await case.ask()

    play(main, concurrency=1)


def test_a_retry_after_pauses_every_task_to_its_end() -> None:
    async def main(case: Case) -> None:
        await case.ask(InstanceThrottled("x", after_seconds=30), status=429)
        asked_at = case.clock.read()
        began: list[float] = []

        async def ask() -> None:
            async with case.turns.turn(case.told.append):
                began.append(case.clock.read())

        await asyncio.gather(*(ask() for _ in range(10)))
        assert min(began) >= asked_at + 30

    case = play(main)
    waits = [event.fields["seconds"] for event in case.told if event.kind is THROTTLE_WAITED]
    assert waits
    assert case.turns.cooldown_seconds == 0


def test_who_waits_for_a_turn_when_the_pause_begins_keeps_it_too() -> None:
    async def main(case: Case) -> None:
        holding = asyncio.create_task(case.ask(InstanceThrottled("x", after_seconds=30), status=429))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(case.ask())
        await asyncio.gather(holding, waiting)
        assert case.clock.read() == 1_000 + 1 + 30 + 1

    play(main, concurrency=1)


def test_a_shorter_pause_does_not_cut_a_longer_one_short() -> None:
    async def main(case: Case) -> None:
        case.turns.pause(50)
        case.turns.pause(5)
        assert case.turns.cooldown_seconds == 50

    play(main)


def test_a_503_that_says_how_long_pauses_too() -> None:
    async def main(case: Case) -> None:
        await case.ask(InstanceUnreachable("x", after_seconds=7), status=503)
        assert case.turns.cooldown_seconds == 7

    play(main)


@pytest.mark.parametrize("carried", [True, False], ids=["from an earlier slice", "of this one"])
def test_a_pause_longer_than_a_fetch_may_wait_is_raised_with_what_is_left_of_it(
    carried: bool,  # noqa: FBT001  pytest gives it
) -> None:
    async def main(case: Case) -> None:
        if not carried:
            case.turns.pause(3_600)
        await case.clock.sleep(10)
        with pytest.raises(InstanceThrottled, match="3590 s are left") as caught:
            await case.ask()
        assert caught.value.after_seconds == 3_590
        assert case.turns.cooldown_seconds == 3_590, "raising it again does not lengthen it"

    case = play(main, cooldown_seconds=3_600 if carried else 0)
    assert case.told == []


def test_pauses_that_follow_each_other_end_the_wait_at_last() -> None:
    async def main(case: Case) -> None:
        lengthen = case.clock.sleep

        async def sleep(seconds: float) -> None:
            await lengthen(seconds)
            case.turns.pause(25)

        case.turns._sleep = sleep  # noqa: SLF001  an instance that asks for one pause after the other
        case.turns.pause(25)
        with pytest.raises(InstanceThrottled):
            await case.ask()
        assert case.clock.read() == 1_000 + 50

    play(main)


@pytest.mark.parametrize(("learnt", "limit"), [(None, 4), (1.0, 1), (2.75, 2), (0.0, 1), (64.0, 4)])
def test_the_limit_begins_where_an_earlier_client_left_it(learnt: float | None, limit: int) -> None:
    limits = Limits(page_rows=100, request_timeout_seconds=10, concurrency=4)
    assert Turns(limits, host="acme", at_once=learnt).limit == limit


def test_whoever_watches_is_told_of_each_pause_that_is_longer() -> None:
    async def main(case: Case) -> None:
        case.turns.pause(50)
        await case.turns.wait_for_pause()
        case.turns.pause(5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(case.turns.wait_for_pause(), timeout=0)
        case.turns.pause(60)
        await case.turns.wait_for_pause()

    play(main)
