"""Months of the audit trail go whole when they are sealed and two years old, to the day, and nothing else does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobs.errors import DatabaseBusy
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.postgres_steps import read_own
from tests.integration.retention_case import DATE_OF, make_scheduler, seal_month
from worker.command import main
from worker.fleet.audit_retention import AuditRetentionTurns
from worker.postgres import audit, audit_chain
from worker.postgres.audit_retention import AuditKeeping, drop_months, read_overdue_seconds
from worker.postgres.connection import Connection, open_connection, translated_errors
from worker.settings import read_settings
from worker.vault import AuditKey, generate_audit_key

pytestmark = pytest.mark.anyio

KEEPING = AuditKeeping("this test", 24)
FIRST, LAST = DATE_OF("2023-12-01"), DATE_OF("2026-01-01")
EVERY = timedelta(hours=6)
PRESENT = """SELECT substr(c.relname::text, 14) AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'control.audit_events'::regclass AND c.relname < 'audit_events_2026_06' ORDER BY 1"""


@pytest.fixture(scope="module")
def old_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment of its own: old months on the shared one would be in other tests' way."""
    return deploy(own_server.admin_url())


@pytest.fixture
async def owner(old_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(old_deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def scheduler(old_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(old_deployment.app_url, purpose="test app") as connection:
        yield connection


async def fill(owner: Connection, first: datetime, last: datetime, *, sealed: bool = True) -> list[str]:
    """Add events from one time to before another, every few hours and at each month's last moment; seal the months."""
    months: list[str] = []
    month = first
    while month < last:
        ends = (month + timedelta(days=32)).replace(day=1)
        months.append(month.strftime("%Y-%m"))
        await owner.execute("SELECT control.make_audit_partition(%s)", [months[-1]])
        await owner.execute(
            """INSERT INTO control.audit_events (occurred_at, action)
               SELECT t, 'made.up' FROM generate_series(%(first)s::timestamptz, %(last)s, %(every)s) t
               WHERE t < %(last)s UNION ALL SELECT %(last)s::timestamptz - interval '1 microsecond', 'made.up'""",
            {"first": month, "last": ends, "every": EVERY},
        )
        if sealed:
            await seal_month(owner, months[-1])
        month = ends
    return months


async def read_months(owner: Connection) -> list[str]:
    return [
        row["month"].replace("_", "-") for row in await read_own(owner, PRESENT) if row["month"] != "rest"
    ]


async def drop_at(owner: Connection, at: datetime) -> list[dict[str, Any]]:
    """Let go what may go at a moment, as the turn of that day would."""
    dropped: list[dict[str, Any]] = []
    while rows := await read_own(owner, "SELECT month, events FROM control.drop_audit_month(24, %s)", at):
        dropped += rows
    return dropped


async def forget_all(owner: Connection) -> None:
    """Let every month of this test go, so that the next begins with none."""
    for month in await read_months(owner):
        await seal_month(owner, month)
    await drop_at(owner, DATE_OF("2030-01-01"))
    assert await read_months(owner) == []


def two_years_after(moment: datetime) -> datetime:
    """Give the same day two years on; of a 29 February the first moment of March."""
    try:
        return moment.replace(year=moment.year + 2)
    except ValueError:
        return datetime(moment.year + 2, 3, 1, tzinfo=UTC)


async def test_two_years_of_events_go_month_by_month_and_none_a_day_early_or_late(owner: Connection) -> None:
    """The clock is given: each day round a month's end, for four years, is one turn, leap day and all."""
    months = await fill(owner, FIRST, LAST)
    assert "2024-02" in months
    gone_on: dict[str, datetime] = {}
    counts: dict[str, int] = {}
    day = FIRST + timedelta(days=700)
    while day < DATE_OF("2028-02-03"):
        if 3 < day.day < 27 and day.day != 15:  # a month's middle is one day as good as another
            day += timedelta(days=1)
            continue
        for row in await drop_at(owner, day):
            gone_on[row["month"].strftime("%Y-%m")] = day
            counts[row["month"].strftime("%Y-%m")] = row["events"]
        day += timedelta(days=1)
    assert sorted(gone_on) == months
    for month, went in gone_on.items():
        first = DATE_OF(f"{month}-01")
        last_event = (first + timedelta(days=32)).replace(day=1) - timedelta(microseconds=1)
        assert two_years_after(last_event) <= went, "each event was kept for two years"
        assert went - two_years_after(last_event) <= timedelta(days=1), "and gone on the next turn"
        assert went.day == 1
    assert (gone_on["2024-02"], counts["2024-02"]) == (DATE_OF("2026-03-01"), 29 * 4 + 1)
    assert counts["2025-02"] == 28 * 4 + 1
    assert gone_on["2023-12"] == DATE_OF("2026-01-01")
    told = await read_own(
        owner,
        "SELECT actor, detail FROM control.audit_events WHERE action = 'retention.audit' ORDER BY audit_id",
    )
    assert [event["detail"] for event in told][-len(months) :] == [
        {"month": name, "events": counts[name], "by": "postgres"} for name in months
    ]
    assert {event["actor"] for event in told[-len(months) :]} == {"zaptik_owner"}


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("2026-02-28T23:59:59.999999+00:00", ["2024-02", "2024-03"]),
        ("2026-03-01T00:00:00+00:00", ["2024-03"]),
        ("2026-03-31T23:59:59.999999+00:00", ["2024-03"]),
        ("2026-04-01T00:00:00+00:00", []),
    ],
)
async def test_the_end_of_a_leap_february_and_of_a_long_month(
    owner: Connection, at: str, kept: list[str]
) -> None:
    await fill(owner, DATE_OF("2024-02-01"), DATE_OF("2024-04-01"))
    await drop_at(owner, datetime.fromisoformat(at))
    assert await read_months(owner) == kept
    await forget_all(owner)


async def test_a_month_that_is_not_sealed_stays_with_all_after_it_and_is_told(
    owner: Connection, scheduler: Connection
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"), sealed=False)
    await fill(owner, DATE_OF("2024-06-01"), DATE_OF("2024-07-01"))
    gone = await drop_months(scheduler, KEEPING)
    assert (gone.state, gone.dropped, gone.unsealed) == ("done", [], ["2024-05", "2024-06"])
    overdue = (await read_overdue_seconds(scheduler, 24))["audit"]
    late = (datetime.now(UTC) - DATE_OF("2026-06-01")).total_seconds()
    assert late - 60 < overdue < late + 60
    await seal_month(owner, "2024-05")
    gone = await drop_months(scheduler, KEEPING)
    assert [(month.month, month.events) for month in gone.dropped] == [("2024-05", 125), ("2024-06", 121)]
    assert gone.unsealed == []
    assert (await read_overdue_seconds(scheduler, 24))["audit"] == 0


async def test_one_event_after_the_last_checkpoint_keeps_the_month(
    owner: Connection, scheduler: Connection
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"))
    await owner.execute(
        "INSERT INTO control.audit_events (occurred_at, action) VALUES ('2024-05-09', 'slipped.in')"
    )
    assert (await drop_months(scheduler, KEEPING)).unsealed == ["2024-05"]
    assert await read_months(owner) == ["2024-05"]
    await forget_all(owner)


async def test_longer_is_kept_where_the_setting_says_so_and_shorter_for_nobody(
    owner: Connection, scheduler: Connection
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"))
    assert (await drop_months(scheduler, AuditKeeping("this test", 48))).dropped == []
    for months in (23, 0, -1, None, 10**6):
        for function in ("forget_audit_month", "read_old_audit_months"):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="24 months at least"):
                await scheduler.execute(f"SELECT control.{function}(%s)".encode(), [months])
    for statement in (
        "SELECT control.drop_audit_month(24, now())",
        "DROP TABLE control.audit_events_2024_05",
        "ALTER TABLE control.audit_events DETACH PARTITION control.audit_events_2024_05",
        "DELETE FROM control.audit_events",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await scheduler.execute(statement.encode())
    assert await read_months(owner) == ["2024-05"]
    await forget_all(owner)


async def test_a_reader_of_the_trail_is_not_waited_for_long_and_the_next_turn_does_it(
    owner: Connection, scheduler: Connection
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"))
    await owner.execute("ALTER FUNCTION control.drop_audit_month(integer, timestamptz) SET lock_timeout = 50")
    async with owner.transaction():
        await owner.execute("SELECT count(*) FROM control.audit_events")
        with pytest.raises(DatabaseBusy), translated_errors():
            await drop_months(scheduler, KEEPING)
    assert await read_months(owner) == ["2024-05"]
    assert [month.month for month in (await drop_months(scheduler, KEEPING)).dropped] == ["2024-05"]
    await owner.execute(
        "ALTER FUNCTION control.drop_audit_month(integer, timestamptz) SET lock_timeout = 3000"
    )


async def test_one_at_a_time_and_once_a_day(owner: Connection, scheduler: Connection) -> None:
    daily = AuditKeeping("a scheduler", 24, every_seconds=23 * 3600)
    assert (await drop_months(scheduler, daily)).state == "held", "it was done today"
    await owner.execute(
        "UPDATE control.audit_retention SET done_at = done_at - interval '1 day', holder = 'one that died', "
        "lease_until = clock_timestamp() + interval '1 minute'"
    )
    assert (await drop_months(scheduler, daily)).state == "held", "another is at it"
    assert (await drop_months(scheduler, KEEPING)).state == "held", "whoever asks"
    await owner.execute("UPDATE control.audit_retention SET lease_until = clock_timestamp()")
    assert (await drop_months(scheduler, daily)).state == "done"


async def test_a_schedulers_turn_tells_what_went_and_what_should_have(
    owner: Connection, old_deployment: Deployment
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"))
    await fill(owner, DATE_OF("2024-06-01"), DATE_OF("2024-07-01"), sealed=False)
    await owner.execute("UPDATE control.audit_retention SET done_at = done_at - interval '2 days'")
    process, told = make_scheduler(old_deployment)
    turns = AuditRetentionTurns(process)
    await asyncio.to_thread(turns.take)
    await asyncio.to_thread(turns.take)  # not its time again
    assert [(event.kind.name, dict(event.fields)) for event in told] == [
        ("retention.audit", {"month": "2024-05", "events": 125}),
        ("retention.failed", {"code": "month_unsealed", "month": "2024-06"}),
    ]
    await forget_all(owner)


async def test_the_command_reports_what_went_and_fails_where_something_had_to_stay(
    owner: Connection,
    old_deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-06-01"))
    monkeypatch.setenv("ZAPTIK_DATABASE_URL", old_deployment.app_url)
    assert read_settings({"ZAPTIK_DATABASE_URL": old_deployment.app_url}).audit_retention == 24
    assert await asyncio.to_thread(main, ["retention", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["audit"] == {
        "state": "done", "dropped": [{"month": "2024-05", "events": 125}], "unsealed": [], "error": None,
    }  # fmt: skip
    await fill(owner, DATE_OF("2024-06-01"), DATE_OF("2024-07-01"), sealed=False)
    assert await asyncio.to_thread(main, ["retention", "run"]) == 1
    said = capsys.readouterr()
    assert "audit trail: done, 0 months dropped" in said.out
    assert "2024-06 should have gone and stays, since it is not sealed" in said.err
    await forget_all(owner)


@pytest.mark.parametrize("sealed_after", [False, True], ids=["at once", "when that is sealed"])
async def test_a_trail_whose_months_went_verifies_by_what_is_left(
    owner: Connection, scheduler: Connection, tmp_path: Path, *, sealed_after: bool
) -> None:
    """Also in the minute in which the event that tells of it is under no checkpoint yet."""
    await owner.execute("ALTER TABLE control.audit_checkpoint DISABLE TRIGGER USER")
    await owner.execute("DELETE FROM control.audit_checkpoint")  # those of other tests were signed by nobody
    await owner.execute("ALTER TABLE control.audit_checkpoint ENABLE TRIGGER USER")
    key = generate_audit_key(tmp_path / "audit.json")
    await fill(owner, DATE_OF("2024-05-01"), DATE_OF("2024-07-01"), sealed=False)
    await seal_all(scheduler, key)
    gone = await drop_months(scheduler, KEEPING)
    assert [month.month for month in gone.dropped] == ["2024-05", "2024-06"]
    if sealed_after:
        await seal_all(scheduler, key)
    found = await audit_chain.verify(scheduler, key.trusted.check, now=datetime.now(UTC))
    assert (found.fault, found.dropped) == (None, ["2024-05", "2024-06"])
    assert found.segments >= 3
    assert (found.events == found.sealed) is sealed_after


async def seal_all(scheduler: Connection, key: AuditKey) -> None:
    async for _ in audit.seal(scheduler, key, holder="this test", now=lambda: datetime.now(UTC)):
        pass
