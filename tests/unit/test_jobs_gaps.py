"""What a server may leave open is named, and said what it leaves."""

from __future__ import annotations

from jobs.gaps import GAPS, describe_gaps, find_unknown_gaps


def test_a_gap_is_told_with_its_first_door_how_many_more_and_what_it_leaves_open() -> None:
    doors = {
        "execute:texts": ["EXECUTE on ts_stat(text)", "EXECUTE on query_to_xml(text)"],
        "usage:sql": ["USAGE"],
    }
    assert describe_gaps(doors) == (
        f"execute:texts (EXECUTE on query_to_xml(text) and 1 more): {GAPS['execute:texts']}; "
        f"usage:sql (USAGE): {GAPS['usage:sql']}"
    )


def test_a_name_that_is_no_gaps_is_found() -> None:
    assert find_unknown_gaps(["usage:sql", "usage:cobol", "*"]) == ["*", "usage:cobol"]
