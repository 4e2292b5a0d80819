"""Whatever an instance answers, or fails to, becomes one of our failures, and is told of once a request."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from jobs.errors import (
    Failure,
    InstanceAsleep,
    InstanceThrottled,
    InstanceUnreachable,
    OrderIgnored,
    ResponseInvalid,
    TableAbsent,
    TableDenied,
    TransactionCancelled,
)
from jobs.events import REQUEST_ANSWERED, REQUEST_FAILED, THROTTLE_WAITED, TOKEN_FETCHED, Event
from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from tests.contract.scripted_instance import (
    GROUPS,
    HTML,
    Play,
    ScriptedInstance,
    error,
    open_reader,
    page,
    reply,
)
from worker.servicenow import REQUEST_KINDS, Client, FetchedPage

ID_A, ID_B = "a" * 32, "b" * 32
HIBERNATING = "<html><body class='instance-hibernating-page'>Your instance is hibernating</body></html>"
ERROR_TAIL = (
    '{"result":[{"sys_id":"' + ID_A + '"}],"error":{"message":"Transaction cancelled"},"status":"failure"}'
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def told() -> list[Event]:
    return []


async def fetch(client: Client, told: list[Event], cursor: str = "") -> FetchedPage:
    return await client.fetch_page(GROUPS, Position(cursor), emit=told.append)


def read_page(certificates: Certificates, told: list[Event], *plays: Play, **limits: Any) -> tuple[Any, int]:
    """Fetch one page of a script; give it, or the failure, and how often the API was asked."""

    async def main() -> tuple[Any, int]:
        async with (
            ScriptedInstance(certificates, list(plays)) as instance,
            open_reader(instance.url, certificates, **limits) as client,
        ):
            try:
                outcome: Any = await fetch(client, told)
            except Failure as failure:
                outcome = failure
            requests = [event for event in told if event.kind in REQUEST_KINDS]
            assert len(requests) == len(instance.heard), "each request is told of, once"
            return outcome, len(instance.asked)

    return asyncio.run(main())


async def cut_in_the_body(writer: asyncio.StreamWriter) -> None:
    writer.write(page(ID_A)[:-10])
    await writer.drain()
    writer.transport.abort()


async def cut_before_the_answer(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def end_chunks_too_soon(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
    )
    await writer.drain()
    writer.close()


async def answer_nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"
GZIPPED = [("Content-Encoding", "gzip")]
PASSING: list[tuple[str, Play, type[Failure]]] = [
    ("500", error(500, "Something went wrong"), ResponseInvalid),
    ("500, cancelled while it waited", error(500, "Transaction cancelled"), TransactionCancelled),
    ("502", reply(502, "<html>bad gateway</html>", kind=HTML), InstanceUnreachable),
    ("503 as JSON", error(503, "Maintenance"), InstanceUnreachable),
    ("504", reply(504, ""), InstanceUnreachable),
    ("429 without a word", error(429, "Rate limit exceeded"), InstanceThrottled),
    ("429 with Retry-After", error(429, "Rate limit exceeded", Retry_After="0"), InstanceThrottled),
    ("429 until a moment that is past", error(429, "x", Retry_After=PAST), InstanceThrottled),
    ("202, dropped from the queue", reply(202, ""), InstanceThrottled),
    ("404 on a page", error(404, "No Record found"), ResponseInvalid),
    ("414", reply(414, "<html>too large</html>", kind=HTML), ResponseInvalid),
    ("400 that names no table", error(400, "Requested URI does not represent any resource"), ResponseInvalid),
    ("201", page(ID_A).replace(b" 200 ", b" 201 "), ResponseInvalid),
    ("200 with rows and an error", reply(200, ERROR_TAIL), TransactionCancelled),
    ("200 with half a document", reply(200, ERROR_TAIL[:30]), ResponseInvalid),
    ("200 cut in its error", reply(200, ERROR_TAIL[:-20]), TransactionCancelled),
    ("200 with null", reply(200, "null"), ResponseInvalid),
    ("200 with nothing", reply(200, ""), ResponseInvalid),
    ("200 with a string for a result", reply(200, '{"result":"none"}'), ResponseInvalid),
    ("200 with text", reply(200, "fine", kind="text/plain"), ResponseInvalid),
    ("200 in brotli", reply(200, "x", headers=[("Content-Encoding", "br")]), ResponseInvalid),
    ("200 in half a gzip", reply(200, gzip.compress(b"{}")[:-9], headers=GZIPPED), ResponseInvalid),
    ("200 in no gzip", reply(200, "{}", headers=GZIPPED), ResponseInvalid),
    ("a cut in the body", cut_in_the_body, InstanceUnreachable),
    ("a cut before the answer", cut_before_the_answer, InstanceUnreachable),
    ("chunks without their end", end_chunks_too_soon, InstanceUnreachable),
    ("another protocol", answer_nonsense, InstanceUnreachable),
]  # fmt: skip
LASTING: list[tuple[str, Play, type[Failure]]] = [
    ("hibernation", reply(200, HIBERNATING, kind=HTML), InstanceAsleep),
    ("maintenance", reply(503, HIBERNATING, kind=HTML), InstanceAsleep),
    ("a redirect", reply(302, "", headers=[("Location", "https://developer.servicenow.com/")]), InstanceAsleep),
    ("a denial", error(403, "Insufficient rights to query records", "No permission to read table"), TableDenied),
    ("no such table", error(400, "Invalid table sys_user_group"), TableAbsent),
    ("rows out of order", page(ID_B, ID_A), OrderIgnored),
    ("an hour's throttle", error(429, "Rate limit exceeded", Retry_After="3600"), InstanceThrottled),
]  # fmt: skip


def names(cases: list[tuple[str, Play, type[Failure]]]) -> list[str]:
    return [name for name, _, _ in cases]


@pytest.mark.parametrize(("_name", "play", "kind"), PASSING, ids=names(PASSING))
def test_what_may_pass_is_tried_three_times_and_then_said(
    certificates: Certificates, told: list[Event], _name: str, play: Play, kind: type[Failure]
) -> None:
    failure, asked = read_page(certificates, told, play)
    assert (type(failure), asked) == (kind, 3)
    assert [event.fields["code"] for event in told if event.kind is REQUEST_FAILED] == [kind.code] * 3


@pytest.mark.parametrize(("_name", "play", "kind"), PASSING, ids=names(PASSING))
def test_what_passed_is_forgotten(
    certificates: Certificates, told: list[Event], _name: str, play: Play, kind: type[Failure]
) -> None:
    fetched, asked = read_page(certificates, told, play, page(ID_A, total=1))
    assert ([row["sys_id"] for row in fetched.page.rows], fetched.total, asked) == ([ID_A], 1, 2)
    kinds = [event.kind for event in told if event.kind in REQUEST_KINDS]
    assert kinds == [TOKEN_FETCHED, REQUEST_FAILED, REQUEST_ANSWERED]
    assert (THROTTLE_WAITED in {event.kind for event in told}) is (kind is InstanceThrottled)


@pytest.mark.parametrize(("_name", "play", "kind"), LASTING, ids=names(LASTING))
def test_what_does_not_pass_is_asked_for_once(
    certificates: Certificates, told: list[Event], _name: str, play: Play, kind: type[Failure]
) -> None:
    failure, asked = read_page(certificates, told, play, page(ID_A))
    assert (type(failure), asked) == (kind, 1)
    last = [event for event in told if event.kind in REQUEST_KINDS][-1]
    assert last.kind is REQUEST_FAILED
    assert last.fields["code"] == kind.code


def test_a_long_throttle_is_left_to_the_runs_own_retry(certificates: Certificates, told: list[Event]) -> None:
    failure, _ = read_page(certificates, told, error(429, "Rate limit exceeded", Retry_After="3600"))
    assert failure.after_seconds == 3600
    assert THROTTLE_WAITED not in {event.kind for event in told}


def test_a_page_whose_lower_bound_was_dropped_is_refused(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID_A, ID_B)]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            with pytest.raises(OrderIgnored):
                await fetch(client, told, cursor=ID_A)
            assert len(instance.asked) == 1

    asyncio.run(main())


def test_a_redirect_is_not_followed(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> None:
        async with ScriptedInstance(certificates) as elsewhere:
            moved = reply(302, "", headers=[("Location", elsewhere.url + "/api/now/table/sys_user_group")])
            async with (
                ScriptedInstance(certificates, [moved]) as instance,
                open_reader(instance.url, certificates) as client,
            ):
                with pytest.raises(InstanceAsleep):
                    await fetch(client, told)
            assert elsewhere.heard == []

    asyncio.run(main())


def test_a_count_is_judged_as_a_page_is(certificates: Certificates, told: list[Event]) -> None:
    stats = reply(200, json.dumps({"result": {"stats": {"count": "42"}}}))

    async def main() -> int:
        async with (
            ScriptedInstance(certificates, [error(500, "x"), reply(200, "{}"), stats]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            return await client.fetch_count(GROUPS, emit=told.append)

    assert asyncio.run(main()) == 42
    assert [event.kind for event in told] == [TOKEN_FETCHED, REQUEST_FAILED, REQUEST_FAILED, REQUEST_ANSWERED]
    assert {event.fields["endpoint"] for event in told[1:]} == {"stats"}


def test_an_answered_request_says_what_was_asked_and_how_much_came(
    certificates: Certificates, told: list[Event]
) -> None:
    read_page(certificates, told, page(ID_A, ID_B))
    fields = dict(told[-1].fields)
    assert isinstance(fields.pop("seconds"), float)
    assert fields == {
        "endpoint": "table",
        "table": "sys_user_group",
        "fields_hash": GROUPS.fields_hash,
        "status": 200,
        "rows": 2,
        "bytes": len(page(ID_A, ID_B).partition(b"\r\n\r\n")[2]),
    }


def test_nothing_listening_is_unreachable(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> None:
        async with ScriptedInstance(certificates) as instance:
            url = instance.url
        async with open_reader(url, certificates) as client:
            with pytest.raises(InstanceUnreachable, match="nothing listens there"):
                await fetch(client, told)

    asyncio.run(main())
    assert [event.fields["endpoint"] for event in told] == ["token"] * 3
