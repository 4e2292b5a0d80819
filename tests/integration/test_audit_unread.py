"""What a check of the trail must not pass over: events it would not read, months gone too early, false checkpoints."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from jobs.audit import Checkpoint, Frontier, build_checkpoint
from jobs.audit_check import Fault
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.audit_case import Trail, add_events, make_trail, put_checkpoint, seal_all
from tests.integration.postgres_steps import read_own
from worker.postgres.audit import add_checkpoint, read_events, read_newest_checkpoint, read_partitions, seal
from worker.postgres.audit_chain import Unread, Verified, verify
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.guards import CONTROL, read_deviation

pytestmark = pytest.mark.anyio
UNCHECKED = "ALTER TABLE control.audit_events DROP CONSTRAINT audit_events_numbered"
OLD_EVENT = """INSERT INTO control.audit_events (occurred_at, actor, action, tenant_ref, detail)
               VALUES (%(at)s::timestamptz, %(actor)s, 'retention.audit', %(tenant)s::uuid, %(detail)s::jsonb)"""


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
def made_trail(own_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    return asyncio.run(make_trail(own_deployment, tmp_path_factory.mktemp("trail")))


@pytest.fixture
async def trail(made_trail: Trail) -> Trail:
    await seal_all(made_trail.deployment, made_trail.key)
    return made_trail


async def check(connection: Connection, trail: Trail, *, after_segment: int = 0) -> Verified:
    return await verify(
        connection, trail.key.trusted.check, now=datetime.now(UTC), after_segment=after_segment
    )


async def seal_as(admin: Connection, trail: Trail) -> list[Checkpoint]:
    """Seal in this transaction what others committed before it."""
    await admin.execute("UPDATE control.audit_sealer SET holder = 'a test', lease_until = 'infinity'")
    return [made async for made in seal(admin, trail.key, holder="a test", now=lambda: datetime.now(UTC))]


def number_table(bound: str) -> str:
    return f"control.audit_events_{bound.replace('-', '_')}"


async def test_no_event_is_numbered_below_one(trail: Trail) -> None:
    """Not by a superuser either, and not in a month that is made later."""
    insert = """INSERT INTO control.audit_events (audit_id, occurred_at, action) OVERRIDING SYSTEM VALUE
                VALUES (%s, %s, 'x')"""
    async with trail.tampering() as admin:
        await admin.execute("SELECT control.make_audit_partition('2033-01')")
        for at in ("2033-01-05Z", "1987-01-01Z", datetime.now(UTC)):
            for number in (0, -1):
                with pytest.raises(psycopg.errors.CheckViolation, match="audit_events_numbered"):
                    async with admin.transaction():
                        await admin.execute(insert.encode(), [number, at])


@pytest.mark.parametrize("at", ["clock_timestamp()", "'1987-01-01Z'::timestamptz"], ids=["month", "rest"])
async def test_an_event_numbered_below_one_is_named(trail: Trail, at: str) -> None:
    async with trail.tampering() as admin:
        await admin.execute(UNCHECKED.encode())
        row, _ = await read_own(
            admin,
            f"""INSERT INTO control.audit_events (audit_id, occurred_at, action) OVERRIDING SYSTEM VALUE
                SELECT -n, {at}, 'x' FROM generate_series(1, 2) n RETURNING tableoid::regclass::text AS place""",  # noqa: S608
        )
        found = await check(admin, trail)
        month = "NULL" if "1987" in at else "now()::date"
        [sealed] = await read_own(admin, f"SELECT control.is_month_sealed({month}) AS it")
    assert found.unread == [Unread(row["place"], 2, -2, -1)]
    assert found.fault == Fault("unread", bound=row["place"], audit_id=-2)
    assert not sealed["it"]


HAND_MADE = {
    "of a name of its own": ("control.by_hand", "CREATE TABLE control.by_hand"),
    "of another schema": ("public.audit_events_2031_01", "CREATE TABLE public.audit_events_2031_01"),
    "named as a month that it is not": (
        "control.audit_events_2032_01", "CREATE TABLE control.audit_events_2032_01",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_MADE)
async def test_events_of_a_partition_made_by_hand_are_named(trail: Trail, name: str) -> None:
    """And neither sealing nor the counting of what is not sealed trips over it."""
    table, create = HAND_MADE[name]
    async with trail.tampering() as admin:
        await admin.execute(
            f"{create} PARTITION OF control.audit_events FOR VALUES FROM ('2031-01-01Z') TO ('2031-01-15Z')".encode()
        )
        [row] = await read_own(
            admin,
            "INSERT INTO control.audit_events (occurred_at, action) VALUES ('2031-01-02Z', 'x') RETURNING audit_id",
        )
        assert await seal_as(admin, trail) == []
        found = await check(admin, trail)
    assert found.unread == [Unread(table, 1, row["audit_id"], row["audit_id"])]
    assert found.fault == Fault("unread", bound=table, audit_id=row["audit_id"])


async def test_an_event_in_a_place_that_was_left_is_counted(trail: Trail) -> None:
    """After a restore from a dump the order begins anew: what is put among the old server's last is read by nobody."""
    bound = trail.chain[-1].bound
    insert = "INSERT INTO control.audit_events (audit_id, xid, action) OVERRIDING SYSTEM VALUE SELECT %s, %s::xid8, 'x'"
    async with trail.tampering() as admin:
        [now] = await read_own(
            admin,
            "SELECT pg_current_xact_id()::text AS xid, max(audit_id) + 10 AS id FROM control.audit_events",
        )
        dumped = int(now["xid"]) + 10**9
        await admin.execute(insert.encode(), [now["id"], str(dumped)])
        [frontier] = [one.frontier for one in await read_partitions(admin) if one.frontier.bound == bound]
        events = await read_events(admin, frontier, settled=False)
        newest = await read_newest_checkpoint(admin)
        await put_checkpoint(admin, build_checkpoint(events, frontier, newest, signer=trail.key, sealed_us=0))
        await admin.execute(insert.encode(), [now["id"] + 1, "20"])
        [anew] = await seal_as(admin, trail)
        assert anew.after_id == now["id"]
        assert (await check(admin, trail)).fault is None
        await admin.execute(insert.encode(), [now["id"] - 1, str(dumped + 5)])
        found = await check(admin, trail)
    assert found.unread == [Unread(number_table(bound), 1, None, None)]
    assert found.fault == Fault("unread", bound=number_table(bound))


async def make_old_month(admin: Connection, trail: Trail, month: str) -> None:
    """Fill and seal a month, and drop it by hand."""
    await admin.execute("SELECT control.make_audit_partition(%s)", [month])
    await admin.execute(
        "INSERT INTO control.audit_events (occurred_at, action, xid) VALUES (%s::timestamptz, 'x', '20')",
        [f"{month}-03Z"],
    )
    [made] = [one for one in await seal_as(admin, trail) if one.bound == month]
    assert made.events == 1
    await admin.execute(f"DROP TABLE {number_table(month)}".encode())


TOLD = {
    "at": "2025-03-01Z",
    "actor": "zaptik_owner",
    "tenant": None,
    "detail": '{"month": "2023-01", "events": 1}',
}
UNBELIEVED = {
    "nobody tells of it": {**TOLD, "detail": '{"month": "2022-12"}'},
    "the app's login tells of it": {**TOLD, "actor": "zaptik_app"},
    "it is told of as a tenant's": {**TOLD, "tenant": "0f7d3c1e-94a5-4a5e-8f21-6f4f7f7a2b10"},
    "it was told of before its time": {**TOLD, "at": "2025-01-31T23:59:59Z"},
    "rest is told of": {**TOLD, "detail": '{"month": "rest", "until": "2023-01"}'},
    "no month is told of": {**TOLD, "detail": '{"month": "whenever"}'},
}


@pytest.mark.parametrize("name", [*UNBELIEVED, "believed"])
async def test_a_month_that_went_needs_to_be_told_of_by_the_schema_itself(trail: Trail, name: str) -> None:
    async with trail.tampering() as admin:
        await make_old_month(admin, trail, "2023-01")
        for month in ("2025-01", "2025-03"):
            await admin.execute("SELECT control.make_audit_partition(%s)", [month])
        await admin.execute(OLD_EVENT.encode(), UNBELIEVED.get(name, TOLD))
        unsealed = await check(admin, trail)
        await admin.execute(
            "UPDATE control.audit_events SET xid = '20' WHERE action = 'retention.audit' AND occurred_at = %s",
            [UNBELIEVED.get(name, TOLD)["at"]],
        )
        await seal_as(admin, trail)
        found = await check(admin, trail)
    expected = None if name == "believed" else Fault("partition_missing", bound="2023-01")
    assert (unsealed.fault, found.fault) == (expected, expected)
    assert "2023-01" in found.dropped


async def test_a_month_younger_than_two_years_may_not_be_gone_whatever_is_told(trail: Trail) -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    for month, fault in (("2024-10", None), ("2024-11", Fault("partition_missing", bound="2024-11"))):
        async with trail.tampering() as admin:
            await make_old_month(admin, trail, month)
            await admin.execute(OLD_EVENT.encode(), {**TOLD, "at": now, "detail": '{"month": "2024-12"}'})
            await admin.execute(
                OLD_EVENT.encode(), {**TOLD, "at": "2026-12-02Z", "detail": json.dumps({"month": month})}
            )
            found = await verify(admin, trail.key.trusted.check, now=now)
        assert found.fault == fault


async def test_the_apps_login_cannot_write_what_would_be_believed(trail: Trail) -> None:
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        for columns, values in (
            ("action, detail", "'retention.audit', '{}'"),
            ("actor, action", "'zaptik_owner', 'retention.audit'"),
        ):
            insert = f"INSERT INTO control.audit_events ({columns}) VALUES ({values})".encode()  # noqa: S608
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await app.execute(insert)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with in_tenant_rows(app, "0f7d3c1e-94a5-4a5e-8f21-6f4f7f7a2b10"):
                    await app.execute(insert)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            await app.execute("SELECT control.tell_audit_act('retention.audit', '{}')")


async def build_next(app: Connection, trail: Trail) -> Checkpoint:
    """Build the checkpoint that would come next, and hold the lease."""
    await app.execute("SELECT control.hold_audit_lease('a test', 60)")
    [open_part] = [one for one in await read_partitions(app) if one.unsealed]
    events = await read_events(app, open_part.frontier, settled=True)
    newest = await read_newest_checkpoint(app)
    return build_checkpoint(events, open_part.frontier, newest, signer=trail.key, sealed_us=0)


WRONG: dict[str, dict[str, Any]] = {
    "a place in the future": {"last_xid": 2**60},
    "a number nobody gave": {"last_id": 2**60},
    "a highest number nobody gave": {"highest_id": 2**60},
    "another order": {"after_id": 1},
    "a time of no event": {"last_us": 2**50},
    "no events": {"entries": bytes(80), "events": 2},
    "the next ones without the first": {"events": 2, "skips": 1},
    "a part that is not there": {"bound": "2001-01"},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_checkpoint_that_does_not_seal_what_comes_next_is_refused(trail: Trail, name: str) -> None:
    await add_events(trail.deployment, 3)
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        good = await build_next(app, trail)
        changes = dict(WRONG[name])
        if changes.pop("skips", None):
            changes["entries"] = good.entries[40:120]
        wrong = replace(good, **changes)
        wrong = replace(wrong, digest=bytes(32), signature=trail.key.sign(wrong.statement()))
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"come next|has no part"):
            await add_checkpoint(app, wrong, holder="a test")
        assert await add_checkpoint(app, good, holder="a test")
        assert (await check(app, trail)).fault is None


async def test_a_checkpoint_over_events_that_are_not_settled_is_refused(trail: Trail) -> None:
    """An earlier one could still come."""
    async with (
        open_connection(trail.deployment.admin_url, purpose="test") as slow,
        open_connection(trail.deployment.app_url, purpose="test") as app,
        slow.transaction(),
    ):
        await slow.execute("INSERT INTO control.audit_events (action) VALUES ('slow')")
        await add_events(trail.deployment, 1)
        await app.execute("SELECT control.hold_audit_lease('a test', 60)")
        [part] = [one for one in await read_partitions(app) if one.unsealed]
        events = await read_events(app, part.frontier, settled=False)
        newest = await read_newest_checkpoint(app)
        early = build_checkpoint(events, part.frontier, newest, signer=trail.key, sealed_us=0)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="come next"):
            await add_checkpoint(app, early, holder="a test")


async def test_a_checkpoint_with_a_false_signature_stops_nothing_and_stays_named(trail: Trail) -> None:
    """What the app's login can still do. What comes after it is sealed, and checked behind it."""
    async with trail.tampering() as admin:
        await admin.execute(
            "INSERT INTO control.audit_events (xid, action) SELECT '20', 'x' FROM generate_series(1, 3)"
        )
        await admin.execute("UPDATE control.audit_events SET xid = '4000000000' WHERE action = 'x'")
        [part] = [one for one in await read_partitions(admin) if one.unsealed]
        events = await read_events(admin, part.frontier, settled=False)
        newest = await read_newest_checkpoint(admin)
        good = build_checkpoint(events[:2], part.frontier, newest, signer=trail.key, sealed_us=0)
        false = replace(good, signature=bytes(64))
        await put_checkpoint(admin, false)
        following = build_checkpoint(
            events[2:], Frontier(part.frontier.bound, 0, false.last_xid, false.last_id, false.highest_id), false,
            signer=trail.key, sealed_us=0,
        )  # fmt: skip
        await put_checkpoint(admin, following)
        found = await check(admin, trail)
        behind = await check(admin, trail, after_segment=false.segment)
        await admin.execute("DELETE FROM control.audit_events WHERE audit_id = %s", [following.last_id])
        broken = await check(admin, trail, after_segment=false.segment)
    assert found.fault == Fault("signature", false.segment, false.bound)
    assert (behind.fault, behind.segments) == (None, 1)
    assert broken.fault == Fault("missing", following.segment, following.bound, following.last_id)


async def test_an_administrator_lets_sealing_go_past_a_checkpoint_that_stops_it(trail: Trail) -> None:
    """As one that a superuser put there, or the app's login before this release. It stays, and is named."""
    await add_events(trail.deployment, 2)
    async with trail.tampering() as admin:
        newest = await read_newest_checkpoint(admin)
        assert newest is not None
        stops = replace(
            newest, segment=newest.segment + 1, bound=trail.chain[-1].bound,
            last_xid=2**62, last_id=2**62, highest_id=2**62,
            previous=newest.digest, digest=b"x" * 32, signature=bytes(64),
        )  # fmt: skip
        await put_checkpoint(admin, stops)
        assert await seal_as(admin, trail) == [], "nothing comes after such a place"
        for not_the_newest in (1, stops.segment + 1):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="not the newest"):
                async with admin.transaction():
                    await admin.execute("SELECT control.pass_audit_checkpoint(%s)", [not_the_newest])
        await admin.execute("SELECT control.pass_audit_checkpoint(%s)", [stops.segment])
        [made] = await seal_as(admin, trail)
        found = await check(admin, trail)
        behind = await check(admin, trail, after_segment=stops.segment)
        told = await read_own(admin, "SELECT detail FROM control.audit_events WHERE action = 'audit.passed'")
    assert made.events == 2
    assert found.fault == Fault("segment_forged", stops.segment, stops.bound)
    assert (behind.fault, behind.segments) == (None, 1)
    assert told == [{"detail": {"segment": stops.segment, "bound": stops.bound}}]
    await seal_all(trail.deployment, trail.key)
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute("SELECT control.pass_audit_checkpoint(1)")


async def test_what_fell_into_rest_goes_when_its_youngest_is_past_and_is_made_anew(trail: Trail) -> None:
    drop = "SELECT month, events FROM control.drop_audit_month(24, %s)"
    deployment, key = trail.deployment, trail.key
    for at in ("2001-02-03Z", "2001-05-06Z"):
        await add_events(deployment, 2, at=f"'{at}'::timestamptz")
    async with (
        open_connection(deployment.admin_url, purpose="test") as admin,
        open_connection(deployment.app_url, purpose="test") as app,
    ):
        await admin.execute("SET ROLE zaptik_owner")
        assert await read_own(admin, drop, datetime(2003, 6, 1, tzinfo=UTC)) == [], "it is not sealed"
        await seal_all(deployment, key)
        assert await read_own(admin, drop, datetime(2003, 5, 31, 23, 59, tzinfo=UTC)) == []
        [overdue] = await read_own(app, "SELECT month, is_sealed FROM control.read_old_audit_months(24)")
        assert overdue == {"month": None, "is_sealed": True}
        assert await read_own(admin, drop, datetime(2003, 6, 1, tzinfo=UTC)) == [{"month": None, "events": 4}]
        assert await read_own(admin, drop, datetime.now(UTC)) == []
        await admin.execute("RESET ROLE")
        found = await check(app, trail)
        assert (found.fault, found.dropped) == (None, ["rest"])
        assert await read_deviation(admin, CONTROL) is None, "it is as the migrations make it"
        await add_events(deployment, 3, at="'2005-01-02Z'::timestamptz")
        [made] = [one for one in await seal_all(deployment, key) if one.bound == "rest"]
        found = await check(app, trail)
        assert (found.fault, found.events) == (None, found.sealed)
    async with trail.tampering() as admin:
        await admin.execute("DELETE FROM control.audit_events_rest")
        broken = await check(admin, trail)
    assert broken.fault == Fault("missing", made.segment, "rest", made.read_entries()[0][0])
