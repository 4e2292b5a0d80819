"""The scheduler's turns at the audit trail: months are there before they are needed, and what is settled is sealed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from jobs.events import AUDIT_BROKEN, AUDIT_CHECKED, AUDIT_SEALED, AUDIT_UNSEALED, Event
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.audit_case import add_events, seal_all
from tests.integration.postgres_steps import read_own
from worker.fleet.checking import CheckingTurns
from worker.fleet.process import Process
from worker.fleet.scheduler import read_figures
from worker.fleet.sealing import SealingTurns
from worker.postgres.audit import MONTHS_AHEAD, make_months, read_newest_checkpoint
from worker.postgres.connection import Connection, open_connection
from worker.postgres.guards import CONTROL, read_deviation
from worker.settings import Settings
from worker.vault import AuditKey, generate_audit_key

pytestmark = pytest.mark.anyio

UNUSED_REDIS = SecretStr("redis://127.0.0.1:1/0")


class Scheduler(Process):
    """A scheduler that was not started, and what it told."""

    def __init__(self, deployment: Deployment, key_file: Path | None = None) -> None:
        url = SecretStr(deployment.app_url)
        settings = Settings(database_url=url, redis_url=UNUSED_REDIS, audit_key_file=key_file)
        super().__init__("scheduler", settings, threads=1)
        self.told: list[Event] = []

    def emit(self, event: Event) -> None:
        self.told.append(event)

    def told_of(self, kind: str) -> list[Event]:
        return [event for event in self.told if event.kind.name == kind]


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditKey, Path]:
    file = tmp_path_factory.mktemp("key") / "audit.json"
    return generate_audit_key(file), file


@pytest.fixture
async def admin(own_deployment: Deployment) -> AsyncIterator[Connection]:
    """Give the superuser's connection; nobody holds the sealer's lease."""
    async with open_connection(own_deployment.admin_url, purpose="test") as connection:
        await connection.execute("UPDATE control.audit_sealer SET lease_until = '-infinity'")
        yield connection


async def take(turns: SealingTurns) -> None:
    await asyncio.to_thread(turns.take)


async def count_unsealed(deployment: Deployment) -> tuple[int, float]:
    async with open_connection(deployment.app_url, purpose="test") as app:
        figures = await read_figures(app)
    return figures.audit_unsealed, figures.audit_oldest_seconds


async def test_without_a_key_nothing_is_sealed_and_it_is_said_once_an_hour(
    own_deployment: Deployment,
) -> None:
    scheduler = Scheduler(own_deployment)
    turns = SealingTurns(scheduler, every_seconds=0)
    before, _ = await count_unsealed(own_deployment)
    await add_events(own_deployment, 7)
    for _ in range(3):
        await take(turns)
    [told] = scheduler.told
    assert told.kind == AUDIT_UNSEALED
    assert "zaptik audit key generate --into FILE" in str(told.fields["reason"])
    after, oldest = await count_unsealed(own_deployment)
    assert after == before + 7
    assert oldest > 0


async def test_a_key_made_while_it_runs_is_used_from_the_next_turn_on(
    own_deployment: Deployment, admin: Connection, tmp_path: Path, key: tuple[AuditKey, Path]
) -> None:
    file = tmp_path / "audit.json"
    scheduler = Scheduler(own_deployment, file)
    turns = SealingTurns(scheduler, every_seconds=0)
    await take(turns)
    assert [event.kind for event in scheduler.told] == [AUDIT_UNSEALED]
    assert "cannot be read" in str(scheduler.told[0].fields["reason"])
    file.write_bytes(key[1].read_bytes())
    file.chmod(0o600)
    await add_events(own_deployment, 3)
    await take(turns)
    newest = await read_newest_checkpoint(admin)
    assert newest is not None
    last = scheduler.told_of(AUDIT_SEALED.name)[-1]
    assert last.fields["digest"] == newest.digest.hex()
    assert last.fields["segment"] == newest.segment
    assert key[0].trusted.check(
        newest.key_id, newest.statement(), bytes.fromhex(str(last.fields["signature"]))
    )


async def test_a_backlog_is_sealed_round_by_round_and_then_the_turns_are_a_minute_apart(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    await seal_all(own_deployment, key[0], holder="nobody else")
    await admin.execute("UPDATE control.audit_sealer SET lease_until = '-infinity'")
    await add_events(own_deployment, 2_500)
    scheduler = Scheduler(own_deployment, key[1])
    turns = SealingTurns(scheduler, every_seconds=3600, turn_seconds=0)
    sealed = []
    for _ in range(6):
        await take(turns)
        sealed.append(len(scheduler.told_of(AUDIT_SEALED.name)))
    assert sealed[:3] == [1, 2, 3], "one segment a round, since a turn has no time here"
    assert sealed[-1] <= 4, "and the event of a key's first use at most"
    assert (await count_unsealed(own_deployment))[0] <= 1


async def test_a_second_scheduler_seals_nothing_while_the_first_holds_the_lease(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    first, second = (Scheduler(own_deployment, key[1]) for _ in range(2))
    await add_events(own_deployment, 1)
    await take(SealingTurns(first))
    await add_events(own_deployment, 1)
    await take(SealingTurns(second))
    assert len(first.told_of(AUDIT_SEALED.name)) > 0
    assert second.told_of(AUDIT_SEALED.name) == []
    await admin.execute("UPDATE control.audit_sealer SET lease_until = clock_timestamp()")
    await take(SealingTurns(second))
    assert len(second.told_of(AUDIT_SEALED.name)) == 1


async def test_what_was_changed_is_found_by_a_scheduler_on_its_way_round(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    await add_events(own_deployment, 1_500)
    made = await seal_all(own_deployment, key[0], holder="this test")
    changed = max(made, key=lambda one: one.events)  # one may hold what another test left in another month
    target = changed.read_entries()[3][0]
    scheduler = Scheduler(own_deployment)
    turns = CheckingTurns(scheduler, turn_seconds=60)
    for _ in range(2):  # it begins anywhere, and then at the first segment
        await asyncio.to_thread(turns.take, key[0].trusted)
    assert scheduler.told_of(AUDIT_BROKEN.name) == []
    [checked] = scheduler.told_of(AUDIT_CHECKED.name)[-1:]
    assert checked.fields == {"segments": made[-1].segment, "faults": 0}

    await admin.execute("SET session_replication_role = replica")
    change = "UPDATE control.audit_events SET actor = %s WHERE audit_id = %s"
    await admin.execute(change, ["nobody", target])
    await asyncio.to_thread(turns.take, key[0].trusted)
    await admin.execute(change, ["postgres", target])
    [broken] = scheduler.told_of(AUDIT_BROKEN.name)
    assert broken.fields == {
        "what": "altered", "segment": changed.segment, "bound": changed.bound, "audit_id": target,
    }  # fmt: skip
    assert scheduler.told_of(AUDIT_CHECKED.name)[-1].fields["faults"] == 1
    await asyncio.to_thread(turns.take, key[0].trusted)
    assert scheduler.told_of(AUDIT_CHECKED.name)[-1].fields["faults"] == 0


async def test_a_month_that_is_gone_too_early_is_found_by_a_scheduler_on_its_way_round(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    """One that is old enough is not judged here: whether anybody told of it, `audit verify` says."""
    month = f"{datetime.now(UTC) - timedelta(days=600):%Y-%m}"
    for bound in (month, "2019-03"):
        async with admin.transaction():
            await admin.execute("SET LOCAL ROLE zaptik_owner")
            await admin.execute("SELECT control.make_audit_partition(%s)", [bound])
        await add_events(own_deployment, 2, at=f"'{bound}-02Z'::timestamptz")
    await seal_all(own_deployment, key[0], holder="this test")
    turns = CheckingTurns(scheduler := Scheduler(own_deployment), turn_seconds=60)
    async with admin.transaction():
        for bound in (month, "2019-03"):
            name = f"control.audit_events_{bound.replace('-', '_')}"
            await admin.execute(f"ALTER TABLE control.audit_events DETACH PARTITION {name}".encode())
    for _ in range(2):  # it begins anywhere
        await asyncio.to_thread(turns.take, key[0].trusted)
    for bound in (month, "2019-03"):
        name = f"control.audit_events_{bound.replace('-', '_')}"
        ends = (datetime.fromisoformat(f"{bound}-28") + timedelta(days=4)).strftime("%Y-%m")
        await admin.execute(
            f"ALTER TABLE control.audit_events ATTACH PARTITION {name} FOR VALUES FROM ('{bound}-01Z') "
            f"TO ('{ends}-01Z')".encode()
        )
    found = {(event.fields["what"], event.fields["bound"]) for event in scheduler.told_of(AUDIT_BROKEN.name)}
    assert found == {("partition_missing", month)}


async def test_a_round_goes_on_where_the_last_turn_stopped(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    await add_events(own_deployment, 3_000)
    await seal_all(own_deployment, key[0], holder="this test")
    newest = await read_newest_checkpoint(admin)
    assert newest is not None
    scheduler = Scheduler(own_deployment)
    turns = CheckingTurns(scheduler, turn_seconds=0)
    for _ in range(2 * newest.segment + 2):
        await asyncio.to_thread(turns.take, key[0].trusted)
    assert scheduler.told_of(AUDIT_CHECKED.name)[-1].fields == {"segments": newest.segment, "faults": 0}


async def test_months_are_made_ahead_with_all_that_holds_them_while_events_are_written(
    own_deployment: Deployment, admin: Connection
) -> None:
    months = await read_months(admin)
    for month in months[1 - MONTHS_AHEAD :]:
        await admin.execute(f"DROP TABLE control.{month}".encode())
    async with (
        open_connection(own_deployment.admin_url, purpose="test") as writer,
        open_connection(own_deployment.app_url, purpose="test") as app,
        writer.transaction(),
    ):
        assert (await read_figures(app)).audit_months_ahead == 1
        await writer.execute("INSERT INTO control.audit_events (action) VALUES ('under way')")
        assert await make_months(app) == MONTHS_AHEAD
        assert (await read_figures(app)).audit_months_ahead == MONTHS_AHEAD
    assert await read_months(admin) == months
    assert await read_deviation(admin, CONTROL) is None
    for change in (
        "UPDATE control.{} SET action = 'forged'",
        "DELETE FROM control.{}",
        "TRUNCATE control.{}",
    ):
        async with open_connection(own_deployment.app_url, purpose="test") as app:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
                await app.execute(change.replace("{}", months[-1]).encode())
        async with admin.transaction(force_rollback=True):
            await admin.execute(
                "INSERT INTO control.audit_events (occurred_at, action) VALUES (%s, 'x')",
                [f"{months[-1][-7:].replace('_', '-')}-02"],
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                await admin.execute(change.replace("{}", months[-1]).encode())


async def read_months(admin: Connection) -> list[str]:
    rows = await read_own(
        admin,
        "SELECT relname AS name FROM pg_class WHERE relname ~ '^audit_events_[0-9_]{7}$' ORDER BY relname",
    )
    return [row["name"] for row in rows]


@pytest.mark.usefixtures("admin")
async def test_an_event_of_a_month_that_nobody_made_is_kept_and_sealed(
    own_deployment: Deployment, key: tuple[AuditKey, Path]
) -> None:
    await add_events(own_deployment, 2, at="'1987-06-05 04:03:02Z'::timestamptz")
    sealed = await seal_all(own_deployment, key[0], holder="this test")
    assert [(one.bound, one.events) for one in sealed if one.bound == "rest"] == [("rest", 2)]


async def test_where_the_trail_is_locked_the_round_goes_on_and_it_is_said(
    own_deployment: Deployment, admin: Connection
) -> None:
    scheduler = Scheduler(own_deployment)
    months = await read_months(admin)
    await admin.execute(f"DROP TABLE control.{months[-1]}".encode())
    async with admin.transaction():
        await admin.execute("LOCK TABLE control.audit_events IN SHARE UPDATE EXCLUSIVE MODE")
        await take(SealingTurns(scheduler))
    [told] = scheduler.told
    assert told.kind == AUDIT_UNSEALED
    assert "lock" in str(told.fields["reason"])
    async with open_connection(own_deployment.app_url, purpose="test") as app:
        assert await make_months(app) == MONTHS_AHEAD


async def is_sealed(connection: Connection, month: str) -> bool:
    [row] = await read_own(connection, "SELECT control.is_month_sealed(%s::date) AS sealed", month)
    return bool(row["sealed"])


async def test_a_month_is_sealed_when_it_is_over_and_all_its_events_are(
    own_deployment: Deployment, admin: Connection, key: tuple[AuditKey, Path]
) -> None:
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        for month in ("2020-02", "2020-03"):
            await admin.execute("SELECT control.make_audit_partition(%s)", [month])
    await add_events(own_deployment, 1_001, at="'2020-02-29 23:59:59.999999Z'::timestamptz")
    async with open_connection(own_deployment.app_url, purpose="test") as app:
        assert not await is_sealed(app, "2020-02-01")
        assert await is_sealed(app, "2020-03-01"), "it has no events"
        sealed = await seal_all(own_deployment, key[0], holder="this test")
        assert [one.events for one in sealed if one.bound == "2020-02"] == [1_000, 1]
        assert await is_sealed(app, "2020-02-01")
        assert await is_sealed(app, "2020-02-29")
        assert not await is_sealed(app, "2020-04-01"), "nobody made it"
        assert not await is_sealed(app, f"{datetime.now(UTC):%Y-%m}-01"), "it is not over"
        await add_events(own_deployment, 1, at="'2020-02-01Z'::timestamptz")
        assert not await is_sealed(app, "2020-02-01")
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        assert not await is_sealed(admin, "2020-02-01")
