"""Adding a tenant: its role, its schema and its row together or not at all."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Self

import psycopg
import pytest
from psycopg.rows import DictRow

import schema
from jobs.errors import DatabaseAway, DatabaseUnsafe, InvalidName, PrivilegeMissing, UnknownTenant
from jobs.names import reader_role
from tests.conftest import Deployment
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows, open_connection
from worker.postgres.tenants import (
    StoredCredentials,
    Tenant,
    TenantExists,
    add_tenant,
    find_tenant,
    next_credential_version,
    read_credentials,
    read_data_key,
    read_key_ids,
    store_credentials,
)

pytestmark = pytest.mark.anyio

MADE = """SELECT to_regrole(%(schema)s) IS NOT NULL AS role, to_regrole(%(reader)s) IS NOT NULL AS reader,
                 to_regnamespace(%(schema)s) IS NOT NULL AS schema,
                 EXISTS (SELECT FROM control.tenant WHERE schema_name = %(schema)s) AS row"""
NOTHING = {"role": False, "reader": False, "schema": False, "row": False}


async def read_made(admin: Connection, schema_name: str) -> dict[str, bool]:
    cursor = await admin.execute(MADE, {"schema": schema_name, "reader": reader_role(schema_name)})
    [row] = await cursor.fetchall()
    return row


async def test_a_tenant_is_added_once_and_the_same_again_is_the_same(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    again = await add_tenant(admin, tenant.name, url=tenant.url, every_seconds=tenant.every_seconds)
    assert again.tenant_id == tenant.tenant_id
    assert again == await find_tenant(app, tenant.name)
    added = await read_own(
        admin,
        "SELECT count(*) FROM control.audit_events WHERE action = 'tenant.added' AND tenant_ref = %s",
        tenant.tenant_id,
    )
    assert added == [{"count": 1}]


async def test_what_was_taken_away_from_a_tenants_role_is_mended(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    await admin.execute(f"REVOKE {tenant.schema_name} FROM zaptik_app".encode())
    await admin.execute(f"REVOKE USAGE ON SCHEMA control FROM {tenant.schema_name}".encode())
    await add_tenant(admin, tenant.name, url=tenant.url, every_seconds=tenant.every_seconds)
    async with as_tenant(app, tenant.schema_name):
        held = await read_own(app, "SELECT control.record_events(gen_random_uuid(), 1, '[]', 0, 0)")
    assert held == [{"record_events": False}]


async def test_a_taken_name_with_another_address_is_refused_and_nothing_changes(
    admin: Connection, app: Connection, tenant: Tenant
) -> None:
    with pytest.raises(TenantExists, match=f"There is a tenant {tenant.name} already, at {tenant.url}"):
        await add_tenant(admin, tenant.name, url="https://other.service-now.com", every_seconds=3600)
    assert (await find_tenant(app, tenant.name)).url == tenant.url


async def test_a_tenant_that_fails_half_way_leaves_nothing(admin: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="tenant_url_is_https"):
        await add_tenant(admin, "half-way", url="http://half-way.service-now.com", every_seconds=3600)
    assert await read_made(admin, "tenant_half_way") == NOTHING


def cut_off_after(connection: Connection, statements: int, *, admin: Connection) -> None:
    """Have the server cut a connection off after so many statements."""
    left = statements

    class CutCursor(psycopg.AsyncCursor[DictRow]):
        async def execute(self, *args: Any, **kwargs: Any) -> Self:
            nonlocal left
            await super().execute(*args, **kwargs)
            left -= 1
            if left == 0:
                await admin.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.info.backend_pid])
            return self

    connection.cursor_factory = CutCursor


async def test_one_who_is_cut_off_after_any_statement_leaves_nothing_and_again_makes_all(
    deployment: Deployment, admin: Connection
) -> None:
    for statements in itertools.count(1):
        try:
            async with open_connection(deployment.admin_url, purpose="test dying") as dying:
                cut_off_after(dying, statements, admin=admin)
                await add_tenant(dying, "dying", url="https://dying.service-now.com", every_seconds=3600)
                break
        except DatabaseAway:
            assert await read_made(admin, "tenant_dying") == NOTHING
    assert statements > 2 * schema.latest_version("tenant")
    assert all((await read_made(admin, "tenant_dying")).values())


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE ROLE tenant_taken LOGIN", "There is a role tenant_taken already"),
        ("CREATE ROLE reader_taken", "There is a role reader_taken already"),
        ("CREATE SCHEMA tenant_taken", "There is a schema tenant_taken already"),
    ],
)
async def test_what_somebody_else_made_by_a_tenants_names_is_not_taken_over(
    admin: Connection, made: str, told: str
) -> None:
    await admin.execute(made.encode())
    try:
        with pytest.raises(DatabaseUnsafe, match=told):
            await add_tenant(admin, "taken", url="https://taken.service-now.com", every_seconds=3600)
    finally:
        await admin.execute(f"DROP {' '.join(made.split()[1:3])}".encode())
    assert await read_made(admin, "tenant_taken") == NOTHING


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "a-",
        "-a",
        "A",
        "a_b",
        "a.b",
        "a b",
        "ä",
        "a" * 41,
        'a"; DROP SCHEMA control; --',
        "a\n",
        "a'b",
    ],
)
async def test_a_name_that_is_no_instances_is_refused(name: str, admin: Connection) -> None:
    with pytest.raises(InvalidName):
        await add_tenant(admin, name, url="https://x.service-now.com", every_seconds=3600)
    with pytest.raises(psycopg.errors.CheckViolation, match="tenant_name_is_an_instance"):
        await admin.execute(
            """INSERT INTO control.tenant (name, schema_name, url, every_seconds)
               VALUES (%s, 'tenant_' || replace(%s, '-', '_'), 'https://x.service-now.com', 3600)""",
            [name, name],
        )


async def test_the_longest_name_fits_and_keeps_its_schema(admin: Connection) -> None:
    name = "a" * 20 + "-" + "b" * 19
    added = await add_tenant(admin, name, url="https://x.service-now.com", every_seconds=3600)
    assert all((await read_made(admin, added.schema_name)).values())


async def test_words_that_sql_keeps_for_itself_are_names(admin: Connection, app: Connection) -> None:
    added = await add_tenant(admin, "select", url="https://select.service-now.com", every_seconds=3600)
    async with as_tenant(app, added.schema_name):
        assert await read_own(app, "SELECT FROM {tenant}.node", within=added) == []


async def test_no_two_names_share_a_schema(admin: Connection) -> None:
    """Hyphens become underscores, and no name has an underscore; the constraints say so as well."""
    with pytest.raises(psycopg.errors.CheckViolation, match="tenant_schema_follows_name"):
        await admin.execute(
            """INSERT INTO control.tenant (name, schema_name, url, every_seconds)
               VALUES ('a-c', 'tenant_a_b', 'https://x.service-now.com', 3600)"""
        )


async def test_tenants_added_at_once_do_not_fail_each_other(deployment: Deployment) -> None:
    """Their grants change the same rows of the catalogue."""

    async def add(number: int) -> Tenant:
        async with open_connection(deployment.admin_url, purpose="test add") as connection:
            name = f"at-once-{number}"
            return await add_tenant(
                connection, name, url=f"https://{name}.service-now.com", every_seconds=3600
            )

    added = await asyncio.gather(*(add(number) for number in range(8)))
    assert len({tenant.tenant_id for tenant in added}) == 8


async def test_the_same_tenant_added_at_once_is_added_once(deployment: Deployment) -> None:
    async def add() -> Tenant:
        async with open_connection(deployment.admin_url, purpose="test add") as connection:
            return await add_tenant(
                connection, "same", url="https://same.service-now.com", every_seconds=3600
            )

    added = await asyncio.gather(*(add() for _ in range(8)))
    assert len({tenant.tenant_id for tenant in added}) == 1


async def test_a_tenant_that_is_not_there_is_said_to_be_unknown(app: Connection) -> None:
    with pytest.raises(UnknownTenant, match="There is no tenant 'nobody'"):
        await find_tenant(app, "nobody")


async def test_the_app_cannot_add_a_tenant(deployment: Deployment) -> None:
    with pytest.raises(PrivilegeMissing, match="for want of a privilege"):
        async with open_connection(deployment.app_url, purpose="test") as app:
            await add_tenant(app, "by-the-app", url="https://x.service-now.com", every_seconds=3600)


async def test_new_credentials_take_the_place_of_the_old_and_keep_the_data_key(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    assert await read_credentials(app, tenant.tenant_id) is None
    for version in (1, 2):
        async with in_tenant_rows(app, tenant.tenant_id):
            assert await next_credential_version(app, tenant.tenant_id) == version
            stored = StoredCredentials(version, b"sealed %d" % version, f"key-{tenant.name}", b"wrapped")
            await store_credentials(app, tenant.tenant_id, stored)
    assert await read_credentials(app, tenant.tenant_id) == stored
    async with in_tenant_rows(app, tenant.tenant_id):
        assert await read_data_key(app, tenant.tenant_id) == b"wrapped"
    kept = await read_own(
        admin, "SELECT version FROM control.credential WHERE tenant_id = %s", tenant.tenant_id
    )
    assert kept == [{"version": 2}]
    assert f"key-{tenant.name}" in await read_key_ids(app)
    assert (await find_tenant(app, tenant.name)).state == "active"
