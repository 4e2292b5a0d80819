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
from ops.bench.crowd import grown_migrations
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, app_url
from worker.postgres.connection import Connection, open_connection
from worker.postgres.migrate import MigrationReport, migrate
from worker.postgres.migrate_tenants import Progress
from worker.postgres.safety import check_database
from worker.postgres.staging import check_version
from worker.postgres.tenants import add_tenant

pytestmark = pytest.mark.anyio

LATEST = schema.latest_version("control")
NAMES = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"]


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


async def migrate_all(deployment: Deployment, *, progress: Progress | None = None) -> MigrationReport:
    async with open_connection(deployment.admin_url, purpose="test migrate") as connection:
        return await migrate(
            connection,
            app_url=deployment.app_url,
            today=datetime.now(UTC).date(),
            opening=lambda: open_connection(deployment.admin_url, purpose="test lane"),
            progress=progress,
        )


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


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_hold_every_name_is_refused_before_anything_is_made(
    encoding: str, own_server: EmbeddedPostgres
) -> None:
    name = f"encoded_{secrets.token_hex(4)}"
    async with open_connection(own_server.admin_url(), purpose="test") as admin:
        await admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(DatabaseUnsafe, match=f"encoding {encoding} and must have UTF8: .*createdb"):
        await migrate_all(Deployment(own_server.admin_url(name), own_server.admin_url(name)))
    async with open_connection(own_server.admin_url(), purpose="test") as admin:
        cursor = await admin.execute("SELECT to_regrole('zaptik_app') AS made")
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
            ("tenant", schema.latest_version("tenant")),
        ]
    async with open_connection(empty.app_url, purpose="test") as app:
        await check_version(app, "tenant_c_behind")
        needed = schema.latest_version("tenant")
        with pytest.raises(
            NotMigrated, match=f"tenant_a_broken is at version None and this worker needs {needed}"
        ):
            await check_version(app, "tenant_a_broken")


async def read_migrated(admin: Connection, version: int) -> list[str]:
    """Give the tenants of which the audit trail says that they came to a version."""
    rows = await admin.execute(
        """SELECT t.name FROM control.audit_events e JOIN control.tenant t ON t.tenant_id = e.tenant_ref
           WHERE e.action = 'schema.migrated' AND e.detail = jsonb_build_object('schema', 'tenant', 'version', %s::int)
           ORDER BY 1""",
        [version],
    )
    return [row["name"] for row in await rows.fetchall()]


async def test_one_that_is_stopped_goes_on_where_it_was(empty: Deployment) -> None:
    """By the server, which cuts the connections to the tenants off after the third."""
    await migrate_all(empty)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, *NAMES)

        def cut_off(done: int, _total: int) -> None:
            if done == 3:
                with psycopg.connect(empty.admin_url, autocommit=True) as other:
                    other.execute(
                        """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                           WHERE application_name = 'zaptik test lane'"""
                    )

        with grown_migrations("ALTER TABLE {tenant}.node ADD COLUMN grown text"):
            version = schema.latest_version("tenant")
            with pytest.raises(DatabaseAway):
                await migrate_all(empty, progress=cut_off)
            before = await read_migrated(admin, version)
            assert 3 <= len(before) < len(NAMES)
            report = await migrate_all(empty)
            assert not report.failed
            assert report.current == before
            assert sorted(report.migrated + report.current) == NAMES
            assert await read_migrated(admin, version) == NAMES


async def test_two_at_once_share_the_tenants_while_others_are_added(empty: Deployment) -> None:
    await migrate_all(empty)
    done: list[tuple[int, int]] = []
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, *NAMES)
        with grown_migrations("ALTER TABLE {tenant}.node ADD COLUMN grown text"):
            version = schema.latest_version("tenant")
            *reports, _ = await asyncio.gather(
                migrate_all(empty, progress=lambda *told: done.append(told)),
                migrate_all(empty),
                add(admin, "late-a", "late-b"),
            )
        assert [report.failed for report in reports] == [[], []]
        migrated = sorted(reports[0].migrated + reports[1].migrated)
        assert [name for name in migrated if name in NAMES] == NAMES
        made = await read_migrated(admin, version)
        assert [name for name in made if "late" not in name] == NAMES
    assert [number for number, _ in done] == list(range(1, len(done) + 1))
    assert {total for _, total in done} == {len(done)}


async def test_who_waited_for_another_at_one_tenant_tells_that_it_was_migrated_already(
    empty: Deployment,
) -> None:
    """One waits for a reader of the table that it changes, the other for that one."""
    await migrate_all(empty)
    waiting = "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted"
    async with (
        open_connection(empty.admin_url, purpose="test") as admin,
        open_connection(empty.admin_url, purpose="test reader") as reader,
    ):
        await add(admin, "a")
        with grown_migrations("ALTER TABLE {tenant}.node ADD COLUMN grown text"):
            async with asyncio.timeout(30), asyncio.TaskGroup() as group, reader.transaction():
                await reader.execute("LOCK TABLE tenant_a.node IN ACCESS SHARE MODE")
                both = [group.create_task(migrate_all(empty)) for _ in range(2)]
                while await (await admin.execute(waiting)).fetchall() != [{"waiting": 2}]:
                    assert not any(task.done() for task in both)
            migrated, current = sorted((task.result() for task in both), key=lambda report: report.current)
            assert migrated == MigrationReport(control=LATEST, migrated=["a"])
            assert current == MigrationReport(control=LATEST, current=["a"])
            assert await read_migrated(admin, schema.latest_version("tenant")) == ["a"]


async def test_of_a_tenant_that_fails_nothing_is_done(empty: Deployment) -> None:
    await migrate_all(empty)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, "a")
        with grown_migrations("ALTER TABLE {tenant}.node ADD COLUMN grown text", "SELECT 1 / 0"):
            report = await migrate_all(empty)
        assert report.failed == [{"tenant": "a", "error": "DivisionByZero 22012"}]
        assert await migrate_all(empty) == MigrationReport(control=LATEST, current=["a"])
        grown = await admin.execute("SELECT FROM pg_attribute WHERE attname = 'grown'")
        assert await grown.fetchall() == []


async def test_what_tenants_roles_may_do_in_control_is_granted_again_and_to_those_made_anew(
    empty: Deployment,
) -> None:
    await migrate_all(empty)
    async with open_connection(empty.admin_url, purpose="test") as admin:
        await add(admin, "a", "b")
        rights = """SELECT r.rolname, has_schema_privilege(r.oid, 'control', 'USAGE') AS enters,
                           has_function_privilege(r.oid, 'control.request_sync(text, text)', 'EXECUTE') AS asks
                    FROM pg_roles r WHERE r.rolname IN ('tenant_a', 'reader_a', 'tenant_b', 'reader_b')
                    ORDER BY 1"""
        before = await (await admin.execute(rights)).fetchall()
        assert [row["enters"] for row in before] == [True] * 4
        await admin.execute("REVOKE USAGE ON SCHEMA control FROM tenant_a")
        for statement in ("DROP SCHEMA tenant_b CASCADE", "DROP OWNED BY tenant_b, reader_b"):
            await admin.execute(statement.encode())
        await admin.execute("DROP ROLE tenant_b, reader_b")
        assert await migrate_all(empty) == MigrationReport(control=LATEST, migrated=["b"], current=["a"])
        assert await (await admin.execute(rights)).fetchall() == before


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
