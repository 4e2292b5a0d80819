"""`consumer grant`, `revoke`, `list`: a login's memberships, and which logins are no consumer's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from jobs.errors import DatabaseUnsafe, Failure, UnknownTenant
from jobs.names import reader_role
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.conftest import AddTenant, Bystander
from tests.integration.consumer_case import a_login, ask, connected
from tests.integration.postgres_steps import GROUP, node, publish_tables, read_own
from worker.command import main
from worker.postgres.connection import Connection, open_connection
from worker.postgres.consumers import (
    Consumer,
    UnfitLogin,
    UnknownLogin,
    grant_consumer,
    list_consumers,
    revoke_consumer,
)
from worker.postgres.migrate import migrate
from worker.postgres.safety import check_database
from worker.postgres.tenants import Tenant, add_tenant

pytestmark = pytest.mark.anyio

GRANTS_BY_GRANTOR = 160_000
COUNT = "SELECT count(*) FROM {tenant}.graph_v1_nodes"


async def read_events(admin: Connection, tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    rows = await read_own(
        admin,
        """SELECT action, detail FROM control.audit_events WHERE tenant_ref = %s AND action ~ '^consumer'
           ORDER BY audit_id""",
        tenant.tenant_id,
    )
    return [(row["action"], row["detail"]) for row in rows]


async def test_a_login_is_granted_once_and_revoked_once_and_each_is_told(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    async with a_login(admin, deployment.admin_url) as login, connected(login) as reader:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await ask(reader, COUNT, within=tenant)
        assert await grant_consumer(admin, login.name, tenant=tenant.name)
        assert not await grant_consumer(admin, login.name, tenant=tenant.name)
        assert await ask(reader, COUNT, within=tenant) == [{"count": 1}]
        assert Consumer(login.name, tenant.name, requester=False) in await list_consumers(admin)
        assert await revoke_consumer(admin, login.name, tenant=tenant.name)
        assert not await revoke_consumer(admin, login.name, tenant=tenant.name)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await ask(reader, COUNT, within=tenant)
        detail = {"login": login.name, "requester": False}
        assert await read_events(admin, tenant) == [
            ("consumer.granted", detail),
            ("consumer.revoked", detail),
        ]


async def test_with_its_last_tenant_a_login_loses_what_else_it_was_given(
    admin: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    rights = """SELECT has_function_privilege(%s, 'set_config(text, text, boolean)', 'EXECUTE') AS settings,
                       EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
                               WHERE datname = current_database() AND a.grantee = %s::regrole) AS connects"""
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        await grant_consumer(admin, login.name, tenant=other.name)
        await grant_consumer(admin, login.name, tenant=None)
        async with connected(login) as reader:  # many clients set their parameters so
            assert await ask(reader, "SELECT set_config('statement_timeout', '5s', false)")
        held = []
        for name in (tenant.name, None, other.name):
            held += await read_own(admin, rights, login.name, login.name)
            await revoke_consumer(admin, login.name, tenant=name)
        assert [list(row.values()) for row in held] == [[True, True]] * 3
        assert await read_own(admin, rights, login.name, login.name) == [
            {"settings": False, "connects": False}
        ]


UNFIT = {
    "a superuser": ("LOGIN SUPERUSER", "it is a superuser"),
    "exempt from row security": ("LOGIN BYPASSRLS", "it is exempt from row security"),
    "allowed to make roles": ("LOGIN CREATEROLE", "it is allowed to make roles"),
    "allowed to replicate": ("LOGIN REPLICATION", "it is allowed to replicate"),
    "no login": ("NOLOGIN", "it is no login"),
    "a member of the app's role": ("LOGIN IN ROLE zaptik_app", "a member of zaptik_app"),
    "a member of the owner's role": (
        "IN ROLE zaptik_owner",
        "a member of zaptik_fleet, and a member of zaptik_owner",
    ),
    "a member of a tenant's role": ("LOGIN IN ROLE tenant_bystander", "it is a member of tenant_bystander"),
    "a reader of everything": ("LOGIN IN ROLE pg_read_all_data", "it is a member of pg_read_all_data"),
    "one who runs programs": (
        "LOGIN IN ROLE pg_execute_server_program",
        "a member of pg_execute_server_program",
    ),
    "a superuser's member": ("LOGIN IN ROLE postgres", "through postgres a superuser"),
    "one who ends sessions": ("LOGIN IN ROLE pg_signal_backend", "it is a member of pg_signal_backend"),
    "one who sees statements": ("LOGIN IN ROLE pg_monitor", "a member of pg_read_all_stats"),
}


@pytest.mark.parametrize("what", UNFIT)
async def test_no_consumer_is(what: str, admin: Connection, deployment: Deployment, tenant: Tenant) -> None:
    attributes, told = UNFIT[what]
    async with a_login(admin, deployment.admin_url, attributes=attributes) as login:
        for name in (tenant.name, None):
            with pytest.raises(UnfitLogin, match="cannot be a consumer") as refusal:
                await grant_consumer(admin, login.name, tenant=name)
            assert told in refusal.value.message
    assert await read_events(admin, tenant) == []


async def test_a_login_that_others_are_members_of_is_no_consumer(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    """They would read with it, and no list of consumers would name them."""
    async with a_login(admin, deployment.admin_url) as login, a_login(admin, deployment.admin_url) as other:
        await admin.execute(f"GRANT {login.name} TO {other.name}".encode())
        with pytest.raises(UnfitLogin, match=f"a role that {other.name} is a member of"):
            await grant_consumer(admin, login.name, tenant=tenant.name)
        await admin.execute(f"REVOKE {login.name} FROM {other.name}".encode())
        assert await grant_consumer(admin, login.name, tenant=tenant.name)


@pytest.mark.parametrize(
    ("login", "tenant", "failure"),
    [
        ("nobody_at_all", "bystander", UnknownLogin),
        ("nobody_at_all", None, UnknownLogin),
        ('x"; DROP ROLE zaptik_app; --', "bystander", UnknownLogin),
        ("zaptik_app", "bystander", UnfitLogin),
        ("zaptik_requester", "bystander", UnfitLogin),
        ("tenant_bystander", "bystander", UnfitLogin),
        ("reader_bystander", None, UnfitLogin),
        ("postgres", "bystander", UnfitLogin),
        ("postgres", "nobody", UnknownTenant),
    ],
)
async def test_a_grant_is_refused_that_names(
    login: str, tenant: str | None, failure: type[Failure], admin: Connection, bystander: Bystander
) -> None:
    tenant = tenant and (bystander.tenant.name if tenant == "bystander" else tenant)
    with pytest.raises(failure):
        await grant_consumer(admin, login, tenant=tenant)


async def test_a_grant_that_another_role_made_is_not_said_to_be_revoked(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    """From 16 on PostgreSQL revokes what its own grantor granted, and gives a notice for the rest."""
    role = reader_role(tenant.schema_name)
    async with (
        a_login(admin, deployment.admin_url) as login,
        a_login(admin, deployment.admin_url) as grantor,
    ):
        await admin.execute(f"GRANT {role} TO {grantor.name} WITH ADMIN OPTION".encode())
        async with connected(grantor) as connection:
            await connection.execute(f"GRANT {role} TO {login.name}".encode())
        if admin.info.server_version < GRANTS_BY_GRANTOR:
            assert await revoke_consumer(admin, login.name, tenant=tenant.name)
        else:
            with pytest.raises(DatabaseUnsafe, match="still a member"):
                await revoke_consumer(admin, login.name, tenant=tenant.name)
        await admin.execute(f"REVOKE {role} FROM {grantor.name} CASCADE".encode())


async def test_logins_granted_at_once_do_not_fail_each_other(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async def grant(login: str) -> bool:
        async with open_connection(deployment.admin_url, purpose="test grant") as connection:
            return await grant_consumer(connection, login, tenant=tenant.name)

    async with a_login(admin, deployment.admin_url) as one, a_login(admin, deployment.admin_url) as other:
        done = await asyncio.gather(*(grant(login.name) for login in (one, other, one, other)))
    assert sorted(done) == [False, False, True, True]


async def test_the_app_grants_nothing(app: Connection, admin: Connection, deployment: Deployment) -> None:
    async with a_login(admin, deployment.admin_url) as login:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await grant_consumer(app, login.name, tenant=None)


@pytest.fixture
def run_command(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Give a function that runs a command with --json, in a thread without a loop of its own."""
    monkeypatch.setenv("ZAPTIK_ADMIN_DATABASE_URL", deployment.admin_url)
    monkeypatch.setenv("ZAPTIK_DATABASE_URL", deployment.app_url)

    def run(*words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


async def test_who_is_granted_a_second_tenant_is_said_to_read_them_together(
    admin: Connection,
    deployment: Deployment,
    add_fresh_tenant: AddTenant,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ZAPTIK_ADMIN_DATABASE_URL", deployment.admin_url)
    one, two = await add_fresh_tenant(), await add_fresh_tenant()
    async with a_login(admin, deployment.admin_url) as login:
        for tenant, told in ((one, ""), (two, f"{login.name} reads 2 tenants, ")):
            assert await asyncio.to_thread(main, ["consumer", "grant", login.name, tenant.name]) == 0
            said = capsys.readouterr().err
            assert told in said
            assert bool(said) == bool(told)


async def test_the_command_prints_what_it_did(
    admin: Connection, deployment: Deployment, tenant: Tenant, run_command: Callable[..., tuple[int, Any]]
) -> None:
    async with a_login(admin, deployment.admin_url) as login:

        async def run(*words: str) -> tuple[int, Any]:
            return await asyncio.to_thread(run_command, "consumer", *words)

        granted = {"login": login.name, "tenant": tenant.name, "requester": False, "changed": True}
        assert await run("grant", login.name, tenant.name) == (0, granted)
        assert await run("grant", login.name, tenant.name) == (0, {**granted, "changed": False})
        asking = {"login": login.name, "tenant": None, "requester": True, "changed": True}
        assert await run("grant", login.name, "--requester") == (0, asking)
        _, listed = await run("list")
        own = [row for row in listed["consumers"] if row["login"] == login.name]
        assert own == [
            {"login": login.name, "tenant": None, "requester": True},
            {"login": login.name, "tenant": tenant.name, "requester": False},
        ]
        for words in ((login.name,), (login.name, tenant.name, "--requester")):
            code, document = await run("grant", *words)
            assert (code, document["error"]["code"]) == (2, "wrong_arguments")
        code, document = await run("grant", "postgres", tenant.name)
        assert (code, document["error"]["code"]) == (2, "unfit_login")
        assert await run("revoke", login.name, tenant.name) == (0, granted)
        assert await run("revoke", login.name, "--requester") == (0, asking)


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment whose roles these tests break and mend."""
    return deploy(own_server.admin_url())


async def test_a_role_of_the_readers_name_that_we_did_not_make_gets_no_tenant(
    own_deployment: Deployment,
) -> None:
    """Its members, whoever they are, would read the tenant."""
    async with open_connection(own_deployment.admin_url, purpose="test") as admin:
        await admin.execute("CREATE ROLE reader_taken LOGIN")
        with pytest.raises(DatabaseUnsafe, match="There is a role reader_taken already"):
            await add_tenant(admin, "taken", url="https://taken.service-now.com", every_seconds=3600)
        assert await read_own(admin, "SELECT to_regnamespace('tenant_taken') AS there") == [{"there": None}]
        await admin.execute("ALTER ROLE reader_taken RENAME TO somebodys")
        await add_tenant(admin, "taken", url="https://taken.service-now.com", every_seconds=3600)


async def test_a_migration_sets_the_readers_roles_right_and_the_app_may_be_none_of_them(
    own_deployment: Deployment,
) -> None:
    async with open_connection(own_deployment.admin_url, purpose="test") as admin:
        await add_tenant(admin, "one", url="https://one.service-now.com", every_seconds=3600)
        await admin.execute(
            """ALTER ROLE reader_one LOGIN SUPERUSER BYPASSRLS; ALTER ROLE zaptik_requester LOGIN CREATEROLE;
               GRANT reader_one, zaptik_requester TO zaptik_app"""
        )
        async with open_connection(own_deployment.app_url, purpose="test") as app:
            with pytest.raises(
                DatabaseUnsafe, match="a member of reader_one, and a member of zaptik_requester"
            ):
                await check_database(app)
            await admin.execute("REVOKE reader_one, zaptik_requester FROM zaptik_app")
            await migrate(admin, app_url=None, today=datetime.now(UTC).date())
            await check_database(app)
        assert (
            await read_own(
                admin,
                """SELECT rolname FROM pg_roles WHERE rolname IN ('reader_one', 'zaptik_requester')
               AND (rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole)""",
            )
            == []
        )


async def test_consumers_of_a_tenant_leave_the_start_of_processes_as_it_is(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        await grant_consumer(admin, login.name, tenant=None)
        await check_database(app)
