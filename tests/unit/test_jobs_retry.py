"""A failed run is tried again as its failure says, later each time, not before it is asked back, and not for ever."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import (
    CredentialsRejected,
    DatabaseUnsafe,
    Failure,
    InstanceThrottled,
    InstanceUnreachable,
    LeaseLost,
    NotMigrated,
    RunGaveUp,
)
from jobs.retry import Fate, plan_fate


class Highest(random.Random):
    """Draws the most that could be drawn, and so shows the ceiling."""

    def uniform(self, _a: float, b: float) -> float:
        return b


def plan(
    failure: Failure, *, attempt: int, draw: random.Random | None = None, max_attempts: int = 20
) -> Fate:
    return plan_fate(
        failure,
        attempt=attempt,
        max_attempts=max_attempts,
        base_seconds=10,
        cap_seconds=600,
        draw=draw or Highest(),
    )


def test_the_wait_doubles_up_to_the_cap() -> None:
    waits = [plan(InstanceUnreachable("away"), attempt=attempt).wait_seconds for attempt in range(1, 10)]
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_the_wait_is_anywhere_below_so_that_a_fleet_does_not_return_at_once() -> None:
    draw = random.Random(1)  # noqa: S311  not for secrets
    waits = [plan(InstanceUnreachable("away"), attempt=4, draw=draw).wait_seconds for _ in range(400)]
    assert 0 <= min(waits) < 8
    assert 72 < max(waits) <= 80
    assert len(set(waits)) == 400


def test_what_the_instance_asks_for_is_waited_and_the_jitter_comes_after() -> None:
    failure = InstanceThrottled("slow down", after_seconds=900)
    assert plan(failure, attempt=1).wait_seconds == 910


@given(st.integers(1, 19), st.floats(0, 1e6), st.integers())
def test_no_wait_is_shorter_than_asked_for_nor_longer_by_more_than_the_cap(
    attempt: int, asked: float, seed: int
) -> None:
    failure = InstanceThrottled("slow down", after_seconds=asked)
    fate = plan(failure, attempt=attempt, draw=random.Random(seed))  # noqa: S311  not for secrets
    assert fate.ending == "retried"
    assert asked <= fate.wait_seconds <= asked + 600


def test_a_moment_that_has_passed_is_no_wait() -> None:
    """R15: Retry-After in the past."""
    assert plan(InstanceThrottled("slow down", after_seconds=-3_600), attempt=1).wait_seconds == 10


def test_now_means_now() -> None:
    assert plan(LeaseLost("taken over"), attempt=3) == Fate(
        "retried", 0.0, LeaseLost("taken over").document()
    )


@pytest.mark.parametrize("failure", [CredentialsRejected("wrong secret"), RunGaveUp("too often")])
def test_what_a_retry_cannot_mend_is_not_tried_again(failure: Failure) -> None:
    assert plan(failure, attempt=1) == Fate("failed", 0.0, failure.document())


def test_the_last_attempt_is_the_last() -> None:
    failure = InstanceUnreachable("away")
    assert plan(failure, attempt=4, max_attempts=5).ending == "retried"
    for attempt in (5, 6):
        assert plan(failure, attempt=attempt, max_attempts=5) == Fate(
            "failed", 0.0, failure.document(), blames_instance=True
        )


def test_a_deployment_that_is_not_ready_is_no_fault_of_the_run() -> None:
    fate = plan(NotMigrated("migrate first"), attempt=50, max_attempts=5)
    assert (fate.ending, fate.wait_seconds) == ("retried", 600)
    assert plan(DatabaseUnsafe("an open door"), attempt=1).ending == "failed"


def test_any_number_of_attempts_can_be_planned() -> None:
    assert plan(InstanceUnreachable("away"), attempt=5_000, max_attempts=10_000).wait_seconds == 600
