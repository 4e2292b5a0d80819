"""How long a fetch waits between its tries: what the instance asks, and a jitter that grows."""

import asyncio

import pytest

from jobs.errors import Failure, InstanceThrottled, InstanceUnreachable, OrderIgnored, TableDenied
from jobs.events import THROTTLE_WAITED, Event
from worker.servicenow import Limits
from worker.servicenow.patience import build_retrying

LIMITS = Limits(page_rows=100, request_timeout_seconds=10, concurrency=1, tries=5, backoff_seconds=2)


def play(*failures: Failure) -> tuple[Failure | str, list[float], list[Event]]:
    """Let a fetch fail so and then succeed; give the outcome, the waits and the events."""
    left, waits, told = list(failures), list[float](), list[Event]()

    async def fetch() -> str:
        if left:
            raise left.pop(0)
        return "fetched"

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def main() -> Failure | str:
        try:
            return await build_retrying(LIMITS, emit=told.append).copy(sleep=wait)(fetch)
        except Failure as failure:
            return failure

    return asyncio.run(main()), waits, told


def test_the_instances_own_wait_is_kept_and_told() -> None:
    outcome, waits, told = play(InstanceThrottled("slower", after_seconds=30))
    assert outcome == "fetched"
    assert 30 <= waits[0] <= 32
    assert [(event.kind, event.fields["seconds"]) for event in told] == [(THROTTLE_WAITED, waits[0])]


@pytest.mark.parametrize("after_seconds", [60.5, 3600])
def test_a_longer_wait_is_raised_at_once(after_seconds: float) -> None:
    throttled = InstanceThrottled("slower", after_seconds=after_seconds)
    assert play(throttled) == (throttled, [], [])


def test_without_a_word_the_wait_doubles_and_differs() -> None:
    samples = [play(*[InstanceUnreachable("away")] * 4)[1] for _ in range(200)]
    ceilings = [max(column) for column in zip(*samples, strict=True)]
    for ceiling, expected in zip(ceilings, (2, 4, 8, 16), strict=True):
        assert expected / 2 < ceiling <= expected
    assert len({sample[3] for sample in samples}) > 100


def test_waits_that_nobody_asked_for_are_not_called_throttling() -> None:
    assert play(InstanceUnreachable("away"))[2] == []


def test_the_last_failure_is_raised_as_it_came() -> None:
    failures = [InstanceUnreachable(str(number)) for number in range(9)]
    assert play(*failures)[0] is failures[LIMITS.tries - 1]


@pytest.mark.parametrize("failure", [OrderIgnored("x"), TableDenied("x")])
def test_what_does_not_pass_is_not_waited_for(failure: Failure) -> None:
    assert play(failure) == (failure, [], [])


def test_a_fetch_is_bounded_in_time_too() -> None:
    """Of a hundred tries allowed only those are made that begin within the time."""
    limits = Limits(
        page_rows=1, request_timeout_seconds=1, concurrency=1, tries=100, retry_seconds=0.2, backoff_seconds=0
    )
    failures = [InstanceThrottled(str(number), after_seconds=0.06) for number in range(100)]
    tried: list[InstanceThrottled] = []

    async def fetch() -> None:
        tried.append(failures[len(tried)])
        raise tried[-1]

    with pytest.raises(InstanceThrottled) as caught:
        asyncio.run(build_retrying(limits, emit=lambda _: None)(fetch))
    assert 1 <= len(tried) <= 4
    assert caught.value is tried[-1]
