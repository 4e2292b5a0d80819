"""Only evidence makes a table complete, and only a complete one closes anything."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Failure, OrderIgnored, ResponseInvalid, TableAbsent, TableDenied
from jobs.verdict import Verdict, VerdictName, judge_failure, judge_read

COUNTS = st.none() | st.integers(0, 50)


@pytest.mark.parametrize(
    ("rows", "before", "after", "name", "hidden"),
    [
        (5, 5, 5, "complete", 0),
        (0, 0, 0, "complete", 0),
        (5, 5, None, "complete", 0),
        (5, None, 5, "complete", 0),
        (7, 5, 7, "complete", 0),
        (7, 7, 5, "complete", 0),
        (6, 5, 7, "unknown", 0),
        (5, 5, 7, "unknown", 0),
        (95, 90, 100, "unknown", 0),
        (4, 5, 5, "hidden", 1),
        (0, 5, 5, "hidden", 5),
        (4, 9, 6, "hidden", 2),
        (4, 5, None, "hidden", 1),
        (5, None, None, "unknown", 0),
        (0, None, None, "unknown", 0),
        (6, 5, 5, "unknown", 0),
        (6, 5, None, "unknown", 0),
    ],
)
def test_a_read_is_judged_by_the_counts(
    rows: int, before: int | None, after: int | None, name: str, hidden: int
) -> None:
    verdict = judge_read(rows=rows, counted_before=before, counted_after=after)
    assert (verdict.name, verdict.hidden) == (name, hidden)
    assert (verdict.reason is None) == (name == "complete")


@given(st.integers(0, 50), COUNTS, COUNTS)
def test_complete_is_said_of_as_many_rows_as_were_ever_counted_and_of_no_others(
    rows: int, before: int | None, after: int | None
) -> None:
    """R3, R6: no count is no evidence, nor are counts that see less, or rows that new ones may stand in for."""
    verdict = judge_read(rows=rows, counted_before=before, counted_after=after)
    counts = [count for count in (before, after) if count is not None]
    assert verdict.closes == (bool(counts) and rows == max(counts))
    assert verdict.hidden == (min(counts) - rows if verdict.name == "hidden" else 0)


@pytest.mark.parametrize("name", get_args(VerdictName))
def test_only_complete_closes(name: VerdictName) -> None:
    assert Verdict(name).closes == (name == "complete")


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (TableDenied("x"), "denied"),
        (TableAbsent("x"), "absent"),
        (ResponseInvalid("x"), "failed"),
        (OrderIgnored("x"), "failed"),
    ],
)
def test_a_failure_of_a_table_is_its_verdict_with_the_reason(failure: Failure, verdict: VerdictName) -> None:
    assert judge_failure(failure) == Verdict(verdict, reason="x")
