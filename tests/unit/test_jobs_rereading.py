"""Which way a table is read again, what is asked for it, and what is believed of the answers."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.errors import OrderIgnored, OutsideSurface, ResponseInvalid
from jobs.page import Position
from jobs.rereading import (
    Aggregates,
    Forced,
    KnownTable,
    Way,
    aggregate_parameters,
    describe_shape,
    is_fetch_cheaper,
    is_unchanged,
    keys_of,
    lower_bound,
    parse_aggregates,
    parse_changed,
    parse_records,
    plan_way,
)
from jobs.surface import read_surface
from worker.servicenow.questions import (
    build_aggregates_question,
    build_changed_question,
    build_records_question,
)

GROUPS = read_surface().tables["sys_user_group"]
SEEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = Aggregates(counted=100, newest="2026-02-28 08:00:00", changes=500)
KNOWN = KnownTable(
    shape="s", verdict="complete", hidden=0, reason=None, rows=100, aggregates=NOW, as_of=SEEN, checked_at=SEEN,
    runs_since_scan=0, runs_since_whole=0,
)  # fmt: skip
FORCED = Forced(scan_every=24, whole_every=168)
KEY = "a" * 32


def known(**changed: Any) -> KnownTable:
    return dataclasses.replace(KNOWN, **changed)


def now(**changed: Any) -> Aggregates:
    return dataclasses.replace(NOW, **changed)


@pytest.mark.parametrize(
    ("known_table", "aggregates", "way"),
    [
        (None, NOW, "whole"),
        (KNOWN, NOW, "skipped"),
        (KNOWN, now(newest="2026-03-01 12:30:00", changes=501), "delta"),
        (KNOWN, now(changes=501), "delta"),
        (KNOWN, now(counted=101), "delta"),
        (KNOWN, now(counted=99), "scan"),
        (known(shape="t"), NOW, "whole"),
        (known(verdict="hidden"), NOW, "skipped"),
        (known(verdict="hidden"), now(changes=501), "whole"),
        (known(runs_since_scan=22), NOW, "skipped"),
        (known(runs_since_scan=23), NOW, "scan"),
        (known(runs_since_scan=23, verdict="hidden"), NOW, "whole"),
        (known(runs_since_whole=167), NOW, "whole"),
    ],
)
def test_the_least_way_is_taken_that_can_be_trusted(
    known_table: KnownTable | None, aggregates: Aggregates, way: Way
) -> None:
    assert plan_way(known_table, aggregates, shape="s", forced=FORCED) == way


@pytest.mark.parametrize(
    ("newest", "way"), [("11:49:59", "skipped"), ("11:50:00", "delta"), ("12:00:00", "delta")]
)
def test_a_table_that_changed_shortly_before_it_was_seen_is_not_skipped(newest: str, way: Way) -> None:
    recent = now(newest=f"2026-03-01 {newest}")
    assert plan_way(known(aggregates=recent), recent, shape="s", forced=FORCED) == way


def test_a_row_dated_in_the_future_stops_no_delta() -> None:
    """R13: the bound follows when the table was seen, not its newest row."""
    future = now(newest="2031-01-01 00:00:00")
    assert plan_way(known(aggregates=future), future, shape="s", forced=FORCED) == "delta"
    assert lower_bound(known(aggregates=future)) == "2026-03-01 11:50:00"


def test_aggregates_without_a_time_show_no_change_and_skip_nothing() -> None:
    """An account that may not aggregate a column gets 200 and no value: the same whatever is changed."""
    mute = now(newest="", changes=0)
    assert plan_way(known(aggregates=mute), mute, shape="s", forced=FORCED) == "whole"
    assert plan_way(KNOWN, mute, shape="s", forced=FORCED, is_link=True) == "whole"
    assert not is_unchanged(mute, mute, checked_at=SEEN)
    empty = now(counted=0, newest="", changes=0)
    assert is_unchanged(empty, empty, checked_at=SEEN), "of no rows there is none"


def test_without_trust_in_times_keys_are_read() -> None:
    """R14: where bounds on times mean something else there, none is used."""
    assert plan_way(KNOWN, now(changes=501), shape="s", forced=FORCED, trusts_times=False) == "scan"


def test_one_run_forces_every_read() -> None:
    assert plan_way(KNOWN, NOW, shape="s", forced=Forced(1, 9)) == "scan"
    assert plan_way(KNOWN, NOW, shape="s", forced=Forced(9, 1)) == "whole"


def test_the_shape_follows_what_is_asked_and_made_of_a_table() -> None:
    shape = describe_shape(GROUPS)
    assert shape == describe_shape(dataclasses.replace(GROUPS))
    changes: list[dict[str, Any]] = [
        {"fields": GROUPS.fields[:-1]},
        {"filter": "active=true"},
        {"references": {}},
    ]
    for changed in changes:
        assert describe_shape(dataclasses.replace(GROUPS, **changed)) != shape


@pytest.mark.parametrize(("differing", "cheaper"), [(0, True), (100, True), (101, False)])
def test_fetching_by_key_is_given_up_where_pages_would_be_fewer(differing: int, *, cheaper: bool) -> None:
    assert is_fetch_cheaper(differing=differing, counted=1000, batch_keys=100, page_rows=1000) == cheaper


def test_bounds_are_in_utc() -> None:
    elsewhere = SEEN.astimezone(tz=datetime.now().astimezone().tzinfo) + timedelta(0)
    assert lower_bound(known(checked_at=elsewhere)) == "2026-03-01 11:50:00"


def stats(**stats: Any) -> bytes:
    return json.dumps({"result": {"stats": stats}}).encode()


def test_aggregates_are_asked_for_as_stored_and_within_the_filter() -> None:
    filtered = dataclasses.replace(GROUPS, filter="active=true")
    parameters = aggregate_parameters(filtered)
    assert parameters["sysparm_display_value"] == "false"
    assert parameters["sysparm_query"] == "active=true"
    question = build_aggregates_question(GROUPS)
    assert (question.path, question.parameters["sysparm_max_fields"]) == (
        "/api/now/stats/sys_user_group",
        "sys_updated_on",
    )


def test_aggregates_are_parsed_also_of_no_rows() -> None:
    body = stats(count="3", max={"sys_updated_on": "2026-01-01 00:00:00"}, sum={"sys_mod_count": "12"})
    assert parse_aggregates(GROUPS, body) == Aggregates(3, "2026-01-01 00:00:00", 12)
    empty = stats(count="0", max={"sys_updated_on": ""}, sum={"sys_mod_count": ""})
    assert parse_aggregates(GROUPS, empty) == Aggregates(0, "", 0)
    for moment in ("yesterday", "2026-01-01 00:00:00\0", "01/02/2026 03:04:05"):
        assert not parse_aggregates(GROUPS, stats(count="3", max={"sys_updated_on": moment})).tell_changes


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"null", stats(count="many"), stats(count="1", sum={"sys_mod_count": "NaN"}),
        stats(count="1", sum={"sys_mod_count": "9" * 19}), stats(count="1", sum={"sys_mod_count": "9" * 5_000}),
        b'{"result": {"stats": {"count": "1"}}, "error": {"message": "cancelled"}}', stats(count="1", max="x"),
    ],
)  # fmt: skip
def test_what_are_no_aggregates_is_not_believed(body: bytes) -> None:
    with pytest.raises(ResponseInvalid):
        parse_aggregates(GROUPS, body)


def rows(*updated_on: str) -> bytes:
    result = [
        {"sys_id": f"{number:032x}", "sys_updated_on": moment} for number, moment in enumerate(updated_on, 1)
    ]
    return json.dumps({"result": result}).encode()


def test_a_delta_asks_from_a_time_on_and_never_past_it() -> None:
    """R10: cursors are values as stored, and no display value is asked for."""
    since = "2026-03-01 11:50:00"
    question = build_changed_question(GROUPS, Position(cursor=KEY), since=since, limit_rows=10)
    assert question.parameters["sysparm_query"] == f"sys_updated_on>={since}^sys_id>{KEY}^ORDERBYsys_id"
    assert question.parameters["sysparm_display_value"] == "false"
    with pytest.raises(OutsideSurface):
        build_changed_question(GROUPS, Position(), since="yesterday^NQactive=true", limit_rows=10)


def test_a_row_from_before_the_bound_shows_that_it_was_dropped() -> None:
    since = "2026-03-01 11:50:00"
    assert len(parse_changed(GROUPS, rows(since, "2031-01-01 00:00:00"), cursor="", since=since).rows) == 2
    for older in ("2026-03-01 11:49:59", ""):
        with pytest.raises(OrderIgnored):
            parse_changed(GROUPS, rows(since, older), cursor="", since=since)


def test_records_are_asked_for_by_key_and_others_are_not_taken() -> None:
    question = build_records_question(GROUPS, [KEY])
    assert question.parameters["sysparm_fields"] == ",".join(GROUPS.asked)
    assert parse_records(GROUPS, rows("x"), sys_ids=[f"{1:032x}", KEY]).rows
    with pytest.raises(OrderIgnored):
        parse_records(GROUPS, rows("x"), sys_ids=[KEY])


def test_a_scan_asks_for_keys_and_states_alone() -> None:
    assert keys_of(GROUPS).asked == ("sys_id", "sys_mod_count", "sys_updated_on")
