"""Nothing starts on a database whose roles or privileges leave the boundary open, and the refusal says where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from jobs.errors import DatabaseUnsafe, NotMigrated
from ops.local.postgres import EmbeddedPostgres
from schema import latest_version
from tests.conftest import Deployment, deploy
from worker.postgres.connection import Connection, open_connection
from worker.postgres.guards import find_differing
from worker.postgres.migrate import migrate
from worker.postgres.safety import check_database, read_deviations
from worker.postgres.tenants import add_tenant

pytestmark = pytest.mark.anyio

PER_GRANT_INHERITANCE = 160000


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment whose roles and privileges these tests break and mend."""
    deployment = deploy(own_server.admin_url())
    asyncio.run(_add_two(deployment))
    return deployment


async def _add_two(deployment: Deployment) -> None:
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        for name in ("one", "two"):
            await add_tenant(admin, name, url=f"https://{name}.service-now.com", every_seconds=3600)


@pytest.fixture
async def own_admin(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.admin_url, purpose="test admin") as connection:
        yield connection


async def check_as_app(deployment: Deployment) -> None:
    async with open_connection(deployment.app_url, purpose="test check") as connection:
        await check_database(connection)


async def test_a_migrated_database_is_safe_to_start_on(own_deployment: Deployment) -> None:
    await check_as_app(own_deployment)


DOORS = {
    "TEMPORARY on the database": "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC",
    "CREATE on schema public": "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "USAGE on language sql": "GRANT USAGE ON LANGUAGE sql TO PUBLIC",
    "USAGE on language plpgsql": "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    **{
        f"EXECUTE on {function}": f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO PUBLIC"
        for function in (
            "set_config(text,text,boolean)",
            "ts_stat(text)",
            "ts_stat(text,text)",
            "ts_rewrite(tsquery,text)",
            "query_to_xml(text,boolean,boolean,text)",
            "query_to_xmlschema(text,boolean,boolean,text)",
            "query_to_xml_and_xmlschema(text,boolean,boolean,text)",
            "table_to_xml(regclass,boolean,boolean,text)",
            "table_to_xmlschema(regclass,boolean,boolean,text)",
            "table_to_xml_and_xmlschema(regclass,boolean,boolean,text)",
            "schema_to_xml(name,boolean,boolean,text)",
            "schema_to_xmlschema(name,boolean,boolean,text)",
            "schema_to_xml_and_xmlschema(name,boolean,boolean,text)",
            "database_to_xml(boolean,boolean,text)",
            "database_to_xmlschema(boolean,boolean,text)",
            "database_to_xml_and_xmlschema(boolean,boolean,text)",
            "cursor_to_xml(refcursor,integer,boolean,boolean,text)",
            "cursor_to_xmlschema(refcursor,boolean,boolean,text)",
            "lo_creat(integer)",
            "lo_create(oid)",
            "lo_from_bytea(oid,bytea)",
            "pg_advisory_lock(bigint)",
            "pg_try_advisory_xact_lock_shared(integer,integer)",
        )
    },
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_that_is_open_again_is_named_and_closed_by_the_next_migration(
    door: str, own_deployment: Deployment, own_admin: Connection
) -> None:
    await own_admin.execute(DOORS[door].encode())
    with pytest.raises(DatabaseUnsafe) as refusal:
        await check_as_app(own_deployment)
    assert f"({door})" in refusal.value.message
    await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
    await check_as_app(own_deployment)


async def test_a_revoke_that_takes_no_effect_fails_the_migration(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    """What another role granted is not taken away by the owner's REVOKE, which says nothing about it."""
    await own_admin.execute(
        """CREATE ROLE grantor;
           GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO grantor WITH GRANT OPTION;
           SET ROLE grantor;
           GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC;
           RESET ROLE"""
    )
    with pytest.raises(DatabaseUnsafe, match="set_config"):
        await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
    await own_admin.execute("DROP OWNED BY grantor CASCADE; DROP ROLE grantor")
    await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
    await check_as_app(own_deployment)


RIGHTS = {
    "a superuser": ("ALTER ROLE zaptik_app SUPERUSER", "ALTER ROLE zaptik_app NOSUPERUSER"),
    "exempt from row security": ("ALTER ROLE zaptik_app BYPASSRLS", "ALTER ROLE zaptik_app NOBYPASSRLS"),
    "inheriting the tenants' rights": ("ALTER ROLE zaptik_app INHERIT", "ALTER ROLE zaptik_app NOINHERIT"),
    "allowed to make roles": ("ALTER ROLE zaptik_app CREATEROLE", "ALTER ROLE zaptik_app NOCREATEROLE"),
    "the owner of objects": ("CREATE SCHEMA own AUTHORIZATION zaptik_app", "DROP SCHEMA own"),
    "a member of zaptik_owner": ("GRANT zaptik_owner TO zaptik_app", "REVOKE zaptik_owner FROM zaptik_app"),
    "a member of zaptik_fleet": ("GRANT zaptik_fleet TO zaptik_app", "REVOKE zaptik_fleet FROM zaptik_app"),
    "a member of pg_read_all_data": (
        "GRANT pg_read_all_data TO zaptik_app",
        "REVOKE pg_read_all_data FROM zaptik_app",
    ),
    "inheriting from tenant_one by a grant WITH INHERIT": (
        "GRANT tenant_one TO zaptik_app WITH INHERIT TRUE",
        "GRANT tenant_one TO zaptik_app WITH INHERIT FALSE",
    ),
    "allowed to grant tenant_one": (
        "GRANT tenant_one TO zaptik_app WITH ADMIN OPTION",
        "REVOKE ADMIN OPTION FOR tenant_one FROM zaptik_app",
    ),
    "through tenant_one a member of tenant_two": (
        "GRANT tenant_two TO tenant_one",
        "REVOKE tenant_two FROM tenant_one",
    ),
    "a member of tenant_two": ("ALTER ROLE tenant_two BYPASSRLS", "ALTER ROLE tenant_two NOBYPASSRLS"),
}


async def can_be_opened(admin: Connection, statement: str) -> bool:
    """Open a hole; false where PostgreSQL has no such hole: before version 16 no grant says that it inherits."""
    if "WITH INHERIT" not in statement or admin.info.server_version >= PER_GRANT_INHERITANCE:
        await admin.execute(statement.encode())
        return True
    with pytest.raises(psycopg.errors.SyntaxError):
        await admin.execute(statement.encode())
    return False


@pytest.mark.parametrize("right", RIGHTS)
async def test_the_app_is_refused_while_it_is(
    right: str, own_deployment: Deployment, own_admin: Connection
) -> None:
    grant, revoke = RIGHTS[right]
    if await can_be_opened(own_admin, grant):
        with pytest.raises(DatabaseUnsafe, match=right):
            await check_as_app(own_deployment)
        await own_admin.execute(revoke.encode())
    await check_as_app(own_deployment)


async def test_of_many_tenants_that_are_not_what_they_must_be_the_first_few_are_told(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    names = [f"many_{number}" for number in range(9)]
    async with open_connection(own_deployment.app_url, purpose="test check") as app:
        for name in names:
            await add_tenant(
                own_admin, name.replace("_", "-"), url="https://a.service-now.com", every_seconds=60
            )
            await own_admin.execute(f"ALTER TABLE tenant_{name}.node NO FORCE ROW LEVEL SECURITY".encode())
        told = [deviation.place for deviation in await read_deviations(app)]
        assert told == [f"tenant_{name}" for name in names[: len(told)]]
        assert 1 < len(told) < len(names)
        await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
        assert await read_deviations(app) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "ALTER ROLE zaptik_app SUPERUSER",
        "ALTER ROLE zaptik_app BYPASSRLS INHERIT",
        "ALTER ROLE tenant_two BYPASSRLS",
        "GRANT tenant_one TO zaptik_app WITH INHERIT TRUE",
    ],
)
async def test_the_next_migration_sets_right(
    wrong: str, own_deployment: Deployment, own_admin: Connection
) -> None:
    await can_be_opened(own_admin, wrong)
    await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
    await check_as_app(own_deployment)


async def test_rights_that_a_tenants_roles_left_behind_are_told_and_taken_away(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    await own_admin.execute("CREATE ROLE reader_gone")
    await own_admin.execute("GRANT USAGE ON SCHEMA control TO reader_gone")
    with pytest.raises(
        DatabaseUnsafe, match="made: tenant_gone has `GRANT USAGE ON SCHEMA control TO reader_gone`"
    ):
        await check_as_app(own_deployment)
    report = await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())
    assert report.mended == ["REVOKE USAGE ON SCHEMA control FROM reader_gone CASCADE"]
    await check_as_app(own_deployment)
    await own_admin.execute("DROP ROLE reader_gone")


async def test_tenants_are_compared_some_at_a_time_and_none_is_left_out(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    wrong = [f"tenant_{name}" for name in ("one", "two")]
    for schema_name in wrong:
        await own_admin.execute(f"ALTER TABLE {schema_name}.node NO FORCE ROW LEVEL SECURITY")
    async with open_connection(own_deployment.app_url, purpose="test") as app:
        for at_once in (1, 2, 3, 200):
            assert await find_differing(app, at_once=at_once) == wrong
    await migrate(own_admin, app_url=None, today=datetime.now(UTC).date())


async def test_another_login_than_the_apps_is_refused(own_admin: Connection) -> None:
    with pytest.raises(DatabaseUnsafe, match="Connected as postgres: set ZAPTIK_DATABASE_URL"):
        await check_database(own_admin)


async def test_an_older_control_schema_is_refused_with_both_versions(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    needed = latest_version("control")
    await own_admin.execute("UPDATE control.schema_version SET version = 99 WHERE version = %s", [needed])
    with pytest.raises(NotMigrated, match=f"at version 99 and this release needs {needed}"):
        await check_as_app(own_deployment)
    await own_admin.execute("UPDATE control.schema_version SET version = %s WHERE version = 99", [needed])
    await check_as_app(own_deployment)
