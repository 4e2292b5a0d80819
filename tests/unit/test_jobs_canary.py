"""Canaries: what is asked, how each answer is judged, and what somebody is told of it."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from jobs.canary import (
    Canary,
    Honesty,
    Sign,
    Signs,
    Times,
    canary_parameters,
    choose_tables,
    judge_range,
    judge_times,
    judge_unknown_field,
    parse_signs,
    read_honesty,
)
from jobs.errors import ResponseInvalid
from jobs.surface import read_surface

SURFACE = read_surface()
CATALOGS = SURFACE.tables["sc_catalog"]
THEN, LATER = "2026-03-01 10:00:00", "2026-03-01 17:00:00"
NOTHING = Signs((), 0)


def signs(*times: str, total: int | None = None) -> Signs:
    rows = tuple(Sign(f"{number:032x}", time) for number, time in enumerate(times))
    return Signs(rows, len(rows) if total is None else total)


@pytest.mark.parametrize("canary", get_args(Canary))
def test_a_canary_asks_for_a_few_rows_and_of_them_only_the_key_and_the_time(canary: Canary) -> None:
    parameters = canary_parameters(canary, moment=THEN if canary == "times" else "")
    assert parameters["sysparm_fields"] == "sys_id,sys_updated_on"
    assert int(parameters["sysparm_limit"]) <= 10
    assert parameters["sysparm_display_value"] == "false"


def test_the_time_of_a_canary_is_one_and_cannot_carry_a_query() -> None:
    query = canary_parameters("times", moment=THEN)["sysparm_query"]
    assert query == f"sys_updated_on>={THEN}^sys_updated_on<={THEN}^ORDERBYsys_id"
    for moment in ("", f"{THEN}^ORsys_idISNOTEMPTY", "2026-03-01"):
        with pytest.raises(ValueError, match="not sent"):
            canary_parameters("times", moment=moment)
    with pytest.raises(ValueError, match="not sent"):
        canary_parameters("range", moment=THEN)


def test_canaries_go_to_tables_of_the_surface_that_are_read_whole_and_tell_times() -> None:
    chosen = choose_tables(SURFACE)
    assert chosen
    assert all(not table.filter and table.can_be_reread for table in chosen)


@pytest.mark.parametrize(
    ("found", "times"),
    [
        (signs(THEN), "utc"),
        (signs(THEN, THEN, total=40), "utc"),
        (NOTHING, "shifted"),
        (signs(LATER), "shifted"),  # whose stored time is what the literal means in the user's zone
        (signs(THEN, LATER), "dropped"),
        (signs(LATER, "2020-01-01 00:00:00"), "dropped"),
        (signs(total=1), "unknown"),  # hidden from us
    ],
)
def test_times_are_judged_by_what_comes_for_the_time_of_a_row_that_is_there(
    found: Signs, times: Times
) -> None:
    assert judge_times(found, moment=THEN) == times
    assert Honesty(times=times).trusts_times == (times in {"utc", "unknown"})


def test_a_range_that_gives_what_cannot_be_was_dropped() -> None:
    assert judge_range(NOTHING) == "holds"
    assert judge_range(signs(THEN)) == judge_range(signs(total=3)) == "dropped"


def test_a_field_that_there_is_not_gives_all_or_nothing() -> None:
    assert judge_unknown_field(signs(THEN)) == judge_unknown_field(signs(total=3)) == "drops_term"
    assert judge_unknown_field(NOTHING) == "returns_no_rows"


def test_what_is_as_it_should_be_gives_no_warning() -> None:
    assert Honesty().warnings() == []
    assert Honesty("sc_catalog", "returns_no_rows", "holds", "utc").warnings() == []
    assert Honesty("sc_catalog", "drops_term", "holds", "utc").warnings() == []


def test_what_is_not_is_told_with_its_code_its_table_and_what_to_do() -> None:
    dropped = Honesty("sc_catalog", "drops_term", "dropped", "dropped")
    range_told, times_told = dropped.warnings()
    assert range_told.startswith("range_dropped: ")
    assert times_told.startswith("times_dropped: ")
    assert "sc_catalog" in range_told
    assert "query_range" in times_told
    [zone] = Honesty("sc_catalog", times="shifted").warnings()
    assert zone.startswith("times_shifted: ")
    assert "GMT" in zone
    [default] = dropped.describe_default()
    assert "glide.invalid_query.returns_no_rows" in default
    assert Honesty(unknown_field="returns_no_rows").describe_default() == []


def test_findings_go_through_a_runs_row_and_come_back() -> None:
    honesty = Honesty("sc_catalog", "refused", "holds", "shifted")
    assert read_honesty(json.loads(json.dumps(honesty.document()))) == honesty
    assert read_honesty({**honesty.document(), "of a later release": "x"}) == honesty
    assert read_honesty(None) is None


def test_an_answer_is_taken_as_it_comes_and_counted_with_what_is_hidden() -> None:
    rows = [{"sys_id": "b" * 32, "sys_updated_on": ""}, {"sys_id": "a" * 32, "sys_updated_on": THEN}]
    found = parse_signs(CATALOGS, json.dumps({"result": rows}).encode(), total=7)
    assert found == Signs((Sign("b" * 32, ""), Sign("a" * 32, THEN)), 7)
    assert found.find_moment() == THEN
    assert parse_signs(CATALOGS, b'{"result": []}', total=None).find_moment() == ""


@pytest.mark.parametrize(
    "body", [b"", b"null", b"<html>", b'{"result": {}}', b'{"result": [], "error": {"message": "x"}}']
)
def test_what_is_no_list_of_rows_is_no_sign(body: bytes) -> None:
    with pytest.raises(ResponseInvalid, match="sc_catalog"):
        parse_signs(CATALOGS, body, total=None)
