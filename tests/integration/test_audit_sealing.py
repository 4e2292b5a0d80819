"""The sealed trail: what is settled is sealed in order, once, by one sealer, and what a superuser changes is named."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from jobs.audit import SEGMENT_EVENTS, Checkpoint, Frontier, build_checkpoint, hash_event
from jobs.audit_check import Fault
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.audit_case import Trail, add_events, make_trail, put_checkpoint, seal_all
from tests.integration.postgres_steps import read_own
from worker.postgres.audit import (
    read_events,
    read_newest_checkpoint,
    read_partitions,
    seal,
)
from worker.postgres.audit_chain import Period, Verified, verify
from worker.postgres.connection import Connection, open_connection
from worker.vault import TrustedKeys, generate_audit_key

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment of its own: its trail is sealed by the tests' key alone."""
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
def made_trail(own_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    return asyncio.run(make_trail(own_deployment, tmp_path_factory.mktemp("trail")))


@pytest.fixture
async def trail(made_trail: Trail) -> Trail:
    """Give the trail of which all is sealed that is settled; its first three segments are always the same."""
    await seal_all(made_trail.deployment, made_trail.key)
    return made_trail


async def check(connection: Connection, trail: Trail, **options: object) -> Verified:
    options = {"now": datetime.now(UTC), **options}
    return await verify(connection, trail.key.trusted.check, **options)  # type: ignore[arg-type]


async def test_a_whole_trail_holds_and_every_settled_event_is_sealed(trail: Trail) -> None:
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        found = await check(app, trail)
    assert found.fault is None
    assert found.sealed >= 2_500
    assert found.events == found.sealed
    assert found.newest is not None
    assert found.newest.segment == found.segments
    assert [one.segment for one in trail.chain] == list(range(1, len(trail.chain) + 1))
    assert max(one.events for one in trail.chain) == SEGMENT_EVENTS


TAMPERINGS: Mapping[str, tuple[str, str]] = {
    "one byte of what an event says": (
        "UPDATE control.audit_events SET detail = jsonb_set(detail, '{rows}', '4713') WHERE audit_id = {id}",
        "altered",
    ),
    "the time of an event": (
        "UPDATE control.audit_events SET occurred_at = occurred_at + interval '1 microsecond' WHERE audit_id = {id}",
        "altered",
    ),
    "who did it": ("UPDATE control.audit_events SET actor = 'nobody' WHERE audit_id = {id}", "altered"),
    "an event without a tenant": (
        "UPDATE control.audit_events SET tenant_ref = NULL WHERE audit_id = {id}",
        "altered",
    ),
    "an event deleted": ("DELETE FROM control.audit_events WHERE audit_id = {id}", "missing"),
    "an event with another id": (
        "UPDATE control.audit_events SET audit_id = DEFAULT WHERE audit_id = {id}",
        "missing",
    ),
    "an event that leaves its place": (
        "UPDATE control.audit_events SET xid = (xid::text::bigint + 100000)::text::xid8 WHERE audit_id = {id}",
        "missing",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_what_a_superuser_changes_is_found_and_named(name: str, trail: Trail) -> None:
    statement, what = TAMPERINGS[name]
    async with trail.tampering() as admin:
        target = trail.chain[1].read_entries()[417][0]
        changed = await admin.execute(statement.replace("{id}", str(target)).encode())
        assert changed.rowcount == 1
        found = await check(admin, trail)
    fault = found.fault
    assert fault is not None
    assert (fault.what, fault.segment) == (what, 2)
    assert fault.audit_id == target
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        assert (await check(app, trail)).fault is None


async def test_an_event_put_in_behind_the_seal_is_named(trail: Trail) -> None:
    async with trail.tampering() as admin:
        beside = trail.chain[1].read_entries()[5][0]
        [row] = await read_own(
            admin,
            """INSERT INTO control.audit_events (occurred_at, xid, action)
               SELECT occurred_at, xid, 'tenant.added' FROM control.audit_events WHERE audit_id = %s
               RETURNING audit_id""",
            beside,
        )
        found = await check(admin, trail)
    assert found.fault == Fault("added", 2, trail.chain[1].bound, row["audit_id"])


async def test_two_events_that_changed_places_are_found(trail: Trail) -> None:
    first, second = (trail.chain[1].read_entries()[at][0] for at in (10, 11))
    async with trail.tampering() as admin:
        await admin.execute(
            """UPDATE control.audit_events e SET detail = o.detail, tenant_ref = o.tenant_ref
               FROM control.audit_events o WHERE e.audit_id = ANY (%(both)s) AND o.audit_id = ANY (%(both)s)
                                             AND e.audit_id <> o.audit_id""",
            {"both": [first, second]},
        )
        found = await check(admin, trail)
    assert found.fault == Fault("altered", 2, trail.chain[1].bound, first)


async def test_an_event_whose_own_hash_was_forged_too_gives_away_its_segment(trail: Trail) -> None:
    """The entry is the event's again; the checkpoint's digest, or with that its signature, is not."""
    checkpoint = trail.chain[1]
    for forges_digest in (False, True):
        async with trail.tampering() as admin:
            target = checkpoint.read_entries()[417][0]
            await admin.execute(
                "UPDATE control.audit_events SET actor = 'nobody' WHERE audit_id = %s", [target]
            )
            found = await check(admin, trail)
            assert found.fault is not None
            forged = await forge_entry(admin, checkpoint, target)
            digest = forged.digest if forges_digest else checkpoint.digest
            await admin.execute(
                "UPDATE control.audit_checkpoint SET entries = %s, digest = %s WHERE segment = 2",
                [forged.entries, digest],
            )
            found = await check(admin, trail)
        assert found.fault == Fault("signature" if forges_digest else "segment_forged", 2, checkpoint.bound)


async def forge_entry(admin: Connection, checkpoint: Checkpoint, target: int) -> Checkpoint:
    events = await read_events(admin, Frontier(checkpoint.bound), settled=False, batch=10_000)
    hashed = {event.audit_id: hash_event(event) for event in events}
    entries = b"".join(
        audit_id.to_bytes(8, "big") + (hashed[audit_id] if audit_id == target else before)
        for audit_id, before in checkpoint.read_entries()
    )
    forged = replace(checkpoint, entries=entries)
    return replace(forged, digest=sha256(forged.statement()).digest())


async def test_a_checkpoint_that_went_is_missed(trail: Trail) -> None:
    for segment in (1, 2):
        async with trail.tampering() as admin:
            await admin.execute("DELETE FROM control.audit_checkpoint WHERE segment = %s", [segment])
            found = await check(admin, trail)
        assert found.fault is not None
        assert (found.fault.what, found.fault.segment) == ("segment_missing", segment + 1)


async def test_a_chain_cut_at_its_end_is_found_by_a_checkpoint_known_from_the_log(trail: Trail) -> None:
    async with trail.tampering() as admin:
        last = await read_newest_checkpoint(admin)
        assert last is not None
        assert (await check(admin, trail, known={last.digest})).fault is None
        await admin.execute("DELETE FROM control.audit_checkpoint WHERE segment = %s", [last.segment])
        ids = [audit_id for audit_id, _ in last.read_entries()]
        await admin.execute("DELETE FROM control.audit_events WHERE audit_id = ANY (%s)", [ids])
        assert (await check(admin, trail)).fault is None, "the rest of the chain holds by itself"
        found = await check(admin, trail, known={last.digest})
    assert found.fault == Fault("truncated", segment=last.segment - 1)


async def test_a_month_that_went_without_a_sealed_word_is_missed(trail: Trail) -> None:
    bound = trail.chain[0].bound
    async with trail.tampering() as admin:
        await admin.execute(f"DROP TABLE control.audit_events_{bound.replace('-', '_')}".encode())
        found = await check(admin, trail)
    assert found.fault == Fault("partition_missing", bound=bound)
    assert found.dropped == [bound]


async def test_a_month_that_went_when_its_time_was_over_is_told_as_dropped(trail: Trail) -> None:
    """A sealed event tells of it, and of every month before it: that event goes itself one day."""
    async with open_connection(trail.deployment.admin_url, purpose="test") as admin:
        async with admin.transaction():
            await admin.execute("SET LOCAL ROLE zaptik_owner")
            for month in ("2020-01", "2020-02"):
                await admin.execute("SELECT control.make_audit_partition(%s)", [month])
        for day in ("2020-01-31", "2020-02-01"):
            await add_events(trail.deployment, 3, at=f"'{day} 00:00Z'::timestamptz")
        await admin.execute(
            """INSERT INTO control.audit_events (actor, action, detail)
               VALUES ('zaptik_owner', 'retention.audit', '{"month": "2020-02", "events": 3}')"""
        )
    await seal_all(trail.deployment, trail.key)
    async with trail.tampering() as admin:
        for month in ("2020_01", "2020_02"):
            await admin.execute(f"DROP TABLE control.audit_events_{month}".encode())
        found = await check(admin, trail)
    assert (found.fault, found.dropped) == (None, ["2020-01", "2020-02"])


async def test_with_another_key_nothing_is_believed(trail: Trail, tmp_path: Path) -> None:
    other = generate_audit_key(tmp_path / "other.json")
    under_its_name = TrustedKeys({trail.key.key_id: other.trusted.keys[other.key_id]})
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        unknown = await verify(app, other.trusted.check, now=datetime.now(UTC))
        wrong = await verify(app, under_its_name.check, now=datetime.now(UTC))
    assert unknown.fault == Fault("unknown_key", 1, trail.chain[0].bound)
    assert wrong.fault == Fault("signature", 1, trail.chain[0].bound)


async def test_of_a_period_its_own_segments_are_read(trail: Trail) -> None:
    target = trail.chain[1]
    period = Period(target.last_us, target.last_us + 1)
    async with trail.tampering() as admin:
        outside = trail.chain[0].read_entries()[0][0]
        await admin.execute("DELETE FROM control.audit_events WHERE audit_id = %s", [outside])
        assert (await check(admin, trail)).fault is not None
        found = await check(admin, trail, period=period)
        inside = target.read_entries()[-1][0]
        await admin.execute("DELETE FROM control.audit_events WHERE audit_id = %s", [inside])
        broken = await check(admin, trail, period=period)
    assert found.fault is None
    assert found.segments >= len(trail.chain), "the chain is checked as a whole"
    assert broken.fault == Fault("missing", 2, target.bound, inside)


async def test_an_event_is_sealed_when_no_earlier_one_can_come(trail: Trail) -> None:
    """A transaction that runs holds back whatever came after it began to write; when it ends all is sealed, once."""
    async with (
        open_connection(trail.deployment.admin_url, purpose="test") as slow,
        open_connection(trail.deployment.app_url, purpose="test") as app,
    ):
        async with slow.transaction():
            await slow.execute("INSERT INTO control.audit_events (action) VALUES ('slow')")
            await add_events(trail.deployment, 3)
            before = await seal_all(trail.deployment, trail.key)
            assert sum(one.events for one in before) <= 1
        after = await seal_all(trail.deployment, trail.key)
        found = await check(app, trail)
    assert sum(one.events for one in after) == 4
    assert found.fault is None
    assert found.events == found.sealed


async def test_two_sealers_make_one_chain(trail: Trail) -> None:
    await add_events(trail.deployment, 2_000)
    chains = await asyncio.gather(
        *(seal_all(trail.deployment, trail.key, holder=f"sealer {number}") for number in range(4))
    )
    async with open_connection(trail.deployment.admin_url, purpose="test") as admin:
        await admin.execute("UPDATE control.audit_sealer SET lease_until = '-infinity'")
    assert [len(chain) > 0 for chain in chains].count(True) <= 1
    await seal_all(trail.deployment, trail.key)
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        found = await check(app, trail)
        assert found.fault is None
        assert found.events == found.sealed


async def test_nobody_adds_a_checkpoint_out_of_turn(trail: Trail) -> None:
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        newest = await read_newest_checkpoint(app)
        assert newest is not None
        for holder in ("nobody", "a test"):
            [row] = await read_own(
                app,
                """SELECT control.add_audit_checkpoint(%s, jsonb_build_object('segment', %s::bigint,
                   'previous', '\\x' || encode(%s, 'hex'))) AS added""",
                holder, newest.segment, newest.previous,
            )  # fmt: skip
            assert row["added"] is False


async def test_the_trail_of_a_server_restored_from_a_dump_is_sealed_on(trail: Trail) -> None:
    """A new server counts transactions from its own beginning: its events stand before those that are sealed."""
    bound = trail.chain[-1].bound
    insert = "INSERT INTO control.audit_events (xid, action) SELECT %s::xid8, %s FROM generate_series(1, %s)"
    async with trail.tampering() as admin:
        [row] = await read_own(admin, "SELECT pg_current_xact_id()::text AS xid")
        dumped = int(row["xid"]) + 10**9
        await admin.execute(insert, [str(dumped), "sealed before the dump", 5])
        [frontier] = [one.frontier for one in await read_partitions(admin) if one.frontier.bound == bound]
        events = await read_events(admin, frontier, settled=False)
        newest = await read_newest_checkpoint(admin)
        await admin.execute("UPDATE control.audit_sealer SET holder = 'a test', lease_until = 'infinity'")
        # by the server that was left, where it was settled
        await put_checkpoint(admin, build_checkpoint(events, frontier, newest, signer=trail.key, sealed_us=0))
        await admin.execute(insert, [str(dumped + 1), "not sealed before the dump", 3])
        await admin.execute(insert, ["20", "of the new server", 4])
        assert sum(one.unsealed for one in await read_partitions(admin)) == 7
        made = [one async for one in seal(admin, trail.key, holder="a test", now=lambda: datetime.now(UTC))]
        await admin.execute(insert, ["21", "of the new server, later", 2])
        made += [one async for one in seal(admin, trail.key, holder="a test", now=lambda: datetime.now(UTC))]
        found = await check(admin, trail)
        assert [(one.events, one.after_id > 0) for one in made] == [(3, False), (4, True), (2, True)]
        assert (found.fault, found.events) == (None, found.sealed)
        await admin.execute("DELETE FROM control.audit_events WHERE action = 'of the new server, later'")
        broken = await check(admin, trail)
    assert broken.fault is not None
    assert (broken.fault.what, broken.fault.segment) == ("missing", made[-1].segment)


@pytest.mark.parametrize("table", ["audit_events", "audit_checkpoint"])
async def test_not_even_a_superuser_changes_a_checkpoint_by_plain_means(table: str, trail: Trail) -> None:
    for change in ("DELETE FROM control.", "TRUNCATE control."):
        async with open_connection(trail.deployment.admin_url, purpose="test") as admin:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                await admin.execute((change + table).encode())


async def test_another_key_is_an_event_and_the_chain_goes_on(trail: Trail, tmp_path: Path) -> None:
    key = generate_audit_key(tmp_path / "next.json", after=trail.key)
    await add_events(trail.deployment, 2)
    async with trail.tampering() as admin:
        await admin.execute("UPDATE control.audit_sealer SET holder = 'a test', lease_until = 'infinity'")
        made = [one async for one in seal(admin, key, holder="a test", now=lambda: datetime.now(UTC))]
        found = await verify(admin, key.trusted.check, now=datetime.now(UTC))
        old = await verify(admin, trail.key.trusted.check, now=datetime.now(UTC))
        told = await read_own(
            admin, "SELECT detail FROM control.read_audit_tail(NULL, NULL, 'audit.key_used', 1)"
        )
    assert {one.key_id for one in made} == {key.key_id}
    assert found.fault is None
    assert old.fault == Fault("unknown_key", made[0].segment, made[0].bound)
    assert told == [{"detail": {"key_id": key.key_id, "before": trail.key.key_id}}]


async def test_of_a_month_without_statistics_no_more_is_read_than_is_wanted(trail: Trail) -> None:
    """The planner then thinks that the month is small, and would sort all of it for each segment."""
    async with trail.tampering() as admin:
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        await admin.execute("SELECT control.make_audit_partition('2019-01')")
        await admin.execute("SET LOCAL ROLE NONE")
        await admin.execute(
            """INSERT INTO control.audit_events (occurred_at, action)
               SELECT '2019-01-02'::timestamptz + n * interval '1 second', 'x' FROM generate_series(1, 5000) n"""
        )
        events = await read_events(admin, Frontier("2019-01"), settled=False, batch=10)
        [read] = await read_own(
            admin,
            """SELECT coalesce(idx_tup_fetch, 0) + seq_tup_read AS tuples FROM pg_stat_xact_user_tables
               WHERE relname = 'audit_events_2019_01'""",
        )
    assert len(events) == 10
    assert read["tuples"] <= 20


async def test_how_much_is_not_sealed_is_counted_up_to_a_bound(trail: Trail) -> None:
    await add_events(trail.deployment, 30)
    async with open_connection(trail.deployment.app_url, purpose="test") as app:
        counted = [one.unsealed for one in await read_partitions(app, most_counted=10)]
        whole = [one for one in await read_partitions(app) if one.unsealed]
    assert max(counted) == 10
    assert [one.unsealed for one in whole] == [30]
    assert whole[0].oldest_unsealed is not None
