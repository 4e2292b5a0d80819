"""Looking records up: what is asked, what is believed, and what each combination of answers proves."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import urlencode

import pytest

from jobs.errors import OrderIgnored, OutsideSurface, ResponseInvalid
from jobs.lookup import (
    BATCH_KEYS,
    Fate,
    judge_gone,
    judge_missing,
    lookup_count_parameters,
    lookup_parameters,
    parse_lookup,
)
from jobs.surface import read_surface
from worker.servicenow.questions import build_lookup_count_question, build_lookup_question

GROUPS = read_surface().tables["sys_user_group"]
KEYS = [f"{number:032x}" for number in range(1, BATCH_KEYS + 1)]


def answer(*sys_ids: str) -> bytes:
    return json.dumps({"result": [{"sys_id": sys_id} for sys_id in sys_ids]}).encode()


def test_a_full_batch_fits_a_url() -> None:
    for question in (build_lookup_question(GROUPS, KEYS), build_lookup_count_question(GROUPS, KEYS)):
        assert len(urlencode(question.parameters)) < 7_000


def test_only_the_key_is_asked_for_and_within_the_tables_filter() -> None:
    filtered = dataclasses.replace(GROUPS, filter="active=true")
    parameters = lookup_parameters(filtered, KEYS[:2])
    assert parameters["sysparm_fields"] == "sys_id"
    assert parameters["sysparm_query"] == f"active=true^sys_idIN{KEYS[0]},{KEYS[1]}^ORDERBYsys_id"
    counted = lookup_count_parameters(filtered, KEYS[:2])["sysparm_query"]
    assert counted == f"active=true^sys_idIN{KEYS[0]},{KEYS[1]}"


@pytest.mark.parametrize("keys", [[], [*KEYS, "f" * 32], ["x"], ["a" * 32 + "^NQactive=true"]])
def test_what_are_no_keys_or_too_many_is_not_asked(keys: list[str]) -> None:
    for build in (build_lookup_question, build_lookup_count_question):
        with pytest.raises(OutsideSurface):
            build(GROUPS, keys)


def test_a_table_outside_the_surface_is_not_looked_into() -> None:
    for build in (build_lookup_question, build_lookup_count_question):
        with pytest.raises(OutsideSurface):
            build(dataclasses.replace(GROUPS, name="sys_user"), KEYS)


def test_what_is_given_is_told_and_what_was_not_asked_for_is_not_believed() -> None:
    assert parse_lookup(GROUPS, answer(KEYS[1], KEYS[3]), keys=KEYS) == {KEYS[1], KEYS[3]}
    with pytest.raises(OrderIgnored):  # the list of keys was dropped: the whole table came
        parse_lookup(GROUPS, answer(*KEYS), keys=KEYS[:5])
    with pytest.raises(ResponseInvalid):
        parse_lookup(GROUPS, b'{"result": "no"}', keys=KEYS)


@pytest.mark.parametrize(("counted", "fate"), [(0, "deleted"), (5, "hidden"), (3, None), (6, "unknown")])
def test_the_count_of_what_is_not_given_says_its_fate(counted: int, fate: Fate | None) -> None:
    """R19: only both answers together tell hidden from deleted."""
    assert judge_missing(missing=5, counted=counted) == fate


def test_a_table_is_as_complete_as_its_gone_records_are_known() -> None:
    assert judge_gone([]) is None
    assert judge_gone(["deleted", "deleted"]) is None
    hidden = judge_gone(["deleted", "hidden", "unknown", "hidden"])
    assert hidden is not None
    assert (hidden.name, hidden.hidden, hidden.closes) == ("hidden", 2, False)
    unknown = judge_gone(["deleted", "unknown"])
    assert unknown is not None
    assert (unknown.name, unknown.hidden, unknown.closes) == ("unknown", 0, False)
