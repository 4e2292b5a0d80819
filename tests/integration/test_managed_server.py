"""On a server that gives no superuser: `migrate` says what it cannot close, and goes on where that is accepted.

The administrator may make roles and databases and owns the database, as a managed server's does.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pydantic import SecretStr

import schema
from jobs.errors import DatabaseUnsafe
from jobs.gaps import GAPS
from ops.local.postgres import EmbeddedPostgres
from ops.local.valkey import EmbeddedValkey
from tests.conftest import Deployment, app_url
from tests.integration.consumer_case import a_login, connected
from tests.integration.injection_case import fetch_answer
from tests.integration.postgres_steps import GROUP, node, publish_tables, read_own
from worker.fleet.process import Process
from worker.postgres.connection import Connection, open_connection
from worker.postgres.consumers import grant_consumer
from worker.postgres.isolation import check_some
from worker.postgres.migrate import MigrationReport, migrate
from worker.postgres.safety import check_database
from worker.postgres.tenants import Tenant, add_tenant, change_state
from worker.settings import Settings

pytestmark = pytest.mark.anyio

OPEN = [
    "execute:advisory_locks", "execute:large_objects", "execute:set_config", "execute:texts", "execute:write_log",
    "trigger:drop_owned", "usage:plpgsql", "usage:sql",
]  # fmt: skip
"""What such an administrator cannot close; the database and the schema `public` are its own."""


@pytest.fixture(scope="module")
def managed(own_server: EmbeddedPostgres) -> Deployment:
    """Give the URLs of the administrator's and of the app's login; nothing is migrated yet."""
    own_server.create_database("managed")
    password = secrets.token_urlsafe(16)
    with psycopg.connect(own_server.admin_url("managed"), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE manager LOGIN CREATEROLE CREATEDB PASSWORD '{password}'".encode())
        superuser.execute("ALTER DATABASE managed OWNER TO manager")
    parts = urlsplit(own_server.admin_url("managed"))
    host = parts.netloc.rpartition("@")[2]
    admin_url = urlunsplit(parts._replace(netloc=f"manager:{password}@{host}"))
    return Deployment(admin_url, app_url(admin_url, password=secrets.token_urlsafe(16)))


@pytest.fixture
async def manager(managed: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(managed.admin_url, purpose="test manager") as connection:
        yield connection


async def migrate_as(manager: Connection, managed: Deployment, *accepted: str) -> MigrationReport:
    today = datetime.now(UTC).date()
    return await migrate(manager, app_url=managed.app_url, today=today, accepted_gaps=accepted)


async def add(manager: Connection, name: str) -> Tenant:
    return await add_tenant(manager, name, url=f"https://{name}.service-now.com", every_seconds=3600)


async def test_what_cannot_be_closed_is_refused_until_each_is_accepted_by_name(
    managed: Deployment, manager: Connection
) -> None:
    with pytest.raises(DatabaseUnsafe) as refusal:
        await migrate_as(manager, managed)
    assert f"set ZAPTIK_ACCEPTED_GAPS={','.join(OPEN)} " in refusal.value.message
    for gap in OPEN:
        assert f"{gap} (" in refusal.value.message
        assert GAPS[gap] in refusal.value.message
    with pytest.raises(DatabaseUnsafe) as refusal:
        await migrate_as(manager, managed, *OPEN[1:])
    assert f"What each leaves open: {OPEN[0]} (" in refusal.value.message
    assert f"{OPEN[1]} (" not in refusal.value.message


async def test_where_they_are_accepted_migrate_and_a_start_go_on_and_all_else_holds(
    managed: Deployment, manager: Connection, own_server: EmbeddedPostgres
) -> None:
    report = await migrate_as(manager, managed, *OPEN)
    assert (report.gaps, report.failed) == (OPEN, [])
    tenants = [await add(manager, name) for name in ("managed-a", "managed-b")]
    report = await migrate_as(manager, managed, *OPEN)
    assert {"managed-a", "managed-b"} <= set(report.current)
    assert (report.mended, report.failed) == ([], [])
    async with open_connection(managed.app_url, purpose="test app") as app:
        with pytest.raises(DatabaseUnsafe, match="ZAPTIK_ACCEPTED_GAPS names what you accept"):
            await check_database(app)
        assert await check_database(app, accepted_gaps=[*OPEN, "create:public"]) == OPEN
        for tenant in tenants:
            await change_state(app, tenant.tenant_id, "active", reason=None)
            await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="Desk")], [])})
        turn = await check_some(app, holder="this test", every_seconds=0)
        assert turn is not None
        assert turn.held >= len(tenants)
        assert (turn.reached, turn.failed) == ([], [])
    async with (
        open_connection(own_server.admin_url("managed"), purpose="test") as superuser,
        a_login(superuser, managed.admin_url) as login,
    ):
        await grant_consumer(manager, login.name, tenant="managed-a")
        async with connected(login) as reader:
            found = await read_own(reader, "SELECT name FROM tenant_managed_a.graph_v1_nodes")
        assert found == [{"name": "Desk"}]


async def test_a_guard_that_is_no_gap_is_mended_and_refused_there_too(
    managed: Deployment, manager: Connection
) -> None:
    await migrate_as(manager, managed, *OPEN)
    tenant = await add(manager, "managed-c")
    await manager.execute(
        f"ALTER TABLE {tenant.schema_name}.node NO FORCE ROW LEVEL SECURITY;"
        "GRANT SELECT ON control.credential TO PUBLIC".encode()
    )
    async with open_connection(managed.app_url, purpose="test app") as app:
        with pytest.raises(DatabaseUnsafe, match="node FORCE ROW LEVEL SECURITY"):
            await check_database(app, accepted_gaps=OPEN)
        report = await migrate_as(manager, managed, *OPEN)
        assert len(report.mended) == 2
        await check_database(app, accepted_gaps=OPEN)


GIVEN_BACK = """DO $$ DECLARE taken regprocedure; BEGIN
    FOR taken IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
                 AND has_function_privilege('zaptik_owner', p.oid, 'EXECUTE') AND NOT EXISTS (
                     SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', taken);
    END LOOP;
    GRANT USAGE ON LANGUAGE sql, plpgsql TO PUBLIC;
END $$"""


async def test_what_the_providers_superuser_revokes_once_needs_no_acceptance(
    managed: Deployment, manager: Connection, own_server: EmbeddedPostgres
) -> None:
    """By the statements of `roles.sql` that the page names."""
    await migrate_as(manager, managed, *OPEN)
    roles = schema.read_script("control", "roles")
    languages = re.findall(r"(?m)^(?:REVOKE|GRANT) USAGE ON LANGUAGE .*;$", roles)
    [functions] = re.findall(r"(?s)DO \$functions\$.*\$functions\$;", roles)
    with psycopg.connect(own_server.admin_url("managed"), autocommit=True) as superuser:
        superuser.execute(" ".join([*languages, functions]).encode())
        try:
            assert (await migrate_as(manager, managed, "trigger:drop_owned")).gaps == ["trigger:drop_owned"]
            async with open_connection(managed.app_url, purpose="test app") as app:
                assert await check_database(app, accepted_gaps=["trigger:drop_owned"]) == [
                    "trigger:drop_owned"
                ]
        finally:
            superuser.execute(GIVEN_BACK)


def test_a_process_warns_of_each_at_its_start(
    managed: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_migrate_alone(managed))
    with EmbeddedValkey() as redis:
        scheduler = Process(
            "scheduler",
            Settings(
                database_url=SecretStr(managed.app_url),
                redis_url=SecretStr(redis.url()),
                accepted_gaps=tuple(OPEN),
            ),
            threads=1,
        )
        assert scheduler.wait_for_dependencies()
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "gap.accepted" in line]
    assert len(told) == len(OPEN)
    assert all(gap in line and "warning" in line for gap, line in zip(OPEN, told, strict=True))


async def _migrate_alone(managed: Deployment) -> None:
    async with open_connection(managed.admin_url, purpose="test manager") as manager:
        await migrate_as(manager, managed, *OPEN)


async def test_a_gap_leaves_open_what_is_said_of_it(managed: Deployment, manager: Connection) -> None:
    """One statement that holds others becomes another tenant: what the refusal says of `usage:plpgsql`."""
    await migrate_as(manager, managed, *OPEN)
    own, other = await add(manager, "managed-d"), await add(manager, "managed-e")
    async with open_connection(managed.app_url, purpose="test app") as app:
        await change_state(app, other.tenant_id, "active", reason=None)
        await publish_tables(app, other, {GROUP: ([node(GROUP, 1, name="kanarienvogel")], [])})
        block = (
            "DO $$ BEGIN SET LOCAL ROLE {other}; "
            "RAISE NOTICE '%', (SELECT min(name) FROM {other}.node); END $$"
        ).replace("{other}", other.schema_name)
        async with app.transaction(force_rollback=True):
            await app.execute(f"SET LOCAL ROLE {own.schema_name}".encode())
            assert (await fetch_answer(app, block)).shown
