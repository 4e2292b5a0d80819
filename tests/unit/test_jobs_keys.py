"""The keys of a page: every record's, with what says whether it changed where that was read."""

from __future__ import annotations

import json

from jobs.keys import build_keys

KEY = "a" * 32


def test_a_key_says_how_often_and_when_its_record_was_changed() -> None:
    rows = [{"sys_id": KEY, "sys_mod_count": "7", "sys_updated_on": "2026-01-02 03:04:05", "name": "x"}]
    assert json.loads(build_keys(rows)) == [{"id": KEY, "mod": 7, "on": "2026-01-02 03:04:05"}]


def test_what_was_not_read_or_is_no_number_is_left_out() -> None:
    counts = ("many", "", "-1", "1e9", "\u0663", "9" * 13, "9" * 5_000)
    rows = [
        {"sys_id": KEY},
        *({"sys_id": KEY, "sys_mod_count": said, "sys_updated_on": ""} for said in counts),
    ]
    assert json.loads(build_keys(rows)) == [{"id": KEY}] * 8


def test_a_key_says_which_references_its_record_came_without() -> None:
    rows = [
        {"sys_id": KEY, "group": ""},
        {"sys_id": KEY, "parent": KEY},
        {"sys_id": KEY, "group": KEY, "parent": ""},
    ]
    referring = {"group": ("group",), "parent": ("parent",)}
    assert [key.get("no") for key in json.loads(build_keys(rows, referring=referring))] == [
        "parent",
        "group",
        None,
    ]


def test_the_key_of_a_link_misses_its_edge_where_either_end_is_withheld() -> None:
    rows = [{"sys_id": KEY, "role": KEY}, {"sys_id": KEY, "role": KEY, "group": KEY}]
    keys = json.loads(build_keys(rows, referring={"role": ("group", "role")}))
    assert [key.get("no") for key in keys] == ["role", None]
