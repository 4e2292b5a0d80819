"""Whatever stands in a body, each parser gives a value or one of our failures: mutated, nested, huge, broken.

`make soak` runs the properties with fifty times as many bodies.
"""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import Failure, OrderIgnored, ResponseInvalid, TransactionCancelled
from jobs.page import Page, is_cancelled, parse_count, parse_error, parse_page
from jobs.surface import read_surface
from tests.conftest import PROFILE_VARIABLE
from worker.servicenow.answers import Answer, Asked, check_table_answer
from worker.servicenow.grant import parse_token
from worker.servicenow.tokens import Token

TABLE = read_surface().tables["sys_user_group"]
ASKED = Asked("acme.service-now.com", "a token")
BODIES: Final = 100_000 if os.environ.get(PROFILE_VARIABLE) == "soak" else 3_000
A, B = "a" * 32, "b" * 32
DEEP: Final = 200_000

SEEDS: list[bytes] = [
    json.dumps({"result": [{"sys_id": A, "name": "Größe \U0001f600", "parent": B}, {"sys_id": B}]}).encode(),
    json.dumps({"result": [{"sys_id": A, "name": "Größe \U0001f600"}]}, ensure_ascii=False).encode(),
    json.dumps({"result": []}).encode(),
    json.dumps({"result": {"stats": {"count": "42", "max": {"sys_updated_on": "2026-11-23 10:00:00"}}}}).encode(),
    json.dumps({"error": {"message": "Invalid table x", "detail": None}, "status": "failure"}).encode(),
    json.dumps({"result": [{"sys_id": A}], "error": {"message": "Transaction cancelled"}}).encode(),
    json.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 1799, "scope": "useraccount"}).encode(),
    json.dumps({"error_description": "access_denied", "error": "server_error"}).encode(),
    b"<html><body class='instance-hibernating-page'>Your instance is hibernating</body></html>",
]  # fmt: skip
PIECES: list[bytes] = [
    b"\\ud800", b"\\udfff", b"\\ud83d\\ude00", b"\\u0000", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"',
    b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"Infinity", b"-0", b"1e99999", b"9" * 400,
    b"[" * 3_000, b'{"a":' * 3_000, b'"error":{"message":"Transaction cancelled"}', b'"status":"failure"',
    b'"result":[', b'"result":null',
    b'"sys_id":"' + A.encode() + b'"', b'"count":"', b'"expires_in":', b"/**/", b"\r\n", b" " * 500, b"\xe2\x80\xa8",
]  # fmt: skip
PARSERS: dict[str, Callable[[bytes], Any]] = {
    "page": lambda body: parse_page(TABLE, body, cursor=""),
    "next page": lambda body: parse_page(TABLE, body, cursor=A),
    "count": lambda body: parse_count(TABLE, body),
    "error": parse_error,
    "cancelled": is_cancelled,
    "token": lambda body: parse_token(Answer(200, "application/json", body), ASKED),
    "token refused": lambda body: parse_token(Answer(401, "application/json", body), ASKED),
    "denial": lambda body: check_table_answer(Answer(403, "application/json", body), ASKED, table="t"),
    "bad request": lambda body: check_table_answer(Answer(400, "application/json", body), ASKED, table="t"),
    "defect": lambda body: check_table_answer(Answer(500, "application/json", body), ASKED, table="t"),
}


def check_value(value: object) -> None:
    """Check that a value can be stored and sent: no NUL, no half character, nothing that was not asked for."""
    match value:
        case Page(rows=rows):
            for row in rows:
                assert row.keys() <= set(TABLE.fields)
                for text in row.values():
                    assert "\0" not in text
                    text.encode()
        case Token(text=text):
            assert text.isascii()
            assert text.isprintable()
        case int(count):
            assert 0 <= count < 10**18
        case (str(message), str(detail)):
            (message + detail).encode()


def try_all(body: bytes) -> None:
    for parse in PARSERS.values():
        try:
            value = parse(body)
        except Failure as failure:
            value = (failure.message, "")
        check_value(value)


def mutate(draw: random.Random) -> bytes:
    """Make a body that was one of ours once: pieces put in, cut out, doubled, bytes flipped."""
    body = bytearray(draw.choice(SEEDS))
    for _ in range(draw.randint(1, 6)):
        place = draw.randint(0, len(body))
        end = min(len(body), place + draw.randint(0, 40))
        match draw.randint(0, 4):
            case 0:
                body[place:place] = draw.choice(PIECES)
            case 1:
                del body[place:end]
            case 2:
                body[place:place] = body[place:end]
            case 3 if place < len(body):
                body[place] ^= 1 << draw.randint(0, 7)
            case _:
                body[place:end] = draw.choice(PIECES)
    return bytes(body)


def test_thousands_of_mutated_bodies_are_values_or_failures_of_ours() -> None:
    seed = random.randrange(1 << 32)  # noqa: S311  pytest-randomly sets and prints where it comes from
    draw = random.Random(seed)  # noqa: S311  makes bodies, guards nothing
    for number in range(BODIES):
        body = mutate(draw)
        try:
            try_all(body)
        except Exception as error:
            raise AssertionError(f"body {number} of seed {seed}: {body!r}") from error


@given(st.binary(max_size=500))
def test_noise_is_too(body: bytes) -> None:
    try_all(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(A),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["result", "error", "status", "sys_id", "name", "stats", "count", "message", "expires_in"])
        | st.text(st.characters()),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=500)
@given(JSON)
def test_so_is_any_json_with_half_characters_too(document: object) -> None:
    try_all(json.dumps(document).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"result":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"result":[]}',
        b'{"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b',"result":[]}',
        b'{"error":' + b'{"error":' * DEEP + b"1" + b"}" * DEEP + b"}",
    ],
    ids=["open", "bare", "result", "beside the result", "objects", "errors"],
)
def test_a_deep_nest_is_refused_and_not_fallen_into(body: bytes) -> None:
    try_all(body)
    with pytest.raises(ResponseInvalid):
        parse_page(TABLE, body, cursor="")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"x\ud800y", "x\ufffdy"),
        (r"x\udc00y", "x\ufffdy"),
        (r"x\uD800", "x\ufffd"),
        (r"\ud800\ud800", "\ufffd\ufffd"),
        (r"\udc00\ud800", "\ufffd\ufffd"),
        (r"\ud800\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (r"\\ud800 \ud800", "\\ud800 \ufffd"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\ud800\n\"\u0000\u00e9", '\ufffd\n"\ufffdé'),
        (r"\ud800A", "\ufffdA"),
    ],
)
def test_half_a_character_is_replaced_as_nul_is_and_nothing_else_is_touched(written: str, read: str) -> None:
    """One such value must not keep its table from being read for ever."""
    body = f'{{"result":[{{"sys_id":"{A}","name":"{written}"}},{{"sys_id":"{B}","name":"whole"}}]}}'.encode()
    first, second = parse_page(TABLE, body, cursor="").rows
    assert first == {"sys_id": A, "name": read}
    assert second == {"sys_id": B, "name": "whole"}


def test_half_a_character_in_an_error_or_beside_the_rows_does_no_harm() -> None:
    assert parse_error(rb'{"error":{"message":"Invalid table \ud800"}}') == ("Invalid table \ufffd", "")
    assert parse_page(TABLE, rb'{"x":"\ud800","result":[]}', cursor="") == Page(())
    assert parse_count(TABLE, rb'{"x":"\udc00","result":{"stats":{"count":"7"}}}') == 7


def test_a_megabyte_in_a_name_is_a_name_and_costs_its_length() -> None:
    body = json.dumps({"result": [{"sys_id": A, "name": "x" * (1 << 20)}]}).encode()
    tracemalloc.start()
    try:
        page = parse_page(TABLE, body, cursor="")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(page.rows[0]["name"]) == 1 << 20
    assert peak_bytes < 4 << 20


@pytest.mark.parametrize("ids", [(A, A), (A, B, B), (A, B, A)])
def test_a_sys_id_that_comes_twice_is_refused(ids: tuple[str, ...]) -> None:
    body = json.dumps({"result": [{"sys_id": sys_id} for sys_id in ids]}).encode()
    with pytest.raises(OrderIgnored):
        parse_page(TABLE, body, cursor="")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"result":[{"sys_id":"%s"}],"error":{"message":"Transaction cancell' % A.encode(), TransactionCancelled),
        (b'{"result":[{"sys_id":"%s"}],"error":{"message":"x"}}' % A.encode(), TransactionCancelled),
        (b'{"result":[],"error":{"message":"","detail":"maximum execution time exceeded"}}', TransactionCancelled),
        (b'{"error":{"message":"Transaction cancelled"},"status":"failure"}', TransactionCancelled),
        (b'{"error":{"message":"No Record found"},"status":"failure"}', ResponseInvalid),
        (b'{"result":[{"sys_id":"%s","name":"Transaction cancelled' % A.encode(), ResponseInvalid),
        (b'{"result":[{"sys_id":"%s","name":"\\"error\\":{ Transaction cancelled' % A.encode(), ResponseInvalid),
    ],
)  # fmt: skip
def test_a_cancelled_transaction_is_told_from_other_errors_even_where_its_json_is_cut(
    body: bytes, kind: type[Failure]
) -> None:
    with pytest.raises(kind) as caught:
        parse_page(TABLE, body, cursor="")
    assert type(caught.value) is kind
    assert isinstance(caught.value, ResponseInvalid)


@pytest.mark.parametrize("lifetime", ["9" * 400, '"86401"', "86400"])
def test_a_lifetime_of_any_length_is_a_day_at_most(lifetime: str) -> None:
    body = f'{{"access_token":"t","token_type":"Bearer","expires_in":{lifetime}}}'.encode()
    assert parse_token(Answer(200, "application/json", body), ASKED).expires_in_seconds == 86_400
