"""What a look at one table tells, who is to grant what, and what can be said of an account that is only read with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.examination import (
    EMPTY,
    Examined,
    describe_scope,
    describe_table,
    judge_look,
    name_kinds,
    name_missing,
)
from jobs.surface import Table, read_surface
from jobs.verdict import Verdict

SURFACE = read_surface()
GROUPS, LINKS = SURFACE.tables["sys_user_group"], SURFACE.tables["sc_cat_item_category"]


def rows(table: Table, number: int, *, without: str = "") -> list[dict[str, str]]:
    return [{name: "x" for name in table.asked if name != without} for _ in range(number)]


@pytest.mark.parametrize(
    ("given", "counted", "verdict", "hidden"),
    [
        (0, 0, "complete", 0),
        (7, 7, "complete", 0),
        (100, 5_000, "complete", 0),
        (0, 7, "hidden", 7),
        (6, 7, "hidden", 1),
        (99, 5_000, "hidden", 1),
        (7, 6, "unknown", 0),
        (7, None, "unknown", 0),
    ],
)
def test_what_was_looked_at_must_be_all_that_is_counted(
    given: int, counted: int | None, verdict: str, hidden: int
) -> None:
    found = judge_look(GROUPS, rows(GROUPS, given), counted=counted, limit_rows=100)
    assert (found.name, found.hidden) == (verdict, hidden)
    assert (found.reason is None) == (verdict == "complete" and given > 0)


def test_a_table_without_a_row_is_complete_and_may_be_hidden_all_the_same() -> None:
    found = describe_table(GROUPS, judge_look(GROUPS, [], counted=0, limit_rows=100))
    assert found == Examined(GROUPS.name, "complete", EMPTY)
    assert found.is_fine


def test_a_field_that_no_row_has_is_named() -> None:
    some = [*rows(GROUPS, 2), *rows(GROUPS, 1, without="parent")]
    assert judge_look(GROUPS, some, counted=3, limit_rows=100).name == "complete"
    found = judge_look(GROUPS, rows(GROUPS, 3, without="parent"), counted=3, limit_rows=100)
    assert found.name == "partial"
    assert "no row has parent" in (found.reason or "")


def test_what_is_all_there_needs_no_grant() -> None:
    assert describe_table(GROUPS, Verdict("complete")) == Examined(GROUPS.name, "complete")


def test_what_is_missing_names_its_role_and_what_it_would_show() -> None:
    found = describe_table(LINKS, Verdict("denied", reason="403"))
    assert (found.verdict, found.grant, found.reason) == ("denied", LINKS.role, "403")
    assert LINKS.link is not None
    assert found.unblinds == (LINKS.link.kind,) == name_kinds(LINKS)
    assert not found.is_fine
    assert name_kinds(GROUPS)[0] == GROUPS.kind
    assert set(name_kinds(GROUPS)[1:]) == {reference.kind for reference in GROUPS.references.values()}


def test_an_absent_table_names_its_plugin_and_is_not_missed() -> None:
    found = describe_table(LINKS, Verdict("absent"))
    assert found.grant == f"plugin {LINKS.plugin}, then {LINKS.role}"
    assert found.is_fine
    assert describe_table(replace(LINKS, plugin=""), Verdict("absent")).grant == LINKS.role


@pytest.mark.parametrize("verdict", ["hidden", "partial", "denied", "failed", "unknown"])
def test_everything_else_is_missing(verdict: str) -> None:
    assert not Examined("t", verdict).is_fine


@pytest.mark.parametrize("table", SURFACE.tables.values(), ids=lambda table: table.name)
def test_every_table_of_the_surface_would_show_something(table: Table) -> None:
    assert describe_table(table, Verdict("denied")).grant
    assert name_kinds(table)


def test_what_is_missing_is_told_by_what_would_grant_it() -> None:
    fine, one, two, other = (
        Examined("a", "complete"),
        Examined("b", "denied", grant="itil"),
        Examined("c", "hidden", grant="itil"),
        Examined("d", "unknown"),
    )
    assert name_missing([fine, one, two, other]) == {"itil": [one, two], "": [other]}


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("useraccount", "account_could_write"),
        ("", "account_could_write"),
        ("zaptik_get", "account_read_only_unconfirmed"),
    ],
)
def test_nothing_more_is_claimed_of_an_account_than_its_token_tells(scope: str, code: str) -> None:
    [warning] = describe_scope(scope)
    assert warning.startswith(f"{code}: ")
    assert "snc_read_only" in warning
    assert scope in warning
