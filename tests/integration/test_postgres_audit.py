"""The audit trail: every act one event, in the transaction of what it tells of; nothing is changed or forged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg
import pytest

from jobs.errors import LeaseLost, PrivilegeMissing
from jobs.events import REQUEST_ANSWERED, TENANT_PAUSED, TOKEN_FETCHED, Event
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import GROUP, claim_fresh_run, publish, read_own
from worker.postgres.audit import MONTHS_AHEAD
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows, translated_errors
from worker.postgres.runs import yield_run
from worker.postgres.staging import begin_table, record_alone
from worker.postgres.tenants import Tenant, insert_events

pytestmark = pytest.mark.anyio

PARTITIONS = """SELECT c.oid::regclass::text AS name FROM pg_class c
                WHERE c.oid = 'control.audit_events'::regclass
                   OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'control.audit_events'::regclass)"""
EVENTS = """SELECT action, actor, tableoid::regclass::text AS partition, xid::text AS xid, detail, occurred_at
            FROM control.audit_events WHERE tenant_ref = %s ORDER BY audit_id"""


async def test_a_runs_acts_are_events_in_the_order_they_came(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    await record_alone(app, run, requests=1, events=[Event(TOKEN_FETCHED, {"expires_in_seconds": 1799})])
    counted = Event(REQUEST_ANSWERED, {"endpoint": "stats", "table": GROUP})
    await begin_table(app, run, table=GROUP, counted=0, requests=1, events=[counted])
    await publish(app, run)
    events = await read_own(admin, EVENTS, tenant.tenant_id)
    assert [event["action"] for event in events] == [
        "tenant.added",
        "run.asked",
        "run.requested",
        "run.claimed",
        "token.fetched",
        "request.answered",
        "run.ended",
    ]
    assert events[4]["detail"] == {"expires_in_seconds": 1799}
    assert {event["actor"] for event in events[1:]} == {"zaptik_app"}


@pytest.mark.parametrize(
    ("events", "requests", "records"),
    [
        ([{"action": "tenant.added", "detail": {}}], 1, 0),
        ([{"detail": {}}], 1, 0),
        ([], -1, 0),
        ([], 0, -1),
    ],
)
async def test_a_run_records_its_own_work_and_nothing_else(
    app: Connection, tenant: Tenant, events: list[dict[str, object]], requests: int, records: int
) -> None:
    run = await claim_fresh_run(app, tenant)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        async with as_tenant(app, tenant.schema_name):
            await app.execute(
                "SELECT control.record_events(%s, %s, %s::jsonb, %s, %s)",
                [run.run_id, run.fence, json.dumps(events), requests, records],
            )


async def test_an_event_names_no_run_of_another_and_none_without_a_tenant(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await claim_fresh_run(app, await add_fresh_tenant())
    for reference in (tenant.tenant_id, None):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            async with in_tenant_rows(app, tenant.tenant_id):
                await app.execute(
                    "INSERT INTO control.audit_events (action, tenant_ref, run_id) VALUES ('run.ended', %s, %s)",
                    [reference, other.run_id],
                )


async def test_a_yield_is_no_event_and_a_lost_lease_leaves_none(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    await yield_run(app, run)
    with pytest.raises(LeaseLost):
        await record_alone(app, run, requests=1, events=[Event(TOKEN_FETCHED)])
    assert [event["action"] for event in await read_own(admin, EVENTS, tenant.tenant_id)][-1] == "run.claimed"


async def test_an_event_falls_into_the_partition_of_its_month(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await claim_fresh_run(app, tenant)
    for event in await read_own(admin, EVENTS, tenant.tenant_id):
        month = event["occurred_at"].astimezone(UTC).strftime("%Y_%m")
        assert event["partition"] == f"control.audit_events_{month}"


async def test_half_a_year_of_partitions_is_made_ahead_and_one_for_the_rest(admin: Connection) -> None:
    names = {row["name"] for row in await read_own(admin, PARTITIONS)}
    now = datetime.now(UTC)
    for ahead in range(MONTHS_AHEAD + 1):
        year, month = divmod(now.year * 12 + now.month - 1 + ahead, 12)
        assert f"control.audit_events_{year}_{month + 1:02d}" in names
    assert "control.audit_events_rest" in names


async def test_events_of_a_month_nobody_made_are_kept_and_do_not_stop_the_next_migration(
    admin: Connection, tenant: Tenant
) -> None:
    async with admin.transaction(force_rollback=True):
        await admin.execute(
            "INSERT INTO control.audit_events (occurred_at, action, tenant_ref) VALUES ('1999-02-03', 'old', %s)",
            [tenant.tenant_id],
        )
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        for month in ("1999-02", "1999-03"):
            await admin.execute("SELECT control.make_audit_partition(%s)", [month])
        await admin.execute("SET LOCAL ROLE NONE")
        names = {row["name"] for row in await read_own(admin, PARTITIONS)}
        events = await read_own(admin, EVENTS, tenant.tenant_id)
    assert "control.audit_events_1999_03" in names
    assert "control.audit_events_1999_02" not in names
    assert [event["partition"] for event in events if event["action"] == "old"] == [
        "control.audit_events_rest"
    ]


CHANGES = {
    "update": "UPDATE {} SET action = 'forged'",
    "delete": "DELETE FROM {}",
    "truncate": "TRUNCATE {}",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_not_even_the_superuser_changes_an_event_by(
    change: str, admin: Connection, tenant: Tenant
) -> None:
    """The triggers stand on the parent and on every partition."""
    for row in await read_own(admin, PARTITIONS):
        async with admin.transaction(force_rollback=True):
            await fill_partition(admin, row["name"])
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                await admin.execute(CHANGES[change].format(row["name"]).encode())
    assert len(await read_own(admin, EVENTS, tenant.tenant_id)) == 1


async def fill_partition(admin: Connection, name: str) -> None:
    """Put an event into a partition, since only a row fires a row's trigger."""
    month = name.removeprefix("control.audit_events").removeprefix("_")
    when = (
        f"{month.replace('_', '-')}-02" if month[:1].isdigit() else {"": "now", "rest": "1900-01-01"}[month]
    )
    await admin.execute("INSERT INTO control.audit_events (occurred_at, action) VALUES (%s, 'x')", [when])


@pytest.mark.parametrize("change", CHANGES)
async def test_the_app_may_not_even_try_to(change: str, app: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        await app.execute(CHANGES[change].format("control.audit_events").encode())


ATTEMPTS = (
    *CHANGES.values(),
    "INSERT INTO {} (action) VALUES ('forged')",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_events_stay ON {}",
    "DROP TABLE {}",
    "ALTER TABLE control.audit_events DETACH PARTITION {}",
    "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
    "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
    "SET LOCAL session_replication_role = replica",
)


ON_THE_CHAIN = (
    "TABLE {}",
    "INSERT INTO {} DEFAULT VALUES",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP TABLE {}",
)


@pytest.mark.parametrize("role", ["zaptik_app", "tenant"])
async def test_neither_the_app_nor_a_tenant_reaches_any_partition_or_checkpoint(
    role: str, app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """Months to come are made by the same function as these."""
    role = tenant.schema_name if role == "tenant" else role
    names = {row["name"] for row in await read_own(admin, PARTITIONS)} - {"control.audit_events"}
    attempts = [attempt.replace("{}", name) for name in names for attempt in ATTEMPTS]
    for name in ("control.audit_checkpoint", "control.audit_sealer"):
        attempts += [attempt.replace("{}", name) for attempt in ON_THE_CHAIN]
    for attempt in attempts:
        async with app.transaction(force_rollback=True):
            await app.execute(f"SET LOCAL ROLE {role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await app.execute(attempt.encode())


FORGERIES: Mapping[str, str] = {
    "occurred_at": "now() - interval '1 day'",
    "xid": "pg_current_xact_id()",
    "actor": "'somebody else'",
    "audit_id": "1",
    "caller": "'somebody else'",
}


@pytest.mark.parametrize("column", FORGERIES)
async def test_the_app_cannot_say_itself(column: str, app: Connection, tenant: Tenant) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with in_tenant_rows(app, tenant.tenant_id):
            await app.execute(
                f"INSERT INTO control.audit_events (action, tenant_ref, {column}) "  # noqa: S608  our own words
                f"OVERRIDING SYSTEM VALUE VALUES ('forged', '{tenant.tenant_id}', {FORGERIES[column]})".encode()
            )


async def test_an_act_outside_a_run_is_written_in_the_tenants_name_alone(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    event = Event(TENANT_PAUSED, {"reason": "credentials"}, tenant=str(tenant.tenant_id))
    async with in_tenant_rows(app, tenant.tenant_id):
        await insert_events(app, [event])
    assert (await read_own(admin, EVENTS, tenant.tenant_id))[-1]["action"] == "tenant.paused"
    with pytest.raises(PrivilegeMissing), translated_errors():
        await insert_events(app, [event])


async def test_a_tenants_role_writes_events_of_its_own_run_alone(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    run = await claim_fresh_run(app, tenant)
    call = "SELECT control.record_events(%s, %s, '[]', 1, 1) AS held"
    async with as_tenant(app, tenant.schema_name):
        assert await read_own(app, call, run.run_id, run.fence) == [{"held": True}]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app.transaction():
                await app.execute("INSERT INTO control.audit_events (action) VALUES ('forged')")
    [row] = await read_own(admin, "SELECT requests FROM control.run WHERE run_id = %s", run.run_id)
    assert row["requests"] == 1
