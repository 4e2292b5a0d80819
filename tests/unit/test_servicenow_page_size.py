"""A table that is slow is asked for fewer rows, and for more again when it is not; no other table is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.servicenow.page_size import PageSizes


def test_a_slow_table_is_halved_down_to_the_floor_and_no_other() -> None:
    sizes = PageSizes(most_rows=1_000, least_rows=50)
    asked = []
    for _ in range(7):
        asked.append(sizes.plan_rows("slow"))
        sizes.shrink("slow", asked_rows=asked[-1])
    assert asked == [1_000, 500, 250, 125, 62, 50, 50]
    assert sizes.plan_rows("other") == 1_000


def test_pages_that_come_whole_bring_it_back_to_the_most() -> None:
    sizes = PageSizes(most_rows=1_000, least_rows=50)
    sizes.shrink("slow", asked_rows=1_000)
    asked = []
    for _ in range(7):
        asked.append(sizes.plan_rows("slow"))
        sizes.grow("slow", asked_rows=asked[-1])
    assert asked == [500, 600, 700, 800, 900, 1_000, 1_000]


def test_a_setting_below_the_floor_is_the_floor() -> None:
    sizes = PageSizes(most_rows=7, least_rows=50)
    sizes.shrink("slow", asked_rows=7)
    assert sizes.plan_rows("slow") == 7


@given(st.integers(1, 10_000), st.lists(st.booleans()))
def test_it_stays_between_the_floor_and_the_most(most_rows: int, outcomes: list[bool]) -> None:
    sizes = PageSizes(most_rows=most_rows, least_rows=50)
    for is_whole in outcomes:
        asked = sizes.plan_rows("t")
        (sizes.grow if is_whole else sizes.shrink)("t", asked_rows=asked)
        assert min(50, most_rows) <= sizes.plan_rows("t") <= most_rows


def test_what_was_learnt_before_is_gone_on_from_within_the_bounds() -> None:
    sizes = PageSizes(most_rows=1_000, least_rows=50, smaller={"a": 200, "b": 5_000, "c": 1})
    assert [sizes.plan_rows(table) for table in "abcd"] == [200, 1_000, 50, 1_000]
    assert sizes.smaller == {"a": 200, "c": 50}
    sizes.grow("a", asked_rows=1_000)
    assert sizes.smaller == {"c": 50}
