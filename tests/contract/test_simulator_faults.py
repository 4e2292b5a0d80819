"""Every fault does what it says, to the requests it is meant for, and the same again for the same requests."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.simulator import Fault, Simulator, made_store
from ops.simulator.client import TOKEN_PATH, open_client
from ops.simulator.fault_answers import DONE
from ops.simulator.faults import KINDS
from ops.simulator.touches import is_forbidden

TABLE = "/api/now/table/sys_user_group"
STATS = "/api/now/stats/sys_user_group"
FAULTS = "/_simulator/faults"
ORDERED = {"sysparm_query": "ORDERBYsys_id", "sysparm_fields": "sys_id,name", "sysparm_limit": "10"}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "simulator.md"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(made_store(groups=30, items=3), control_token="control") as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with open_client(simulator) as client:
        yield client


def put(client: httpx.Client, *faults: dict[str, Any], **more: Any) -> None:
    answer = client.put(FAULTS, json={"faults": list(faults), **more})
    assert answer.status_code == 200, answer.text


def fetch(client: httpx.Client, path: str = TABLE) -> httpx.Response:
    return client.get(path, params=ORDERED)


def fetch_rows(client: httpx.Client) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = fetch(client).json()["result"]
    return rows


def test_every_kind_is_done_by_somebody_and_documented_with_every_field() -> None:
    assert set(KINDS) == DONE
    text = PAGE.read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
    assert [name for name in Fault.__struct_fields__ if f"`{name}`" not in text] == []
    named = re.findall(r"(?m)^\| `(\w+)` \| [^|]*\|$", text)
    assert [name for name in named if name not in {*KINDS, *Fault.__struct_fields__}] == []


def test_a_fault_strikes_its_requests_from_the_first_so_often_and_no_others(client: httpx.Client) -> None:
    put(client, {"kind": "failing", "table": "sys_user_group", "endpoint": "table", "first": 2, "times": 2})
    assert [fetch(client).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert fetch(client, STATS).status_code == 200
    assert fetch(client, "/api/now/table/sc_cat_item").status_code == 200
    put(client, {"kind": "failing", "times": 0})
    assert [fetch(client, path).status_code for path in (TABLE, STATS, TABLE)] == [500] * 3
    put(client)
    assert fetch(client).status_code == 200


def test_the_same_requests_meet_the_same_faults_and_another_seed_others(client: httpx.Client) -> None:
    def play(seed: int) -> list[int]:
        put(client, {"kind": "failing", "times": 0, "share": 0.5}, seed=seed)
        return [fetch(client).status_code for _ in range(20)]

    first = play(1)
    assert play(1) == first
    assert set(first) == {200, 500}
    assert play(2) != first


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "unheard of"}, {}, {"kind": "slow", "seconds": -1}, {"kind": "slow", "second": 1},
        {"kind": "slow", "first": 0}, {"kind": "failing", "status": 99}, {"kind": "failing", "share": 2},
        {"kind": "failing", "endpoint": "elsewhere"}, {"kind": "row_inserted", "rows": [{"name": "no sys_id"}]},
    ],
)  # fmt: skip
def test_a_fault_that_is_none_is_refused_and_those_that_are_set_stay(
    client: httpx.Client, fault: dict[str, Any]
) -> None:
    put(client, {"kind": "dropped", "times": 0})
    assert client.put(FAULTS, json={"faults": [fault]}).status_code == 400
    assert fetch(client).status_code == 202


def test_the_log_says_which_faults_struck(simulator: Simulator, client: httpx.Client) -> None:
    put(client, {"kind": "uncounted"}, {"kind": "duplicated"})
    fetch(client)
    fetch(client)
    assert [request["faults"] for request in simulator.requests] == [["uncounted", "duplicated"], []]


@pytest.mark.parametrize(
    ("fault", "status", "kind", "said"),
    [
        ({"kind": "hibernating"}, 200, "text/html", "instance-hibernating-page"),
        ({"kind": "redirected"}, 302, "", ""),
        ({"kind": "maintenance", "retry_after": "9"}, 503, "text/html", "maintenance"),
        ({"kind": "failing"}, 500, "application/json", "Internal server error"),
        ({"kind": "failing", "status": 502}, 502, "text/html", "gateway"),
        ({"kind": "throttled"}, 429, "application/json", "Rate limit exceeded"),
        ({"kind": "dropped"}, 202, "", ""),
        ({"kind": "said", "status": 404, "text": '{"x":1}', "content_type": "application/xml"}, 404,
         "application/xml", '{"x":1}'),
    ],
)  # fmt: skip
def test_an_answer_that_stands_in_for_the_instances_own(
    client: httpx.Client, fault: dict[str, Any], status: int, kind: str, said: str
) -> None:
    put(client, fault)
    answer = fetch(client)
    assert (answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0]) == (status, kind)
    assert said in answer.text
    assert answer.headers.get("Retry-After") == fault.get("retry_after")


def test_the_token_endpoint_has_faults_of_its_own(client: httpx.Client) -> None:
    put(client, {"kind": "hibernating", "endpoint": "token", "times": 0})
    assert fetch(client).status_code == 200
    answer = client.post(TOKEN_PATH, data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    put(client, {"kind": "hibernating", "endpoint": "any", "times": 0})
    assert "hibernating" in fetch(client).text
    assert "hibernating" in client.post(TOKEN_PATH).text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"retry_after": "17"}, "17"),
        ({"retry_after": "99999999999999999999"}, "99999999999999999999"),
        ({"retry_date_seconds": 60}, 60),
        ({"retry_date_seconds": -60}, -60),
        ({}, None),
    ],
)
def test_a_throttle_says_when_to_come_back_in_every_way_there_is(
    client: httpx.Client, fault: dict[str, Any], said: object
) -> None:
    put(client, {"kind": "throttled", **fault})
    told = fetch(client).headers.get("Retry-After")
    if isinstance(said, int):
        left = (parsedate_to_datetime(told or "") - datetime.now(UTC)).total_seconds()
        assert said - 30 < left <= said
    else:
        assert told == said


def test_a_clock_that_goes_wrong_goes_wrong_everywhere(simulator: Simulator, client: httpx.Client) -> None:
    put(client, {"kind": "throttled", "first": 2, "retry_date_seconds": 10}, skew_seconds=-7_200)
    first, second = fetch(client), fetch(client)
    for answer in (first, second):
        behind = datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])
        assert 7_100 < behind.total_seconds() < 7_300
    told = parsedate_to_datetime(second.headers["Retry-After"]) - parsedate_to_datetime(
        second.headers["Date"]
    )
    assert 9 <= told.total_seconds() <= 11
    client.put("/_simulator/limits", json={"requests_an_hour": 5})
    assert int(fetch(client).headers["X-RateLimit-Reset"]) <= simulator.instance.now() + 3_600
    simulator.store.put("sys_user_group", [{"sys_id": "f" * 32, "name": "late"}])
    [row] = [row for row in simulator.store.rows("sys_user_group") if row["sys_id"] == "f" * 32]
    made = datetime.strptime(row["sys_updated_on"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert 7_100 < (datetime.now(UTC) - made).total_seconds() < 7_300


def test_a_cancelled_transaction_follows_its_rows_and_may_be_cut(client: httpx.Client) -> None:
    put(client, {"kind": "cancelled", "row": 4}, {"kind": "cancelled", "row": 2, "cut_bytes": 30, "first": 2})
    whole = fetch(client)
    assert (whole.status_code, len(whole.json()["result"])) == (200, 4)
    assert whole.json()["error"]["message"].startswith("Transaction cancelled")
    cut = fetch(client)
    assert (cut.status_code, cut.text[:11], cut.text.count('"sys_id"')) == (200, '{"result":[', 2)
    assert "Transaction cancelled" in cut.text
    assert not cut.text.endswith("}")


def test_a_truncated_page_ends_in_a_row(client: httpx.Client) -> None:
    put(client, {"kind": "truncated", "row": 3})
    text = fetch(client).text
    assert text.count('"sys_id"') == 4
    assert not text.endswith("}]}")


def test_answers_are_altered_and_nothing_else_of_them_is(client: httpx.Client) -> None:
    before = fetch(client)
    rows = before.json()["result"]
    put(client, {"kind": "null_body"})
    assert fetch(client).text == "null"
    put(client, {"kind": "duplicated", "row": 2})
    assert fetch_rows(client) == [*rows[:3], *rows[2:]]
    put(client, {"kind": "uncounted"})
    answer = fetch(client)
    assert (answer.headers.get("X-Total-Count"), answer.json()["result"]) == (None, rows)
    put(client, {"kind": "undercounted", "row": 7, "times": 0})
    answer = fetch(client)
    assert (answer.headers["X-Total-Count"], answer.json()["result"]) == ("23", rows)
    assert client.get(STATS, params={"sysparm_count": "true"}).json()["result"]["stats"]["count"] == "23"
    put(client)
    assert (fetch(client).json(), before.headers["X-Total-Count"]) == (before.json(), "30")


def test_rate_limits_are_told_as_the_fault_has_them(client: httpx.Client) -> None:
    put(
        client,
        {"kind": "rate_told", "limit": 50, "reset_seconds": 600, "remaining": 3},
        {"kind": "rate_told", "first": 2},
    )
    told, untold = fetch(client).headers, fetch(client).headers
    assert (told["X-RateLimit-Limit"], told["X-RateLimit-Remaining"]) == ("50", "3")
    assert 500 < int(told["X-RateLimit-Reset"]) - datetime.now(UTC).timestamp() <= 600
    assert "X-RateLimit-Remaining" not in untold


def test_a_slow_answer_comes_late_and_whole(client: httpx.Client) -> None:
    rows = fetch_rows(client)
    put(client, {"kind": "slow", "seconds": 60, "times": 1}, {"kind": "slow", "seconds": 0.01, "first": 2})
    with pytest.raises(httpx.ReadTimeout):
        client.get(TABLE, params=ORDERED, timeout=0.1)
    assert fetch_rows(client) == rows


def test_a_dripping_answer_comes_byte_by_byte(client: httpx.Client) -> None:
    rows = fetch_rows(client)
    put(
        client,
        {"kind": "dripping", "seconds": 0, "times": 1},
        {"kind": "dripping", "seconds": 60, "first": 2},
    )
    assert fetch_rows(client) == rows
    with client.stream("GET", TABLE, params=ORDERED, timeout=0.2) as answer:
        pieces = answer.iter_raw()
        assert len(next(pieces)) == 1
        with pytest.raises(httpx.ReadTimeout):
            next(pieces)


@pytest.mark.parametrize("size_bytes", [0, 100])
def test_a_reset_comes_in_the_middle_of_the_body(
    simulator: Simulator, client: httpx.Client, size_bytes: int
) -> None:
    put(client, {"kind": "reset", "size_bytes": size_bytes})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        fetch(client)
    assert fetch(client).status_code == 200
    assert [request["faults"] for request in simulator.requests] == [["reset"], []]


def test_a_bomb_is_small_and_unpacks_to_more_than_anybody_wants(client: httpx.Client) -> None:
    put(client, {"kind": "gzip_bomb"})
    with client.stream("GET", TABLE) as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 1 << 20
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    size_bytes = len(unpacker.decompress(packed, 1 << 20))
    while unpacker.unconsumed_tail:
        size_bytes += len(unpacker.decompress(unpacker.unconsumed_tail, 1 << 20))
    assert size_bytes > 200 << 20


def test_rows_change_before_the_request_that_they_are_set_for(
    simulator: Simulator, client: httpx.Client
) -> None:
    ids = [row["sys_id"] for row in fetch_rows(client)]
    new = {"sys_id": "0" * 32, "name": "new"}
    put(
        client,
        {"kind": "row_inserted", "first": 2, "rows": [new]},
        {"kind": "row_deleted", "first": 3, "sys_ids": [ids[0]]},
        {"kind": "row_updated", "first": 4, "rows": [{"sys_id": ids[1], "name": "renamed"}]},
    )
    assert [row["sys_id"] for row in fetch_rows(client)] == ids
    assert fetch_rows(client)[0] == new
    assert ids[0] not in {row["sys_id"] for row in fetch_rows(client)}
    assert {"sys_id": ids[1], "name": "renamed"} in fetch_rows(client)
    assert len(simulator.store.rows("sys_user_group")) == 30


@pytest.mark.parametrize(("kind", "moves"), [("row_updated", True), ("row_updated_silently", False)])
def test_an_update_moves_the_timestamp_and_the_count_or_neither(
    simulator: Simulator,
    client: httpx.Client,
    kind: str,
    moves: bool,  # noqa: FBT001  pytest gives it
) -> None:
    before = {row["sys_id"]: row for row in simulator.store.rows("sys_user_group")}
    put(client, {"kind": kind})
    fetch(client)
    changed = [row for row in simulator.store.rows("sys_user_group") if row != before[row["sys_id"]]]
    (row,) = changed
    assert row["name"].startswith("changed in mid-scan")
    for name in ("sys_updated_on", "sys_mod_count"):
        assert (row[name] != before[row["sys_id"]][name]) is moves


def test_what_the_seed_chooses_it_chooses_again(client: httpx.Client, simulator: Simulator) -> None:
    kinds = ["row_inserted", "row_updated_silently", "row_deleted", "rewound"]
    faults = [{"kind": kind, "first": first} for first, kind in enumerate(kinds, start=1)]
    seen = []
    for _ in range(2):
        put(client, *faults, seed=7)
        steps = []
        for _ in kinds:
            fetch(client)
            steps.append({row["sys_id"]: row["name"] for row in simulator.store.rows("sys_user_group")})
        seen.append(steps)
    assert seen[0] == seen[1]
    inserted, updated, deleted, rewound = seen[0]
    assert [len(step) for step in (inserted, updated, deleted, rewound)] == [31, 31, 30, 30]
    assert inserted != updated


def test_a_rewind_brings_back_what_was_and_takes_away_what_came_since(
    simulator: Simulator, client: httpx.Client
) -> None:
    before = simulator.store.rows("sys_user_group")
    put(client, {"kind": "rewound", "first": 2})
    simulator.store.put("sys_user_group", [{"sys_id": "f" * 32, "name": "new"}])
    simulator.store.put("u_new", [{"sys_id": "f" * 32}])
    simulator.store.put("sys_user_group", [{"sys_id": before[0]["sys_id"], "name": "renamed"}])
    simulator.store.delete("sys_user_group", before[1]["sys_id"])
    fetch(client)
    assert simulator.store.rows("sys_user_group") != before
    fetch(client)
    assert simulator.store.rows("sys_user_group") == before
    assert simulator.store.rows("u_new") == []


def test_a_request_for_one_table_may_change_another(simulator: Simulator, client: httpx.Client) -> None:
    count = len(simulator.store.rows("sc_cat_item"))
    put(client, {"kind": "row_deleted", "table": "sys_user_group", "change_table": "sc_cat_item"})
    fetch(client)
    assert len(simulator.store.rows("sc_cat_item")) == count - 1
    assert len(simulator.store.rows("sys_user_group")) == 30


def test_every_touch_of_a_forbidden_table_is_counted_whatever_the_answer(client: httpx.Client) -> None:
    assert client.get("/_simulator/touches").json() == {}
    fetch(client)
    client.get("/api/now/table/incident")
    client.get("/api/now/table/incident", headers={"Authorization": ""})
    client.get("/api/now/stats/sys_user")
    client.get("/api/now/table/sn_hr_core_case_payroll")
    client.get(TABLE, params={"sysparm_fields": "name,manager.email"})
    client.get(TABLE, params={"sysparm_query": "manager.name=x^ORDERBYmanager.email"})
    client.get(TABLE, params={"sysparm_query": "javascript:gs.now()"})
    assert client.get("/_simulator/touches").json() == {
        "incident": 2, "sys_user": 3, "sn_hr_core_case_payroll": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "forbidden"),
    [("sys_user", True), ("sys_user_group", False), ("sys_user_grmember", True), ("sys_user_role", False),
     ("sc_cat_item", False), ("sc_req_item", True), ("sn_hr_core_service", False), ("sn_hr_core_profile", True),
     ("sn_hr_core_case_benefits", True), ("awa_queue", False), ("awa_agent_capacity", True)],
)  # fmt: skip
def test_what_is_forbidden_is_people_their_work_and_secrets(
    table: str,
    forbidden: bool,  # noqa: FBT001  pytest gives it
) -> None:
    assert is_forbidden(table) is forbidden
