"""`migrate` brings every schema to this version, twice or by two at once; what fails is told and stops no other."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

import schema
from jobs.errors import DatabaseAway, DatabaseUnsafe, NotMigrated
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, app_url
from worker.postgres.connection import Connection, open_connection
from worker.postgres.migrate import MigrationReport, migrate
from worker.postgres.safety import check_database
from worker.postgres.staging import check_version
from worker.postgres.tenants import add_tenant

pytestmark = pytest.mark.anyio

LATEST = schema.latest_version("control")


@pytest.fixture
def empty(own_server: EmbeddedPostgres) -> Iterator[Deployment]:
    """Give a database nobody has migrated, on a server without our roles; both are gone afterwards."""
    name = f"db_{secrets.token_hex(4)}"
    own_server.create_database(name)
    admin_url = own_server.admin_url(name)
    yield Deployment(admin_url, app_url(admin_url, password=secrets.token_urlsafe(16)))
    with psycopg.connect(own_server.admin_url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        roles = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^(zaptik|tenant)_'"
        ).fetchall()
        for (role,) in roles:
            connection.execute(f"DROP ROLE {role}".encode())


async def migrate_all(deployment: Deployment) -> MigrationReport:
    async with open_connection(deployment.admin_url, purpose="test migrate") as connection:
        return await migrate(connection, app_url=deployment.app_url, today=datetime.now(UTC).date())


async def add(connection: Connection, *names: str) -> None:
    for name in names:
        await add_tenant(connection, name, url=f"https://{name}.service-now.com", every_seconds=3600)


async def test_an_empty_database_is_brought_to_the_version_and_a_second_time_changes_nothing(
    empty: Deployment,
) -> None:
    assert await migrate_all(empty) == MigrationReport(control=LATEST)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, "acme")
        catalogue = """SELECT (SELECT jsonb_agg(to_jsonb(c) - 'reltuples' - 'relpages' ORDER BY oid) FROM pg_class c
                               WHERE relnamespace::regnamespace::text ~ '^(control|tenant_)') AS relations,
                              (SELECT jsonb_agg(r ORDER BY oid) FROM pg_roles r) AS roles"""
        before = await (await admin.execute(catalogue)).fetchall()
        assert await migrate_all(empty) == MigrationReport(control=LATEST, current=["acme"])
        assert await (await admin.execute(catalogue)).fetchall() == before


async def test_two_at_once_wait_for_each_other(empty: Deployment) -> None:
    reports = await asyncio.gather(migrate_all(empty), migrate_all(empty), migrate_all(empty))
    assert list(reports) == [MigrationReport(control=LATEST)] * 3
    async with open_connection(empty.app_url, purpose="test") as app:
        await check_database(app)


async def test_a_second_deployment_on_the_same_server_is_refused_and_told_of_the_first(
    empty: Deployment, own_server: EmbeddedPostgres
) -> None:
    await migrate_all(empty)
    second = f"second_{secrets.token_hex(4)}"
    own_server.create_database(second)
    first = empty.admin_url.rpartition("/")[2]
    with pytest.raises(DatabaseUnsafe, match=f"in database {first}"):
        await migrate_all(Deployment(own_server.admin_url(second), empty.app_url))
    async with open_connection(own_server.admin_url(second), purpose="test") as admin:
        cursor = await admin.execute("SELECT to_regnamespace('control') AS made")
        assert await cursor.fetchall() == [{"made": None}]


async def test_a_tenant_that_fails_is_told_and_the_others_are_brought_up(empty: Deployment) -> None:
    await migrate_all(empty)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, "a-broken", "b-current", "c-behind")
        await admin.execute("DELETE FROM tenant_a_broken.schema_version")
        await admin.execute("DROP SCHEMA tenant_c_behind CASCADE")
        report = await migrate_all(empty)
        assert report == MigrationReport(
            control=LATEST,
            migrated=["c-behind"],
            current=["b-current"],
            failed=[{"tenant": "a-broken", "error": "DuplicateTable 42P07"}],
        )
        trail = await admin.execute(
            """SELECT detail ->> 'schema' AS schema, (detail -> 'version')::int AS version
               FROM control.audit_events WHERE action = 'schema.migrated' ORDER BY audit_id"""
        )
        assert [tuple(row.values()) for row in await trail.fetchall()] == [
            ("control", LATEST),
            ("tenant_c_behind", schema.latest_version("tenant")),
        ]
    async with open_connection(empty.app_url, purpose="test") as app:
        await check_version(app, "tenant_c_behind")
        needed = schema.latest_version("tenant")
        with pytest.raises(
            NotMigrated, match=f"tenant_a_broken is at version None and this worker needs {needed}"
        ):
            await check_version(app, "tenant_a_broken")


async def test_a_tenant_at_a_version_unknown_to_the_worker_is_refused_alone(empty: Deployment) -> None:
    await migrate_all(empty)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, "newer", "fitting")
        await admin.execute("INSERT INTO tenant_newer.schema_version (version, name) VALUES (99, 'later')")
    async with open_connection(empty.app_url, purpose="test") as app:
        await check_database(app)
        await check_version(app, "tenant_fitting")
        with pytest.raises(NotMigrated, match="tenant_newer is at version 99 and this worker needs"):
            await check_version(app, "tenant_newer")


async def test_the_apps_password_is_set_when_the_role_is_made_and_never_again_nor_logged(
    empty: Deployment, own_server: EmbeddedPostgres
) -> None:
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        await admin.execute("SELECT pg_reload_conf()")
        await migrate_all(empty)
        password = secrets.token_urlsafe(16)
        other = Deployment(empty.admin_url, app_url(empty.admin_url, password=password))
        await migrate_all(other)
        await admin.execute("ALTER SYSTEM RESET log_statement")
        await admin.execute("SELECT pg_reload_conf()")
    async with open_connection(empty.app_url, purpose="test") as app:
        await check_database(app)
    with pytest.raises(DatabaseAway, match="refused the user or the password"):
        async with open_connection(other.app_url, purpose="test"):
            pass
    log = own_server.log_file.read_text()
    assert "ALTER ROLE zaptik_app PASSWORD" in log
    assert password not in log
    assert empty.app_url.split(":")[2].split("@")[0] not in log


async def test_no_statement_of_the_app_is_compiled(app: Connection) -> None:
    """On a server that can: publishing twenty nodes on Debian's PostgreSQL 15 took 4.6 s, of which 4.5 s compiling."""
    setting = await (await app.execute("SHOW jit")).fetchall()
    assert setting == [{"jit": "off"}]


async def test_a_worker_on_a_database_nobody_migrated_is_told_what_to_run(empty: Deployment) -> None:
    with pytest.raises(NotMigrated, match="run `zaptik migrate`"):
        async with open_connection(empty.admin_url, purpose="test") as admin:
            await admin.execute("SELECT FROM control.tenant")
