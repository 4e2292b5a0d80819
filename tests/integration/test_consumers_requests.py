"""Runs asked for by consumers and by the platform's scheduler: whose login may, what they then see, and no more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.conftest import Deployment
from tests.integration.conftest import AddTenant
from tests.integration.consumer_case import a_login, a_reader, ask, ask_column, connected
from tests.integration.postgres_steps import GROUP, node, publish, read_own, stage_table
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.consumers import grant_consumer
from worker.postgres.runs import claim_run, plan_round, request_sync
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

REQUEST = "SELECT control.request_sync(%s, %s)"
FOLLOWED = "SELECT tenant, state, revision, error_code FROM control.request_v1 WHERE request = %s"


async def read_asked(admin: Connection, tenant: Tenant) -> list[dict[str, Any]]:
    query = (
        "SELECT mode, requested_by, run_id IS NULL AS waits FROM control.sync_request WHERE tenant_id = %s"
    )
    return await read_own(admin, f"{query} ORDER BY request_id", tenant.tenant_id)


async def fold(app: Connection) -> None:
    await fetch_rows(app, "control", "fold_requests", batch=10_000)


async def test_a_member_of_a_tenants_readers_asks_for_its_run(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        async with connected(login) as reader:
            [number] = await ask_column(reader, REQUEST, tenant.name, "full")
        assert isinstance(number, int)
        told = "SELECT actor, detail FROM control.audit_events WHERE tenant_ref = %s AND action = 'run.asked'"
        assert await read_own(admin, told, tenant.tenant_id) == [
            {"actor": login.name, "detail": {"request": number, "mode": "full"}}
        ]
        assert await read_asked(admin, tenant) == [
            {"mode": "full", "requested_by": login.name, "waits": True}
        ]
        await fold(app)
        assert await read_asked(admin, tenant) == [
            {"mode": "full", "requested_by": login.name, "waits": False}
        ]


async def test_a_request_is_made_with_the_callers_own_transaction_or_not_at_all(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_reader(admin, deployment.admin_url, tenant.name) as reader:
        async with reader.transaction(force_rollback=True):
            await ask(reader, REQUEST, tenant.name, "delta")
        assert await read_asked(admin, tenant) == []
        async with reader.transaction():
            await ask(reader, REQUEST, tenant.name, "delta")
        assert len(await read_asked(admin, tenant)) == 1


async def refused(reader: Connection, name: str | None, mode: str | None = "full") -> str:
    """Ask for what must be refused; give the words, without the tenant's name and the login."""
    with pytest.raises(psycopg.errors.NoDataFound) as refusal:
        await ask(reader, REQUEST, name, mode)
    diag = refusal.value.diag
    user = reader.info.user
    return f"{diag.message_primary} {diag.message_detail} {diag.message_hint}".replace(
        repr(name), "X"
    ).replace(user, "Y")


async def test_another_tenant_and_one_that_is_not_there_are_refused_in_the_same_words(
    admin: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    async with a_reader(admin, deployment.admin_url, tenant.name) as reader:
        told = {
            await refused(reader, other.name),
            await refused(reader, "nobody"),
            await refused(reader, other.name, "nonsense"),  # the mode is looked at only for who may ask
        }
    assert len(told) == 1
    assert await read_asked(admin, other) == []


async def test_a_mode_that_is_none_is_an_error_that_shows_no_row(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_reader(admin, deployment.admin_url, tenant.name) as reader:
        for mode in ("", "FULL", "x", None):
            with pytest.raises(
                psycopg.errors.InvalidParameterValue, match="asked for as 'full' or 'delta'"
            ) as refusal:
                await ask(reader, REQUEST, tenant.name, mode)
            assert str(tenant.tenant_id) not in str(refusal.value)


async def test_a_login_asks_a_thousand_times_an_hour_for_a_tenant_and_fills_no_disk(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """By itself, in one statement or many; others, and other tenants, go on."""
    many = "SELECT count(control.request_sync(%s, 'delta')) AS asked FROM generate_series(1, %s)"
    other = await add_fresh_tenant()
    async with a_reader(admin, deployment.admin_url, None) as requester:
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="1000 runs"):
            await ask(requester, many, tenant.name, 1001)
        assert await read_asked(admin, tenant) == []
        await ask(requester, many, tenant.name, 1000)
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="no more is asked for"):
            await ask(requester, REQUEST, tenant.name, "full")
        await ask(requester, REQUEST, other.name, "full")
        async with a_reader(admin, deployment.admin_url, tenant.name) as reader:
            await ask(reader, REQUEST, tenant.name, "full")
        await request_sync(app, tenant.name, mode="full")
        assert len(await read_asked(admin, tenant)) == 1002
        await admin.execute(
            """UPDATE control.sync_request SET requested_at = requested_at - interval '1 hour' WHERE tenant_id = %s""",
            [tenant.tenant_id],
        )
        await ask(requester, REQUEST, tenant.name, "full")


async def test_what_counts_is_who_logged_in_and_not_the_role_that_they_became(
    admin: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """A login that became the readers' role is who it was."""
    other = await add_fresh_tenant()
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        async with connected(login) as reader:
            await reader.execute(f"SET ROLE reader_{tenant.schema_name.removeprefix('tenant_')}".encode())
            await ask(reader, REQUEST, tenant.name, "full")
            await refused(reader, other.name)
    assert (await read_asked(admin, tenant))[0]["requested_by"] == login.name


async def test_a_login_without_a_grant_asks_for_nothing(
    admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_login(admin, deployment.admin_url) as login, connected(login) as stranger:
        for query in (REQUEST, "SELECT control.request_sync(%s, %s) FROM control.request_v1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await ask(stranger, query, tenant.name, "full")
        # even with the right to call it, which each tenant's readers have
        await admin.execute(f"GRANT USAGE ON SCHEMA control TO {login.name}".encode())
        await admin.execute(f"GRANT EXECUTE ON FUNCTION control.request_sync TO {login.name}".encode())
        await refused(stranger, tenant.name)


async def test_the_apps_login_asks_as_before(admin: Connection, app: Connection, tenant: Tenant) -> None:
    await request_sync(app, tenant.name, mode="full")
    assert (await read_asked(admin, tenant))[0]["requested_by"] == "zaptik_app"
    with pytest.raises(psycopg.errors.NoDataFound, match="no tenant 'nobody'"):
        await request_sync(app, "nobody", mode="full")


async def test_a_requester_asks_for_any_tenant_and_follows_what_it_asked_for(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    async with (
        a_reader(admin, deployment.admin_url, None) as requester,
        a_reader(admin, deployment.admin_url, None) as second,
    ):
        [number] = await ask_column(requester, REQUEST, tenant.name, "full")
        [failing] = await ask_column(requester, REQUEST, other.name, "delta")
        await request_sync(app, tenant.name, mode="delta")
        assert await ask(requester, FOLLOWED, number) == [
            {"tenant": tenant.name, "state": "requested", "revision": None, "error_code": None}
        ]
        await fold(app)
        [row] = await ask(requester, "SELECT * FROM control.request_v1 WHERE request = %s", number)
        run = await claim_run(app, row["run_id"], worker="a worker", lease_seconds=600)
        assert run is not None
        assert (await ask(requester, FOLLOWED, number))[0]["state"] == "running"
        await stage_table(app, run, GROUP, [node(GROUP, 1)])
        await publish(app, run)
        assert await ask(requester, FOLLOWED, number) == [
            {"tenant": tenant.name, "state": "published", "revision": 1, "error_code": None}
        ]
        await admin.execute(
            """UPDATE control.run SET state = 'running', fence = fence + 1, lease_until = now() WHERE tenant_id = %s""",
            [other.tenant_id],
        )
        await admin.execute(
            """UPDATE control.run SET state = 'failed', lease_until = NULL, ended_at = now(),
               error = '{"code": "gave_up", "message": "m"}' WHERE tenant_id = %s""",
            [other.tenant_id],
        )
        assert await ask(requester, FOLLOWED, failing) == [
            {"tenant": other.name, "state": "failed", "revision": None, "error_code": "gave_up"}
        ]
        # what it asked for itself, and nobody else's
        everything = "SELECT request FROM control.request_v1 ORDER BY request"
        assert await ask_column(requester, everything) == [number, failing]
        assert await ask_column(second, everything) == []


async def test_a_condition_of_the_requesters_sees_no_others_row(
    admin: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """A pattern that is an error on one tenant's name would tell of it, if it were tried before the view's own."""
    other = await add_fresh_tenant()
    async with a_reader(admin, deployment.admin_url, None) as requester:
        [number] = await ask_column(requester, REQUEST, tenant.name, "full")
        # With which only its own tenant's row would be looked at.
        await ask(requester, "SET enable_nestloop = off")
        query = "SELECT request FROM control.request_v1 WHERE tenant NOT LIKE %s"
        assert await ask_column(requester, query, f"{other.name[:-1]}\\") == [number]


FORBIDDEN = {
    "tenants": "SELECT name FROM control.tenant",
    "runs": "SELECT * FROM control.run",
    "requests": "SELECT * FROM control.sync_request",
    "credentials": "SELECT * FROM control.credential",
    "data keys": "SELECT * FROM control.data_key",
    "processes": "SELECT * FROM control.process",
    "the audit trail": "SELECT * FROM control.audit_events",
    "the fleet": "SELECT * FROM control.read_fleet()",
    "a tenant by its name": "SELECT * FROM control.find_tenant('x')",
    "claim a run": "SELECT control.claim_run(gen_random_uuid(), 'x', 1)",
    "fold requests": "SELECT control.fold_requests(1)",
    "write a request": "INSERT INTO control.sync_request (tenant_id, mode) VALUES (gen_random_uuid(), 'full')",
    "write by the view": "UPDATE control.request_v1 SET state = 'x'",
    "draw numbers": "SELECT nextval('control.sync_request_request_id_seq')",
    "a tenant's graph": "SELECT * FROM {tenant}.graph_v1_nodes",
    "a tenant's tables": "SELECT * FROM {tenant}.node",
    "a tenant's feed": "SELECT * FROM {tenant}.graph_v1_feed",
}


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_a_requester_does_nothing_else(
    what: str, admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    async with a_reader(admin, deployment.admin_url, None) as requester:
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
        ):
            await ask(requester, FORBIDDEN[what], within=tenant)


async def test_an_open_transaction_of_a_requesters_is_in_nobodys_way(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """The scheduler's round, a claim and a whole run of the same tenant go on; its request comes with its commit."""
    other = await add_fresh_tenant()
    await admin.execute("SET lock_timeout = '5s'")
    async with a_reader(admin, deployment.admin_url, None) as requester:
        async with requester.transaction():
            await ask(requester, REQUEST, tenant.name, "full")
            await ask(requester, REQUEST, other.name, "delta")
            await app.execute("SET statement_timeout = '10s'")  # whoever waits for it fails
            done = await plan_round(app, max_attempts=5, again_after_seconds=30)
            due = {planned.tenant_id: planned.run_id for planned in done.due}
            assert {tenant.tenant_id, other.tenant_id} <= set(due)
            assert tenant.tenant_id not in {planned.tenant_id for planned in done.asked}
            run = await claim_run(app, due[tenant.tenant_id], worker="a worker", lease_seconds=600)
            assert run is not None
            await stage_table(app, run, GROUP, [node(GROUP, 1)])
            assert (await publish(app, run)).outcome == "published"
            await ask(app, REQUEST, tenant.name, "delta")
        done = await plan_round(app, max_attempts=5, again_after_seconds=30)
        assert tenant.tenant_id in {planned.tenant_id for planned in done.asked}
    assert [row["waits"] for row in await read_asked(admin, tenant)] == [False, False]
