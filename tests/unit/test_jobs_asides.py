"""An aside says yes, no or nothing; a value is kept of whom it was asked for, and of nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.asides import build_flag, build_values, is_opposite, is_proven, plan_flag, plan_values
from jobs.derived import MOST_NAMES, FlagOrigin, build_derived
from jobs.surface import read_surface

SURFACE = read_surface()
PROPERTIES = SURFACE.tables["sys_properties"]
A, B = "a" * 32, "b" * 32
IDS = st.frozensets(st.sampled_from("abcdef"))


@pytest.mark.parametrize(
    ("total", "counted", "proven"),
    [(1, 2, True), (0, 2, False), (2, 2, False), (3, 2, False), (None, 2, False), (1, None, False),
     (0, 0, True), (None, 0, True), (None, None, False)],
)  # fmt: skip
def test_a_predicate_is_proven_by_an_answer_of_some_rows_and_not_all(
    total: int | None, counted: int | None, *, proven: bool
) -> None:
    assert is_proven(total, counted) is proven


@given(IDS, IDS)
def test_a_question_and_its_opposite_part_the_rows_and_a_dropped_one_does_not(
    rows: frozenset[str], scripted: frozenset[str]
) -> None:
    flagged, others = rows & scripted, rows - scripted
    if rows:
        assert is_opposite(flagged, others, others_total=len(others))
        assert not is_opposite(rows, rows, others_total=len(rows)), (
            "both came back as if nothing had been asked"
        )
    assert not is_opposite(frozenset(), frozenset(), others_total=0), "no question was understood"


def test_rows_that_are_hidden_still_count_for_the_opposite() -> None:
    assert is_opposite(frozenset(), frozenset(), others_total=3)


def test_a_flag_is_told_of_every_row_only_where_everything_behind_it_was_asked() -> None:
    whole, part = (build_flag("opaque", {A}, is_whole=told) for told in (True, False))
    assert (whole.value_of(A), whole.value_of(B)) == ("true", "false")
    assert (part.value_of(A), part.value_of(B)) == ("true", None)


def test_each_column_behind_a_flag_is_asked_for_alone() -> None:
    """Of two in one question, one that was dropped could not be told from one that held."""
    table = SURFACE.tables["sc_cat_item_delivery_task"]
    assert list(plan_flag(table, "opaque")) == [
        FlagOrigin(table.name, "opaque", column) for column in ("condition_script", "generation_script")
    ]


def test_values_are_asked_for_in_parts_that_an_address_can_hold() -> None:
    many = SURFACE.with_values(f"x.{number}.{'a' * 90}" for number in range(100)).tables["sys_properties"]
    origins = list(plan_values(many))
    assert sorted(name for origin in origins for name in origin.names) == sorted(many.values)
    assert all(len(origin.names) <= MOST_NAMES for origin in origins)
    assert all(len(build_derived(SURFACE, origin).filter) < 5_000 for origin in origins)


def test_a_value_is_kept_of_a_listed_property_of_a_plain_type() -> None:
    row = {"sys_id": A, "name": "instance_name", "type": "string", "value": "acme"}
    assert build_values(PROPERTIES, [row]).by_id == {A: "acme"}
    assert build_values(PROPERTIES, [{**row, "value": ""}]).by_id == {A: ""}


@pytest.mark.parametrize(
    "changed",
    [{"name": "x_acme.switch"}, {"name": "INSTANCE_NAME"}, {"type": "password"}, {"type": "password2"},
     {"name": "glide.smtp.password"}, {"name": ""}],
)  # fmt: skip
def test_a_value_that_came_in_spite_of_the_question_is_dropped(changed: dict[str, str]) -> None:
    row = {"sys_id": A, "name": "instance_name", "type": "string", "value": "CANARY", **changed}
    assert build_values(PROPERTIES, [row]).by_id == {}


@pytest.mark.parametrize("missing", ["name", "type", "value"])
def test_a_value_whose_property_is_not_wholly_known_is_dropped(missing: str) -> None:
    row = {"sys_id": A, "name": "instance_name", "type": "string", "value": "CANARY"}
    assert build_values(PROPERTIES, [{k: v for k, v in row.items() if k != missing}]).by_id == {}
