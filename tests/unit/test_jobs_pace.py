"""What one reader of an instance leaves to the next, and what two runs differ in that they could see."""

from __future__ import annotations

import pytest

from jobs.coverage import CoverageChange, compare_coverage
from jobs.pace import Pace, RateWindow


@pytest.mark.parametrize(
    ("pace", "free"),
    [
        (Pace(), True),
        (Pace(at_once=4.0), True),
        (Pace(at_once=3.75), False),
        (Pace(cooldown_seconds=0.1), False),
        (Pace(window=RateWindow(100, 1, 3_600)), False),
        (Pace(page_rows={"sys_user_group": 50}), False),
    ],
)
def test_a_pace_is_free_when_it_holds_nothing_back(pace: Pace, *, free: bool) -> None:
    assert pace.is_free(at_once=4) == free


def test_requests_are_counted_from_where_they_were_counted_last() -> None:
    before, after = Pace(window=RateWindow(100, 30, 900)), Pace(window=RateWindow(100, 42, 600))
    assert after.more_requests(before) == 12
    assert after.more_requests(Pace()) == 42
    assert Pace(window=RateWindow(100, 1, 3_600)).more_requests(before) == 0  # a new hour


def test_coverage_differs_where_both_runs_judged_a_table_and_not_alike() -> None:
    before = {"a": "complete", "b": "complete", "gone": "complete", "unread": None}
    after = {"b": "denied", "a": "complete", "new": "denied", "unread": "complete"}
    assert compare_coverage(before, after) == [CoverageChange("b", "complete", "denied")]
