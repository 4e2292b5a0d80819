"""The hourly budget: a share of a rate limit is left to others, whoever counts and however often clients change."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pace import RateWindow
from worker.servicenow.budget import Budget, RateHeaders, parse_rate

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


class Clock:
    def __init__(self) -> None:
        self.seconds = 50.0

    def read(self) -> float:
        return self.seconds


def build(clock: Clock | None = None, *, window: RateWindow | None = None, share: float = 0.2) -> Budget:
    return Budget(reserve_share=share, window=window, clock=(clock or Clock()).read)


def take_all(budget: Budget, most: int = 1_000) -> int:
    """Take until refused; give how many were."""
    return next((number for number in range(most) if budget.take()), most)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, None),
        ({"X-RateLimit-Limit": "100"}, None),
        ({"X-RateLimit-Reset": str(EPOCH + 60)}, None),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": str(EPOCH + 60)}, RateHeaders(100, 60)),
        (
            {"x-ratelimit-limit": "100", "x-ratelimit-reset": str(EPOCH + 60), "x-ratelimit-remaining": "7"},
            RateHeaders(100, 60, 7),
        ),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": str(EPOCH - 1)}, None),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Limit": "0", "X-RateLimit-Reset": str(EPOCH + 60)}, None),
        ({"X-RateLimit-Limit": "-5", "X-RateLimit-Reset": str(EPOCH + 60)}, None),
        ({"X-RateLimit-Limit": "9" * 5_000, "X-RateLimit-Reset": str(EPOCH + 60)}, None),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": "9" * 15}, RateHeaders(100, 3_600)),
    ],
)
def test_headers_are_read_where_they_can_be_meant(headers: dict[str, str], told: RateHeaders | None) -> None:
    assert parse_rate(httpx.Headers(headers), now=NOW) == told


def test_without_a_rule_nothing_is_refused() -> None:
    assert take_all(build()) == 1_000


@pytest.mark.parametrize(
    ("limit", "share", "ours"), [(100, 0.2, 80), (10, 0.5, 5), (100, 0, 100), (3, 0.9, 1), (1, 0.2, 1)]
)
def test_the_reserve_is_left_to_others_and_one_request_to_us(limit: int, share: float, ours: int) -> None:
    budget = build(share=share)
    assert budget.take() == 0
    budget.learn(RateHeaders(limit, 600))
    assert take_all(budget) == ours - 1
    assert budget.take() == 600


def test_requests_made_before_the_rule_was_told_count() -> None:
    budget = build()
    assert take_all(budget, most=30) == 30
    budget.learn(RateHeaders(100, 600))
    assert take_all(budget) == 50


def test_what_others_used_counts_where_the_instance_tells_what_remains() -> None:
    budget = build()
    budget.take()
    budget.learn(RateHeaders(100, 600, remaining_requests=30))
    assert take_all(budget) == 10
    budget.learn(RateHeaders(100, 600, remaining_requests=99))
    assert budget.take(), "a node that lags behind does not give back what we used"


def test_when_the_hour_is_over_reading_goes_on_and_the_next_answer_begins_anew() -> None:
    clock = Clock()
    budget = build(clock)
    budget.take()
    budget.learn(RateHeaders(10, 600))
    assert take_all(budget) == 7
    clock.seconds += 600
    assert budget.take() == 0
    budget.learn(RateHeaders(10, 3_600))
    assert take_all(budget) == 7


def test_an_answer_of_the_next_hour_begins_it_even_while_ours_has_not_ended() -> None:
    budget = build()
    budget.learn(RateHeaders(10, 5))
    assert take_all(budget) == 8
    budget.learn(RateHeaders(10, 3_600))
    assert take_all(budget) == 7


def test_of_several_rules_the_tightest_counts() -> None:
    budget = build()
    budget.learn(RateHeaders(1_000, 600))
    budget.learn(RateHeaders(10, 600))
    budget.learn(RateHeaders(1_000, 600))
    assert take_all(budget) == 8


def test_the_next_client_counts_on() -> None:
    """R15: two workers on one tenant share the debit."""
    clock = Clock()
    first = build(clock)
    first.learn(RateHeaders(100, 600))
    assert take_all(first, most=60) == 60
    clock.seconds += 100
    window = first.window
    assert window == RateWindow(100, 60, 500)
    second = build(window=window)
    assert take_all(second) == 20
    assert second.take() == 500


@given(
    st.lists(
        st.one_of(
            st.just(None),
            st.builds(RateHeaders, st.integers(1, 50), st.floats(0.1, 3_600), st.none() | st.integers(0, 50)),
        )
    ),
    st.floats(0, 1),
)
def test_whatever_the_instance_tells_a_wait_is_bounded_by_its_hour(
    answers: list[RateHeaders | None], share: float
) -> None:
    budget = build(share=share)
    for told in answers:
        assert 0 <= budget.take() <= 3_600
        if told:
            budget.learn(told)
