"""What status and headers say: the classification, the waits that are asked for, and what messages tell."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Failure, ResponseInvalid, TableDenied
from worker.servicenow.answers import (
    Answer,
    Asked,
    check_table_answer,
    parse_retry_after,
    parse_total,
)

ASKED = Asked("acme.service-now.com", "table sys_user_group")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
JSON, HTML = "application/json", "text/html"


def judge(status: int, body: bytes = b"", media_type: str = JSON) -> Failure | None:
    try:
        check_table_answer(Answer(status, media_type, body), ASKED, table="sys_user_group")
    except Failure as failure:
        return failure
    return None


def envelope(message: str, detail: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "detail": detail}, "status": "failure"}).encode()


CODES = {
    "response_invalid": [200, 201, 204, 206, 402, 404, 405, 406, 408, 414, 415, 418, 499, 500],
    "instance_throttled": [202, 429],
    "instance_asleep": [300, 301, 302, 303, 304, 307, 308],
    "credentials_rejected": [401],
    "table_denied": [403],
    "instance_unreachable": [501, 502, 503, 504, 507, 520, 530, 599],
}


@pytest.mark.parametrize(("code", "status"), [(code, one) for code, many in CODES.items() for one in many])
def test_a_status_has_one_meaning(code: str, status: int) -> None:
    failure = judge(status, media_type="text/plain")
    assert failure is not None
    assert failure.code == code


def test_only_200_with_json_is_an_answer() -> None:
    assert judge(200, b"{}") is None


def test_no_other_status_passes() -> None:
    assert [status for status in range(100, 600) if judge(status, b"{}") is None] == [200]


@pytest.mark.parametrize(
    ("status", "code"), [(200, "instance_asleep"), (503, "instance_asleep"), (502, "instance_unreachable")]
)
def test_a_page_for_people_is_sleep_where_data_was_due(status: int, code: str) -> None:
    failure = judge(status, b"<html>hibernating</html>", HTML)
    assert failure is not None
    assert failure.code == code


@pytest.mark.parametrize("status", [201, 202, 302, 400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":null}', b"[1]", b"\xff", envelope("x", "y")])
def test_every_message_names_the_host_and_what_was_asked(status: int, body: bytes) -> None:
    failure = judge(status, body)
    assert failure is not None
    assert failure.message.startswith("acme.service-now.com, asked for table sys_user_group, ")


def test_a_denial_repeats_the_apis_own_words_in_one_short_line() -> None:
    failure = judge(403, envelope("Insufficient rights\nto query \x1b[31mrecords", "No permission " * 100))
    assert isinstance(failure, TableDenied)
    assert "Insufficient rights to query [31mrecords; No permission" in failure.message
    assert failure.message.isprintable()
    assert len(failure.message) < 500


def test_a_denial_without_the_apis_words_points_to_the_network() -> None:
    failure = judge(403, b"<html>Forbidden by proxy-canary</html>", HTML)
    assert isinstance(failure, TableDenied)
    assert "IP access rule or a proxy" in failure.message
    assert "canary" not in failure.message


def test_only_invalid_table_means_an_absent_table() -> None:
    absent, other = judge(400, envelope("Invalid table x_foo")), judge(400, envelope("Query refused"))
    assert absent is not None
    assert absent.code == "table_absent"
    assert type(other) is ResponseInvalid
    assert "answered 400: Query refused" in other.message


def test_an_answer_shows_no_body() -> None:
    assert "canary" not in repr(Answer(200, JSON, b"canary"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("9" * 400, 86_400),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=900), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), 86_400),
        ("Tue, 24 Nov 2026 12:01:00", 60),
        ("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", None),
    ],
)
def test_a_wait_is_read_as_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == seconds


@given(st.text() | st.integers().map(str) | st.datetimes().map(format_datetime))
def test_no_header_makes_a_wait_that_is_negative_or_endless(text: str) -> None:
    seconds = parse_retry_after(text, now=NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize(
    ("text", "total"),
    [(None, None), ("", None), ("12", 12), ("-1", None), ("1e9", None), ("٣", None), ("9" * 99, None)],
)
def test_a_total_is_digits_or_unknown(text: str | None, total: int | None) -> None:
    assert parse_total(text) == total
