"""When a revision waits for a person: both bounds passed, or a table that had rows and now has none."""

from __future__ import annotations

import pytest

from jobs.guard import Guard, Removal, judge_removals

GUARD = Guard(removed_rows=50, removed_share=0.2)


@pytest.mark.parametrize(
    ("had", "removed", "waits"),
    [
        (1000, 201, True),
        (1000, 200, False),  # a fifth, and no more than it
        (100_000, 5000, False),  # many, but a small share
        (60, 50, False),  # most of them, but few
        (60, 51, True),
        (51, 51, True),
    ],
)
def test_both_bounds_must_be_passed(had: int, removed: int, *, waits: bool) -> None:
    reason = judge_removals(GUARD, [Removal("nodes of kind group", had, removed)], emptied=[])
    assert (reason is not None) == waits


def test_kinds_are_judged_apart_and_each_reason_is_told() -> None:
    removals = [
        Removal("nodes of kind group", 100, 60),
        Removal("nodes of kind item", 100_000, 60),
        Removal("nodes of kind flow", 80, 80),
    ]
    assert judge_removals(GUARD, removals, emptied=[]) == (
        "60 of 100 nodes of kind group would leave; 80 of 80 nodes of kind flow would leave"
    )


def test_a_table_that_is_emptied_waits_however_few_rows_it_had() -> None:
    """R24: a table with no row that had some."""
    assert judge_removals(GUARD, [Removal("nodes of kind catalogue", 1, 1)], emptied=["sc_catalog"]) == (
        "sc_catalog had rows and is complete with none"
    )


def test_nothing_removed_is_no_reason() -> None:
    assert judge_removals(Guard(0, 0), [], emptied=[]) is None
    assert judge_removals(Guard(0, 0), [Removal("nodes of kind group", 9, 1)], emptied=[]) is not None
