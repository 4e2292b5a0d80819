"""A client asks as much as its instance bears: at once, in an hour, in a page; and a pause holds for all its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.errors import InstanceSlow, InstanceThrottled
from jobs.events import CONCURRENCY_CHANGED, THROTTLE_WAITED, Event
from jobs.filters import parse_filter
from jobs.pace import Pace, RateWindow
from jobs.page import Position, next_position
from jobs.surface import Table, read_surface
from ops.local.certificates import Certificates, write_certificates
from ops.simulator import Fault, Simulator, made_store
from ops.simulator.access import Access
from ops.simulator.limits import Limits
from tests.contract.scripted_instance import GROUPS, ScriptedInstance, error, open_reader, page
from worker.servicenow import Client

TABLES = [table for table in read_surface().tables.values() if not table.filter]  # all rows of each
ID = "a" * 32
GROUP_ROWS = 60


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    tls = (certificates.cert_file, certificates.key_file)
    with Simulator(made_store(groups=GROUP_ROWS, items=20), tls=tls) as running:
        yield running


@pytest.fixture
def told() -> list[Event]:
    return []


async def fetch(client: Client, told: list[Event]) -> int:
    return len((await client.fetch_page(GROUPS, Position(), emit=told.append)).page.rows)


async def read_table(client: Client, table: Table, told: list[Event]) -> list[str]:
    read: list[str] = []
    position = Position()
    while not position.ended:
        fetched = await client.fetch_page(table, position, emit=told.append)
        read += [row["sys_id"] for row in fetched.page.rows]
        position = next_position(position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total)
    return read


def asked_rows(simulator: Simulator, table: str = GROUPS.name) -> list[int]:
    return [
        int(request["query"]["sysparm_limit"]) for request in simulator.requests if request["table"] == table
    ]


def stored_ids(simulator: Simulator, table: Table) -> list[str]:
    """Give the keys of the rows that answer the table's filter."""
    conditions = parse_filter(table.filter)
    return [
        row["sys_id"]
        for row in simulator.store.rows(table.name)
        if all(any(term.holds(row) for term in any_of) for any_of in conditions)
    ]


def concurrency_told(told: list[Event]) -> list[Any]:
    return [event.fields["limit"] for event in told if event.kind is CONCURRENCY_CHANGED]


def test_an_instance_that_takes_one_at_a_time_is_read_whole(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R15: 429 without headers, whenever two come at once."""
    simulator.instance.limits = Limits(at_once=1, waiting=0)
    simulator.instance.latency_seconds = 0.005

    async def main() -> list[list[str]]:
        async with open_reader(
            simulator.url, certificates, page_rows=7, concurrency=8, tries=50, backoff_seconds=0.01
        ) as client:
            return await asyncio.gather(*(read_table(client, table, told) for table in TABLES))

    read = asyncio.run(main())
    assert read == [stored_ids(simulator, table) for table in TABLES]
    limits = concurrency_told(told)
    assert limits[0] == 4
    assert min(limits) == 1
    assert max(limits) <= 8


def test_a_retry_after_is_kept_to_by_every_task_and_never_undercut(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        moments: list[float] = []
        loop = asyncio.get_running_loop()

        async def answer(writer: asyncio.StreamWriter) -> None:
            moments.append(loop.time())
            writer.write(
                error(429, "Rate limit exceeded", Retry_After="1") if len(moments) == 1 else page(ID)
            )

        async with (
            ScriptedInstance(certificates, [answer]) as instance,
            open_reader(instance.url, certificates, concurrency=1) as client,
        ):
            assert await asyncio.gather(*(fetch(client, told) for _ in range(6))) == [1] * 6
            assert len(moments) == 7
            assert moments[1] - moments[0] >= 1

    asyncio.run(main())
    waits = [event.fields["seconds"] for event in told if event.kind is THROTTLE_WAITED]
    assert len(waits) >= 2, "the one that was refused, and those that would have asked"


@pytest.mark.parametrize(
    "fault", [{"retry_after": "3600"}, {"retry_date_seconds": 3_600}], ids=["seconds", "a date"]
)
@pytest.mark.parametrize("skew_seconds", [-7_200, 0, 7_200])
def test_a_long_pause_ends_the_slice_and_the_next_one_asks_nothing_before_its_end(
    simulator: Simulator,
    certificates: Certificates,
    told: list[Event],
    fault: dict[str, Any],
    skew_seconds: int,
) -> None:
    """R15: obeyed across workers, by whichever clock the instance goes."""
    simulator.instance.set_faults(Fault(kind="throttled", first=2, **fault), skew_seconds=skew_seconds)

    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            await fetch(client, told)
            assert client.cooldown_seconds == 0
            failures = await asyncio.gather(*(fetch(client, told) for _ in range(6)), return_exceptions=True)
            throttled = [one for one in failures if isinstance(one, InstanceThrottled)]
            left = client.cooldown_seconds
        assert throttled
        assert all(3_590 < (one.after_seconds or 0) <= 3_601 for one in throttled)
        assert 3_590 < left <= 3_601
        asked = len(simulator.requests)
        async with open_reader(simulator.url, certificates, pace=Pace(left)) as client:
            with pytest.raises(InstanceThrottled, match="nothing is asked before"):
                await fetch(client, told)
            assert client.cooldown_seconds > 3_580
        assert len(simulator.requests) == asked, "not even for a token"
        async with open_reader(simulator.url, certificates, pace=Pace(0.01)) as client:
            await fetch(client, told)

    asyncio.run(main())


@pytest.mark.parametrize(
    "fault", [{"retry_date_seconds": -3_600}, {"retry_after": "0"}], ids=["past", "zero"]
)
def test_a_pause_that_is_over_is_none(
    simulator: Simulator, certificates: Certificates, told: list[Event], fault: dict[str, Any]
) -> None:
    """R15: a Retry-After in the past."""
    simulator.instance.set_faults(Fault(kind="throttled", **fault))

    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            await fetch(client, told)
            assert client.cooldown_seconds == 0

    asyncio.run(main())


def test_a_pause_of_a_century_is_one_of_a_day(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """R15: a huge Retry-After is a mistake; it does not stop a tenant for good."""
    simulator.instance.set_faults(Fault(kind="throttled", retry_after="9" * 30))

    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            with pytest.raises(InstanceThrottled) as caught:
                await fetch(client, told)
            assert caught.value.after_seconds == 86_400

    asyncio.run(main())


async def read_within_the_hour(
    simulator: Simulator, certificates: Certificates, *, window: RateWindow | None = None
) -> tuple[InstanceThrottled | None, float, RateWindow | None]:
    """Read the groups two by two; give why that ended, the pause, and what the next client is told."""
    async with open_reader(simulator.url, certificates, page_rows=2, pace=Pace(window=window)) as client:
        try:
            await read_table(client, GROUPS, [])
        except InstanceThrottled as throttled:
            return throttled, client.cooldown_seconds, client.rate_window
        return None, client.cooldown_seconds, client.rate_window


@pytest.mark.parametrize("skew_seconds", [-7_200, 0, 7_200])
def test_a_share_of_the_hourly_limit_is_left_to_the_customers_other_integrations(
    simulator: Simulator, certificates: Certificates, skew_seconds: int
) -> None:
    """R15: the limit appears in mid-crawl, by the instance's own clock; the next client shares the debit."""
    told = Fault(kind="rate_told", first=3, times=0, limit=20, reset_seconds=600)
    simulator.instance.set_faults(told, skew_seconds=skew_seconds)
    throttled, pause_seconds, window = asyncio.run(read_within_the_hour(simulator, certificates))
    assert throttled
    assert 590 < (throttled.after_seconds or 0) <= 601
    assert 590 < pause_seconds <= 601
    assert window
    assert (window.limit_requests, window.used_requests) == (20, 16)
    assert len(asked_rows(simulator)) == 16, "a fifth of twenty is not used"
    again, _, _ = asyncio.run(read_within_the_hour(simulator, certificates, window=window))
    assert again
    assert "other integrations" in again.message
    assert len(asked_rows(simulator)) == 16


def test_what_others_used_of_the_limit_counts_where_the_instance_tells_it(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.set_faults(Fault(kind="rate_told", limit=100, remaining=22, reset_seconds=600))
    throttled, _, window = asyncio.run(read_within_the_hour(simulator, certificates))
    assert throttled
    assert window
    assert len(asked_rows(simulator)) == 1 + 2, "of a hundred 78 were used when the first was answered"


def test_a_limit_that_is_wide_enough_stops_nobody(simulator: Simulator, certificates: Certificates) -> None:
    simulator.instance.set_faults(Fault(kind="rate_told", times=0, limit=10_000))
    throttled, pause_seconds, window = asyncio.run(read_within_the_hour(simulator, certificates))
    assert (throttled, pause_seconds) == (None, 0)
    assert window
    assert window.used_requests == len(asked_rows(simulator)) == GROUP_ROWS // 2


def test_a_page_that_is_cancelled_is_asked_for_with_half_the_rows_until_it_comes(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    hidden = frozenset(row["sys_id"] for row in simulator.store.rows(GROUPS.name)[8:40])
    simulator.instance.access[GROUPS.name] = Access(hidden=hidden)
    simulator.instance.set_faults(
        Fault(kind="cancelled", table=GROUPS.name, row=3, times=2),
        Fault(kind="failing", table=GROUPS.name, first=5),
    )

    async def main() -> list[str]:
        async with open_reader(
            simulator.url, certificates, page_rows=16, least_page_rows=3, tries=4
        ) as client:
            await read_table(client, TABLES[0] if TABLES[0].name != GROUPS.name else TABLES[1], told)
            return await read_table(client, GROUPS, told)

    read = asyncio.run(main())
    assert read == [row["sys_id"] for row in simulator.store.rows(GROUPS.name) if row["sys_id"] not in hidden]
    limits = asked_rows(simulator)
    assert limits[:4] == [16, 8, 4, 5]
    assert limits[4] == limits[5], "a defect of another kind changes no size"
    assert max(limits[3:]) <= 16
    assert limits[-1] > 5


@pytest.mark.parametrize("is_count", [False, True])
def test_time_outs_halve_pages_down_to_the_floor_and_counts_change_nothing(
    simulator: Simulator,
    certificates: Certificates,
    told: list[Event],
    is_count: bool,  # noqa: FBT001  pytest gives it
) -> None:
    endpoint: Any = "stats" if is_count else "table"
    simulator.instance.set_faults(Fault(kind="slow", endpoint=endpoint, seconds=30, times=0))

    async def main() -> None:
        async with open_reader(
            simulator.url, certificates, page_rows=200, request_timeout_seconds=0.5, tries=4
        ) as client:
            if is_count:
                with pytest.raises(InstanceSlow):
                    await client.fetch_count(GROUPS, emit=told.append)
                simulator.clear_requests()
                simulator.instance.set_faults()
                await fetch(client, told)
            else:
                with pytest.raises(InstanceSlow):
                    await fetch(client, told)

    asyncio.run(main())
    assert asked_rows(simulator) == ([200] if is_count else [200, 100, 50, 50])
    limits = concurrency_told(told)
    assert limits[:2] == [2, 1]


def test_a_fetch_that_is_told_to_wait_too_long_in_all_ends_in_time(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    simulator.instance.set_faults(Fault(kind="throttled", times=0))

    async def main() -> None:
        async with open_reader(
            simulator.url, certificates, tries=10_000, retry_seconds=0.5, backoff_seconds=0.05
        ) as client:
            with pytest.raises(InstanceThrottled):
                await fetch(client, told)

    asyncio.run(main())
    assert len(simulator.requests) < 500


def test_every_wait_between_tries_is_one_that_can_be_ended(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    """Whoever opens the client says how it waits: a process that stops must not sit out a pause."""
    simulator.instance.set_faults(Fault(kind="failing", status=502, times=2))
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async def main() -> None:
        async with open_reader(simulator.url, certificates, sleep=wait) as client:
            await fetch(client, told)

    asyncio.run(main())
    assert len(waited) == 2
