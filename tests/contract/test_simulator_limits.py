"""Rate limits as documented: the semaphore's bare 429, a session's 202, and the rule that says when to return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.client import open_client
from ops.simulator.limits import RULE_ID, Gate, Limits, RateRule

PATH = "/api/now/table/sys_user_group"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    store = Store()
    store.declare("sys_user_group")
    with Simulator(store) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with open_client(simulator) as client:
        yield client


def test_nothing_is_limited_unless_it_is_set(client: httpx.Client) -> None:
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_when_the_queue_is_full_the_answer_is_a_bare_429(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.limits = Limits(at_once=0, waiting=0)
    answer = client.get(PATH)
    assert (answer.status_code, answer.content) == (429, b"")
    assert not {"retry-after", "x-ratelimit-limit", "x-ratelimit-reset"} & set(answer.headers)


def test_a_token_is_given_whatever_the_semaphore(simulator: Simulator) -> None:
    simulator.instance.limits = Limits(at_once=0)
    with open_client(simulator) as client:
        assert "Authorization" in client.headers


async def fill(
    limits: Limits, sessions: list[str], *, answered: int
) -> tuple[list[int | None], list[int | None]]:
    """Ask once for each session and hold every turn until so many are answered; give those, then the rest."""
    statuses: list[int | None] = []
    heard, release = asyncio.Event(), asyncio.Event()

    async def ask(session: str) -> None:
        async with limits.admit(session) as turned_away:
            statuses.append(turned_away)
            if len(statuses) == answered:
                heard.set()
            if not turned_away:
                await release.wait()

    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(ask(session))
        await heard.wait()
        first = statuses[:]
        release.set()
    return first, statuses[answered:]


def test_four_run_fifty_wait_and_the_rest_are_turned_away() -> None:
    first, later = asyncio.run(fill(Limits(at_once=4, waiting=50), [""] * 60, answered=10))
    assert first == [None] * 4 + [429] * 6
    assert later == [None] * 50


def test_one_session_has_one_transaction_and_ten_waiting_then_202() -> None:
    """Another session, and requests without a cookie, are not held up."""
    sessions = ["one"] * 13 + ["two"] + [""] * 3
    first, later = asyncio.run(fill(Limits(waiting_on_session=10), sessions, answered=7))
    assert first == [None, 202, 202, None, None, None, None]
    assert later == [None] * 10


def test_a_dropped_request_has_a_202_and_no_result(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.limits = Limits(waiting_on_session=-1)  # no place even for the first
    answer = client.get(PATH, headers={"Cookie": "JSESSIONID=A"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert client.get(PATH).status_code == 200


def test_a_place_is_free_again_after_a_failure() -> None:
    async def fail_then_pass() -> bool:
        gate = Gate(at_once=1)
        with pytest.raises(LookupError):
            async with gate.turn():
                raise LookupError
        async with gate.turn() as passed:
            return passed and gate.inside == 1

    assert asyncio.run(fail_then_pass())


def test_a_rule_says_its_limit_and_then_when_to_come_back(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.limits = Limits(requests_an_hour=2)
    assert simulator.instance.limits.rule
    simulator.instance.limits.rule.clock = lambda: 7_200.0 + 3_000.5
    answers = [client.get(PATH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    for answer in answers:
        assert answer.headers["X-RateLimit-Limit"] == "2"
        assert answer.headers["X-RateLimit-Reset"] == "10800"
        assert answer.headers["X-RateLimit-Rule"] == RULE_ID
    assert "Retry-After" not in answers[0].headers
    assert answers[2].headers["Retry-After"] == "600"
    assert answers[2].json() == {
        "error": {
            "message": "Rate limit exceeded",
            "detail": "Rate limit of 2 requests per hour for Table API exceeded",
        },
        "status": "failure",
    }


def test_who_has_no_token_uses_nothing_up(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.limits = Limits(requests_an_hour=1)
    assert client.get(PATH, headers={"Authorization": ""}).status_code == 401
    assert client.get(PATH).status_code == 200


def test_a_new_hour_begins_anew() -> None:
    seconds = 3_599.0
    rule = RateRule(1, clock=lambda: seconds)
    assert (rule.take() is not None, rule.take(), rule.wait_seconds()) == (True, None, 1)
    seconds = 3_600.0
    assert rule.take() is not None
    assert rule.wait_seconds() == 3_600
