"""Our client against an instance that goes wrong: what each fault becomes, and what is read in spite of it."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.errors import (
    CredentialsRejected,
    Failure,
    InstanceAsleep,
    InstanceSlow,
    InstanceThrottled,
    InstanceUnreachable,
    OrderIgnored,
    ResponseInvalid,
    TransactionCancelled,
)
from jobs.events import Event
from jobs.page import Position, next_position
from jobs.surface import Table
from jobs.verdict import judge_read
from ops.local.certificates import Certificates, write_certificates
from ops.simulator import Fault, Simulator, made_store
from ops.simulator.access import Access
from tests.contract.scripted_instance import GROUPS, open_reader
from worker.servicenow import REQUEST_KINDS, Client

PAGE_ROWS = 7
GROUP_ROWS = 60
EVER: dict[str, Any] = {"times": 0}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    tls = (certificates.cert_file, certificates.key_file)
    with Simulator(made_store(groups=GROUP_ROWS, items=5), tls=tls) as running:
        yield running


@pytest.fixture
def told() -> list[Event]:
    return []


async def read_table(client: Client, table: Table, told: list[Event]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    position = Position()
    while not position.ended:
        fetched = await client.fetch_page(table, position, emit=told.append)
        rows += fetched.page.rows
        position = next_position(position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total)
    return rows


def read(
    simulator: Simulator, certificates: Certificates, told: list[Event], **limits: Any
) -> list[dict[str, str]] | Failure:
    """Read the groups as a run does; give the rows or the failure that ended it. Each request is told of once."""

    async def main() -> list[dict[str, str]] | Failure:
        async with open_reader(simulator.url, certificates, **{"page_rows": PAGE_ROWS, **limits}) as client:
            try:
                return await read_table(client, GROUPS, told)
            except Failure as failure:
                return failure

    outcome = asyncio.run(main())
    requests = [event for event in told if event.kind in REQUEST_KINDS]
    assert len(requests) == len(simulator.requests)
    assert simulator.instance.touches == {}
    return outcome


def ids(rows: list[dict[str, str]] | Failure) -> list[str]:
    assert not isinstance(rows, Failure), rows
    return [row["sys_id"] for row in rows]


def all_ids(simulator: Simulator) -> list[str]:
    return [row["sys_id"] for row in simulator.store.rows(GROUPS.name)]


CASES: list[tuple[dict[str, Any], type[Failure]]] = [
    ({"kind": "cancelled", "row": 3}, TransactionCancelled),
    ({"kind": "cancelled", "row": 0}, TransactionCancelled),
    ({"kind": "cancelled", "row": 3, "cut_bytes": 40}, TransactionCancelled),
    ({"kind": "truncated", "row": 3}, ResponseInvalid),
    ({"kind": "null_body"}, ResponseInvalid),
    ({"kind": "duplicated", "row": 3}, OrderIgnored),
    ({"kind": "hibernating"}, InstanceAsleep),
    ({"kind": "hibernating", "endpoint": "token"}, InstanceAsleep),
    ({"kind": "redirected"}, InstanceAsleep),
    ({"kind": "redirected", "endpoint": "token"}, InstanceAsleep),
    ({"kind": "maintenance"}, InstanceAsleep),
    ({"kind": "failing"}, ResponseInvalid),
    ({"kind": "failing", "status": 502}, InstanceUnreachable),
    ({"kind": "failing", "status": 503}, InstanceAsleep),
    ({"kind": "failing", "status": 504}, InstanceUnreachable),
    ({"kind": "throttled"}, InstanceThrottled),
    ({"kind": "throttled", "retry_after": "0"}, InstanceThrottled),
    ({"kind": "throttled", "retry_date_seconds": -60}, InstanceThrottled),
    ({"kind": "throttled", "retry_after": "3600"}, InstanceThrottled),
    ({"kind": "throttled", "retry_date_seconds": 3600}, InstanceThrottled),
    ({"kind": "throttled", "retry_after": "9" * 30}, InstanceThrottled),
    ({"kind": "throttled", "retry_after": "soon"}, InstanceThrottled),
    ({"kind": "throttled", "endpoint": "token"}, InstanceThrottled),
    ({"kind": "dropped"}, InstanceThrottled),
    ({"kind": "reset", "size_bytes": 50}, InstanceUnreachable),
    ({"kind": "reset", "size_bytes": 50, "endpoint": "token"}, InstanceUnreachable),
    ({"kind": "gzip_bomb"}, ResponseInvalid),
    ({"kind": "gzip_bomb", "endpoint": "token"}, ResponseInvalid),
    ({"kind": "said", "status": 404, "text": "{}"}, ResponseInvalid),
    ({"kind": "said", "status": 414, "text": "", "content_type": "text/html"}, ResponseInvalid),
    ({"kind": "said", "status": 200, "text": '{"result":"1 record"}'}, ResponseInvalid),
    ({"kind": "said", "status": 200, "text": '{"result":[{"sys_id":"short"}]}'}, ResponseInvalid),
    ({"kind": "said", "status": 200, "text": '{"result":[{"name":"no key"}]}'}, ResponseInvalid),
    ({"kind": "said", "status": 200, "text": '{"result":[{"sys_id":1}]}'}, ResponseInvalid),
    ({"kind": "said", "status": 200, "text": "fine", "content_type": "text/plain"}, ResponseInvalid),
    ({"kind": "said", "status": 401, "text": "{}"}, CredentialsRejected),
]  # fmt: skip


def name_case(fault: object) -> str:
    return " ".join(str(value) for value in fault.values()) if isinstance(fault, dict) else ""


@pytest.mark.parametrize(("fault", "kind"), CASES, ids=name_case)
def test_a_lasting_fault_ends_the_read_as_one_of_our_failures(
    simulator: Simulator,
    certificates: Certificates,
    told: list[Event],
    fault: dict[str, Any],
    kind: type[Failure],
) -> None:
    """R8, R12: what comes in place of the third page is never the end of the table."""
    first = 1 if fault.get("endpoint") == "token" else 3
    simulator.instance.set_faults(Fault(**fault, **EVER, first=first))
    outcome = read(simulator, certificates, told, body_bytes=1 << 20)
    assert isinstance(outcome, Failure), "a part was taken for the whole"
    assert issubclass(type(outcome), kind)
    assert type(outcome).code == kind.code
    assert len(simulator.requests) <= 1 + first + 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(fault, kind) for fault, kind in CASES if kind not in {InstanceAsleep, OrderIgnored}
     and fault.get("retry_after") not in {"3600", "9" * 30} and "retry_date_seconds" not in fault],
    ids=name_case,
)  # fmt: skip
def test_a_passing_fault_costs_a_request_and_no_row(
    simulator: Simulator,
    certificates: Certificates,
    told: list[Event],
    fault: dict[str, Any],
    kind: type[Failure],
) -> None:
    first = 1 if fault.get("endpoint") == "token" else 3
    simulator.instance.set_faults(Fault(**fault, first=first))
    assert ids(read(simulator, certificates, told, body_bytes=1 << 20)) == all_ids(simulator)
    failed = [event.fields["code"] for event in told if event.kind.name == "request.failed"]
    assert failed == [kind.code]


@pytest.mark.parametrize("kind", ["slow", "dripping"])
@pytest.mark.parametrize("endpoint", ["table", "token"])
def test_an_answer_that_does_not_come_in_time_is_not_waited_for(
    simulator: Simulator, certificates: Certificates, told: list[Event], kind: str, endpoint: Any
) -> None:
    simulator.instance.set_faults(Fault(kind=kind, endpoint=endpoint, seconds=30, **EVER))
    outcome = read(simulator, certificates, told, request_timeout_seconds=0.3, tries=2)
    assert type(outcome) is InstanceSlow


def test_a_bomb_is_not_unpacked_into_memory(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    simulator.instance.set_faults(Fault(kind="gzip_bomb"))
    read(simulator, certificates, [], body_bytes=1 << 20)  # the server packs it once
    simulator.clear_requests()
    simulator.instance.set_faults(Fault(kind="gzip_bomb", **EVER))
    tracemalloc.start()
    try:
        outcome = read(simulator, certificates, told, body_bytes=1 << 20)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(outcome) is ResponseInvalid
    assert peak_bytes < 16 << 20


def test_a_row_of_any_length_and_of_any_characters_is_read(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    name = r"\ud800\u0000" + "x" * (1 << 20)
    text = f'{{"result":[{{"sys_id":"{"a" * 32}","name":"{name}"}}]}}'
    simulator.instance.set_faults(Fault(kind="said", status=200, text=text))
    rows = read(simulator, certificates, told, page_rows=100)
    assert not isinstance(rows, Failure)
    assert rows[0]["name"] == "\ufffd\ufffd" + "x" * (1 << 20)


def test_without_a_total_a_table_ends_at_its_first_empty_page_and_not_at_a_short_one(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    hidden = frozenset(all_ids(simulator)[10:12])
    simulator.instance.access[GROUPS.name] = Access(hidden=hidden)
    simulator.instance.set_faults(Fault(kind="uncounted", **EVER))
    assert ids(read(simulator, certificates, told)) == [
        key for key in all_ids(simulator) if key not in hidden
    ]


def test_without_a_total_what_an_empty_page_hides_makes_the_verdict_hidden(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R3: an empty page ends the table where nothing is counted, and then it is not called complete."""
    hidden = frozenset(all_ids(simulator)[14 : 14 + PAGE_ROWS])
    simulator.instance.access[GROUPS.name] = Access(hidden=hidden)
    simulator.instance.set_faults(Fault(kind="uncounted", **EVER))
    rows = ids(read(simulator, certificates, told))
    assert rows == all_ids(simulator)[:14]
    verdict = judge_read(rows=len(rows), counted_before=GROUP_ROWS, counted_after=GROUP_ROWS)
    assert verdict.name == "hidden"


def test_a_second_that_holds_three_pages_loses_no_row_to_one_that_is_hidden(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R1: rows of one and the same second, one of the first page hidden."""
    for sys_id in all_ids(simulator):
        simulator.store.put(GROUPS.name, [{"sys_id": sys_id, "sys_updated_on": "2026-01-01 00:00:00"}])
    hidden = all_ids(simulator)[2]
    simulator.instance.access[GROUPS.name] = Access(hidden=frozenset({hidden}))
    assert ids(read(simulator, certificates, told)) == [key for key in all_ids(simulator) if key != hidden]


@pytest.mark.parametrize("windows", [1, 10, 27])
def test_windows_that_are_hidden_whole_do_not_end_the_table(
    simulator: Simulator, certificates: Certificates, told: list[Event], windows: int
) -> None:
    """R2, R11: one hidden window, ten in a row and more, with visible rows after them."""
    every = all_ids(simulator)
    hidden = frozenset(every[4 : 4 + 2 * windows])
    simulator.instance.access[GROUPS.name] = Access(hidden=hidden)
    expected = [key for key in every if key not in hidden]
    assert len(expected) == GROUP_ROWS - 2 * windows
    assert ids(read(simulator, certificates, told, page_rows=2)) == expected


def test_a_hidden_row_shifts_no_later_page(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R7: an offset moves by the limit within a window that ACLs emptied, and never by the rows that came."""
    simulator.instance.access[GROUPS.name] = Access(hidden=frozenset(all_ids(simulator)[1:4]))
    read(simulator, certificates, told)
    offsets = {request["query"].get("sysparm_offset") for request in simulator.requests}
    assert offsets == {None}, "where every window shows a row no offset is asked for"


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_come_go_and_change_in_mid_scan_bring_none_twice_and_lose_none_that_stayed(
    simulator: Simulator, certificates: Certificates, told: list[Event], seed: int
) -> None:
    """R9: inserts, deletes and updates, silent ones too, before every page."""
    before = set(all_ids(simulator))
    changes = ("row_inserted", "row_deleted", "row_updated", "row_updated_silently")
    simulator.instance.set_faults(*(Fault(kind=kind, **EVER) for kind in changes), seed=seed)
    rows = ids(read(simulator, certificates, told))
    assert rows == sorted(set(rows))
    assert before & set(all_ids(simulator)) <= set(rows)


def test_an_instance_that_was_cloned_back_in_mid_scan_is_read_in_order(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    before = all_ids(simulator)
    simulator.instance.set_faults(Fault(kind="rewound", first=4))
    for sys_id in before[30:]:
        simulator.store.delete(GROUPS.name, sys_id)
    simulator.store.put(GROUPS.name, [{"sys_id": "f" * 32, "name": "made since"}])
    assert ids(read(simulator, certificates, told)) == before


def test_no_display_value_is_asked_for_by_which_a_cursor_could_be_in_somebodys_time_zone(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R10: values come as they are stored, and the cursor is a key."""
    read(simulator, certificates, told)
    asked = [request["query"] for request in simulator.requests if request["table"]]
    assert {query["sysparm_display_value"] for query in asked} == {"false"}
    assert not any("sys_updated_on" in query["sysparm_query"] for query in asked)


def test_two_instances_with_different_tables_do_not_mix_in_one_process(certificates: Certificates) -> None:
    """R16: nothing that is learned of one tenant's instance reaches another's."""
    tls = (certificates.cert_file, certificates.key_file)
    with (
        Simulator(made_store(seed=1, groups=30, items=5), tls=tls) as one,
        Simulator(made_store(seed=2, groups=30, items=5), tls=tls) as two,
    ):
        one.instance.set_faults(
            Fault(kind="cancelled", first=1),
            Fault(kind="rate_told", limit=5, **EVER),
            Fault(kind="throttled", first=2),
        )
        two.instance.access[GROUPS.name] = Access(fields_hidden=frozenset({"description"}))

        async def main() -> None:
            async with (
                open_reader(one.url, certificates, page_rows=10, concurrency=4) as first,
                open_reader(two.url, certificates, page_rows=10, concurrency=4) as second,
            ):
                outcomes = await asyncio.gather(
                    read_table(first, GROUPS, []), read_table(second, GROUPS, []), return_exceptions=True
                )
                assert isinstance(outcomes[0], InstanceThrottled), "its hour is used up"
                assert isinstance(outcomes[1], list)
                assert ids(outcomes[1]) == all_ids(two)
                assert first.cooldown_seconds > 0
                assert (second.cooldown_seconds, second.rate_window) == (0, None)

        asyncio.run(main())
