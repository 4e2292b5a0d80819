"""Behind a PgBouncer in transaction mode no role and no tenant of one client is there for the next.

The pool has one connection, so that the next client surely gets the one that was used before.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from psycopg.errors import DivisionByZero

from tests.conftest import Deployment
from tests.pooler import open_pooler
from worker.postgres.connection import Connection, as_tenant, fetch_rows, in_tenant_rows, open_connection
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

_LEFT = """SELECT current_user AS own, current_setting('role') AS role, pg_backend_pid() AS server,
                  nullif(current_setting('zaptik.tenant', true), '') AS tenant"""


@pytest.fixture
async def pooled_url(deployment: Deployment) -> AsyncIterator[str]:
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with open_pooler(Path(program), deployment.app_url, pool_size=1) as url:
        yield url


async def read_left(connection: Connection) -> dict[str, object]:
    row = await (await connection.execute(_LEFT)).fetchone()
    assert row is not None
    return row


async def check_nothing_left(url: str, *, server: object) -> None:
    """Be the next client on the same server connection."""
    async with open_connection(url, purpose="test next") as following:
        assert await read_left(following) == {
            "own": "zaptik_app",
            "role": "none",
            "tenant": None,
            "server": server,
        }
        assert await fetch_rows(following, "control", "read_runs", run=None, limit=1) == []


async def test_after_a_tenants_transactions_nothing_is_left(pooled_url: str, tenant: Tenant) -> None:
    async with open_connection(pooled_url, purpose="test first") as first:
        async with as_tenant(first, tenant.schema_name):
            assert (await read_left(first))["role"] == tenant.schema_name
        async with in_tenant_rows(first, tenant.tenant_id):
            seen = await read_left(first)
            assert seen["tenant"] == str(tenant.tenant_id)
        await check_nothing_left(pooled_url, server=seen["server"])


async def test_after_a_transaction_that_failed_nothing_is_left(pooled_url: str, tenant: Tenant) -> None:
    async with open_connection(pooled_url, purpose="test first") as first:
        server = (await read_left(first))["server"]
        with pytest.raises(DivisionByZero):
            async with as_tenant(first, tenant.schema_name):
                await first.execute("SELECT 1 / 0")
    await check_nothing_left(pooled_url, server=server)


async def test_a_client_that_goes_in_the_midst_takes_its_connection_along(
    pooled_url: str, tenant: Tenant
) -> None:
    async with open_connection(pooled_url, purpose="test first") as first:
        context = as_tenant(first, tenant.schema_name)
        await context.__aenter__()
        server = (await read_left(first))["server"]
        await first.close()
    async with open_connection(pooled_url, purpose="test next") as following:
        left = await read_left(following)
    assert (left["own"], left["role"], left["tenant"]) == ("zaptik_app", "none", None)
    assert left["server"] != server
