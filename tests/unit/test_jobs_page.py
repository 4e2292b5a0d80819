"""A page counts only if it is what was asked for: R12's bodies, the order, the cursor, and nothing beside."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import OrderIgnored, PredicateIgnored, ResponseInvalid, TransactionCancelled
from jobs.page import (
    Page,
    Position,
    count_parameters,
    next_position,
    page_parameters,
    parse_count,
    parse_error,
    parse_page,
)
from jobs.surface import Table

A, B, C = ("0" * 31 + digit for digit in "abc")
TABLE = Table(
    domain="tests", name="u_tests", fields=("sys_id", "name", "u_text"), why="", role="", kind="test",
)  # fmt: skip
FILTERED = Table(
    domain="tests",
    name="u_tests",
    fields=("sys_id",),
    why="",
    role="",
    kind="test",
    filter="active=true^ORx=1",
)
PART = json.dumps({"result": [{"sys_id": A, "name": "first"}]}).encode()
CANCELLED = {
    "message": "Transaction cancelled: maximum execution time exceeded",
    "detail": "maximum execution time exceeded Check logs for error trace or enable glide.rest.debug property",
}


def build_body(*rows: object, **more: object) -> bytes:
    return json.dumps({"result": rows, **more}).encode()


def test_rows_come_as_they_are() -> None:
    page = parse_page(
        TABLE, build_body({"sys_id": A, "name": " 東京\n", "u_text": ""}, {"sys_id": B}), cursor=""
    )
    assert page == Page(rows=({"sys_id": A, "name": " 東京\n", "u_text": ""}, {"sys_id": B}))


def test_no_rows_are_a_page() -> None:
    assert parse_page(TABLE, b'{"result":[]}', cursor=A) == Page(rows=())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"<html><body class='instance-hibernating-page'>Your instance is hibernating</body></html>",
        PART[:-2],
        PART + b"}",
        PART[:-1] + b',"error":{"message":"Transaction cancelled","detail":null},"status":"failure"',
        build_body({"sys_id": A}, error=CANCELLED, status="failure"),
        build_body({"sys_id": A}, error=CANCELLED),
        build_body({"sys_id": A}, status="failure"),
        build_body({"sys_id": A}, error="cancelled"),
        build_body(error={"message": "No Record found", "detail": "x"}, status="failure"),
        b'{"result":null}',
        b'{"result":"1 records"}',
        b'{"result":{"sys_id":"' + A.encode() + b'"}}',
        build_body([A]),
        build_body(None),
        build_body({"sys_id": A, "name": None}),
        build_body({"sys_id": A, "name": 7}),
        build_body({"sys_id": A, "name": {"link": "https://x.example.invalid", "value": B}}),
        build_body({"sys_id": A, "name": {"display_value": "x", "value": B}}),
        build_body({"sys_id": A}) + b"\n<!-- served by node 7 -->",
        b'{"result":[{"sys_id":"' + A.encode() + b'","name":"\xff"}]}',
        b'{"result":[{"sys_id":"' + A.encode() + b'","name":"\x00"}]}',
    ],
)
def test_what_is_no_list_of_rows_of_strings_is_refused(body: bytes) -> None:
    """R12: an error after partial rows, a page for people, a null, a cut, and other things that came with 200."""
    with pytest.raises(ResponseInvalid, match="u_tests") as caught:
        parse_page(TABLE, body, cursor="")
    assert type(caught.value) in {ResponseInvalid, TransactionCancelled}
    assert caught.value.__cause__ is None, "what the library says may quote the body"
    assert not any(word in caught.value.message for word in ("first", "hibernating", A))


@given(st.integers(0, len(PART) - 1))
def test_no_cut_body_is_taken_for_a_whole_one(length: int) -> None:
    with pytest.raises(ResponseInvalid):
        parse_page(TABLE, PART[:length], cursor="")


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ResponseInvalid):
        parse_page(TABLE, noise, cursor="")


@pytest.mark.parametrize(
    "sys_id", ["", "short", A.upper(), A + "0", A + "\n", f" {A}", "global", A[:-1] + "é"]
)
def test_a_row_without_a_proper_key_is_refused(sys_id: str) -> None:
    for row in ({"sys_id": sys_id}, {"name": "no key"}, {}):
        with pytest.raises(ResponseInvalid, match="sys_id is missing or not 32 hex digits"):
            parse_page(TABLE, build_body(row), cursor="")


@pytest.mark.parametrize(
    ("ids", "cursor"),
    [((B, A), ""), ((A, A), ""), ((A, C, B), ""), ((A,), A), ((A,), B), ((A, B, C), A)],
)
def test_rows_out_of_order_or_not_after_the_cursor_are_told_apart(ids: tuple[str, ...], cursor: str) -> None:
    with pytest.raises(OrderIgnored, match="query_range"):
        parse_page(TABLE, build_body(*({"sys_id": sys_id} for sys_id in ids)), cursor=cursor)


@given(st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=8), st.integers(0, 8))
def test_a_page_is_taken_just_when_its_keys_rise_from_the_cursor(ids: list[str], cursor_at: int) -> None:
    cursor = sorted(ids)[cursor_at] if cursor_at < len(ids) else ""
    body = build_body(*({"sys_id": sys_id} for sys_id in ids))
    if ids == sorted(set(ids)) and all(sys_id > cursor for sys_id in ids):
        assert [row["sys_id"] for row in parse_page(TABLE, body, cursor=cursor).rows] == ids
    else:
        with pytest.raises(OrderIgnored):
            parse_page(TABLE, body, cursor=cursor)


def test_what_was_not_asked_for_is_dropped() -> None:
    rows = (
        {"sys_id": A, "name": "x", "email": "secret"},
        {"sys_id": B, "phone": "secret", "email": "secret"},
    )
    page = parse_page(TABLE, build_body(*rows), cursor="")
    assert page == Page(rows=({"sys_id": A, "name": "x"}, {"sys_id": B}))


def test_a_row_that_does_not_answer_the_filter_gives_the_whole_page_up() -> None:
    """A predicate that the instance dropped brings rows that nobody asked for, with 200."""
    table = dataclasses.replace(TABLE, filter="nameSTARTSWITHu_")
    asked, other = {"sys_id": A, "name": "u_own"}, {"sys_id": B, "name": "incident"}
    assert parse_page(table, build_body(asked), cursor="").rows == (asked,)
    with pytest.raises(PredicateIgnored, match="u_tests"):
        parse_page(table, build_body(asked, other), cursor="")
    with pytest.raises(PredicateIgnored):
        parse_page(table, build_body({"sys_id": A}), cursor="")
    assert parse_page(
        dataclasses.replace(table, fields=("sys_id",)), build_body({"sys_id": B}), cursor=""
    ).rows


def test_nul_characters_which_no_database_stores_are_replaced() -> None:
    rows = ({"sys_id": A, "name": "a\0b\0", "u_text": "\\u0000"}, {"sys_id": B, "name": "plain"})
    page = parse_page(TABLE, build_body(*rows), cursor="")
    assert page.rows[0] == {"sys_id": A, "name": "a\ufffdb\ufffd", "u_text": "\\u0000"}
    assert page.rows[1]["name"] == "plain"


def test_the_first_request_names_every_field_and_orders_by_the_key() -> None:
    assert page_parameters(TABLE, Position(), limit_rows=500) == {
        "sysparm_query": "ORDERBYsys_id",
        "sysparm_fields": "sys_id,name,u_text,sys_mod_count,sys_updated_on",
        "sysparm_limit": "500",
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }


def test_the_next_request_begins_after_the_cursor_and_keeps_the_filter() -> None:
    parameters = page_parameters(FILTERED, Position(cursor=A, offset=1_000), limit_rows=500)
    assert parameters["sysparm_query"] == f"active=true^ORx=1^sys_id>{A}^ORDERBYsys_id"
    assert parameters["sysparm_offset"] == "1000"


def test_the_count_is_asked_of_the_same_rows() -> None:
    assert count_parameters(TABLE) == {"sysparm_count": "true"}
    assert count_parameters(FILTERED) == {"sysparm_count": "true", "sysparm_query": "active=true^ORx=1"}


def test_a_count_is_read_from_its_text() -> None:
    assert parse_count(TABLE, b'{"result":{"stats":{"count":"42","max":{"sys_updated_on":"x"}}}}') == 42


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"{}", b"<html>", b'{"result":[]}', b'{"result":{}}', b'{"result":{"stats":{}}}',
        b'{"result":{"stats":{"count":""}}}', b'{"result":{"stats":{"count":"many"}}}',
        b'{"result":{"stats":{"count":42}}}', b'{"result":{"stats":{"count":"-1"}}}',
        b'{"result":{"stats":{"count":"1_0"}}}', b'{"result":{"stats":{"count":"' + b"9" * 5_000 + b'"}}}',
        b'{"result":{"stats":{"count":"4"}},"error":{"message":"x","detail":null}}', b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_count_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseInvalid, match="u_tests is not a count"):
        parse_count(TABLE, body)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            b'{"error":{"message":"Invalid table foo","detail":null},"status":"failure"}',
            ("Invalid table foo", ""),
        ),
        (b'{"error":{"message":"m","detail":"d"}}', ("m", "d")),
        (b'{"error":"access_denied"}', ("", "")),
        (b"<html>", ("", "")),
        (b"\xff", ("", "")),
        (b"", ("", "")),
        (b"null", ("", "")),
        (b"{}", ("", "")),
    ],
)
def test_an_error_is_read_where_there_is_one(body: bytes, found: tuple[str, str]) -> None:
    assert parse_error(body) == found


def page_of(*ids: str) -> Page:
    return Page(rows=tuple({"sys_id": sys_id} for sys_id in ids))


@pytest.mark.parametrize(
    ("position", "page", "total", "following"),
    [
        (Position(), page_of(A, B), 9, Position(cursor=B)),
        (Position(), page_of(A, B), 3, Position(cursor=B, ended=True)),
        (Position(), page_of(A, B), None, Position(cursor=B)),
        (Position(cursor=A), page_of(B), 9, Position(cursor=B)),
        (Position(cursor=A), page_of(), 9, Position(cursor=A, offset=3)),
        (Position(cursor=A, offset=3), page_of(), 9, Position(cursor=A, offset=6)),
        (Position(cursor=A, offset=6), page_of(), 9, Position(cursor=A, offset=6, ended=True)),
        (Position(cursor=A, offset=6), page_of(C), 10, Position(cursor=C)),
        (Position(cursor=A, offset=6), page_of(C), 9, Position(cursor=C, ended=True)),
        (Position(cursor=A), page_of(), None, Position(cursor=A, ended=True)),
        (Position(), page_of(), 0, Position(ended=True)),
    ],
)
def test_reading_goes_on_after_the_last_row_or_past_a_window_that_acls_emptied(
    position: Position, page: Page, total: int | None, following: Position
) -> None:
    assert next_position(position, page, limit_rows=3, total=total) == following
