"""A deletion, and what others do to its tenant at the same moment: it ends whole, or is not begun."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from jobs.leaving import TenantLeaves, TenantStays
from ops.local.postgres import EmbeddedPostgres
from tests.chaos.fleet import SHIFTED_CLOCK
from tests.conftest import Deployment, deploy
from tests.integration.postgres_steps import read_own
from worker.command import main
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.deletion import Deletion, begin_deletion, deleting, record_deletion
from worker.postgres.offboarding import (
    Offboarding,
    cancel_offboarding,
    find_offboarding,
    read_offboardings,
    request_offboarding,
)
from worker.postgres.tenants import StoredCredentials, Tenant, add_tenant, store_credentials

pytestmark = pytest.mark.anyio
NAMES = iter(f"races-{number}" for number in range(1, 1000))
ADD_BY_HAND = "INSERT INTO control.credential (tenant_id, version, envelope) VALUES (%s, 9, 'sealed')"


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment of its own: all whose time has come are deleted in it."""
    return deploy(own_server.admin_url())


@pytest.fixture
async def owner(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def worker(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.app_url, purpose="test app") as connection:
        yield connection


@pytest.fixture
async def added(owner: Connection) -> Tenant:
    return await add_tenant(owner, next(NAMES), url="https://races.service-now.com", every_seconds=3600)


def stored(version: int = 1) -> StoredCredentials:
    return StoredCredentials(version, b"sealed", "a key", b"wrapped")


async def delete(owner: Connection, leaving: Offboarding) -> Deletion:
    await begin_deletion(owner, leaving)
    return await finish(owner, leaving)


async def finish(owner: Connection, leaving: Offboarding) -> Deletion:
    async with deleting(owner, leaving) as done:
        await record_deletion(owner, done, reason="request", certificate="none")
    return done


async def wait_until_held_up(deployment: Deployment, waits: Connection) -> None:
    """Return when a connection waits for another's lock."""
    async with open_connection(deployment.admin_url, purpose="watch") as watch:
        for _ in range(2_000):
            query = "SELECT cardinality(pg_blocking_pids(%s)) AS held"
            [row] = await read_own(watch, query, waits.info.backend_pid)
            if row["held"]:
                return
            await asyncio.sleep(0.005)
    raise AssertionError("nobody had to wait")


async def count(owner: Connection, tenant: Tenant, table: str = "credential") -> int:
    query = f"SELECT count(*) AS rows FROM control.{table} WHERE tenant_id = %s"  # noqa: S608  our own words
    [row] = await read_own(owner, query, tenant.tenant_id)
    return int(row["rows"])


async def test_credentials_that_are_being_stored_go_with_the_rest(
    own_deployment: Deployment, owner: Connection, worker: Connection, added: Tenant
) -> None:
    """The request waits for who stores, and so no credentials come after it."""
    async with in_tenant_rows(worker, added.tenant_id):
        await store_credentials(worker, added.tenant_id, stored())
        asked = asyncio.create_task(request_offboarding(owner, added.name, reference="REQ-1"))
        await wait_until_held_up(own_deployment, owner)
    done = await delete(owner, await asked)
    assert (done.control["credential"], done.control["data_key"]) == (1, 1)
    assert await count(owner, added) == 0


async def test_who_stores_credentials_while_the_deletion_is_asked_for_is_refused(
    own_deployment: Deployment, owner: Connection, worker: Connection, added: Tenant
) -> None:
    async def store() -> None:
        async with in_tenant_rows(worker, added.tenant_id):
            await store_credentials(worker, added.tenant_id, stored())

    async with open_connection(own_deployment.admin_url, purpose="test") as other:
        async with other.transaction():
            await request_offboarding(other, added.name, reference="REQ-2")
            storing = asyncio.create_task(store())
            await wait_until_held_up(own_deployment, worker)
        with pytest.raises(TenantLeaves):
            await storing
    assert await count(owner, added) == 0


async def test_credentials_put_there_by_hand_after_the_shredding_do_not_stop_it(
    owner: Connection, worker: Connection, added: Tenant
) -> None:
    async with in_tenant_rows(worker, added.tenant_id):
        await store_credentials(worker, added.tenant_id, stored())
    leaving = await request_offboarding(owner, added.name, reference="REQ-3")
    await begin_deletion(owner, leaving)
    async with in_tenant_rows(worker, added.tenant_id):
        await worker.execute(ADD_BY_HAND.encode(), [added.tenant_id])
    await begin_deletion(owner, leaving)
    assert await count(owner, added) == 0, "each call shreds"
    async with in_tenant_rows(worker, added.tenant_id):
        await worker.execute(ADD_BY_HAND.encode(), [added.tenant_id])
    done = await finish(owner, leaving)
    assert (done.control["credential"], done.control["data_key"]) == (3, 1), "all that went is counted"
    told = "SELECT count(*) AS rows FROM control.audit_events WHERE action = 'offboarding.begun' AND tenant_ref = %s"
    assert await read_own(owner, told, added.tenant_id) == [{"rows": 1}]


async def test_credentials_put_there_while_the_rest_goes_go_too(
    own_deployment: Deployment, owner: Connection, worker: Connection, added: Tenant
) -> None:
    leaving = await request_offboarding(owner, added.name, reference="REQ-4")
    await begin_deletion(owner, leaving)
    async with in_tenant_rows(worker, added.tenant_id):
        await worker.execute(ADD_BY_HAND.encode(), [added.tenant_id])
        going = asyncio.create_task(finish(owner, leaving))
        await wait_until_held_up(own_deployment, owner)
    done = await going
    assert done.control["credential"] == 1
    assert (await count(owner, added), await count(owner, added, "tenant")) == (0, 0)


async def test_a_request_that_was_called_off_since_it_was_read_deletes_nothing(
    owner: Connection, worker: Connection, added: Tenant
) -> None:
    """Also where it was made again: its thirty days are others now."""
    async with in_tenant_rows(worker, added.tenant_id):
        await store_credentials(worker, added.tenant_id, stored())
    leaving = await request_offboarding(owner, added.name, reference="REQ-5")
    await cancel_offboarding(owner, added.name)
    with pytest.raises(TenantStays, match="there no more"):
        await begin_deletion(owner, leaving)
    with pytest.raises(TenantStays, match="there no more"):
        await finish(owner, leaving)
    again = await request_offboarding(owner, added.name, reference="REQ-5")
    with pytest.raises(TenantStays):
        await begin_deletion(owner, leaving)
    assert (await find_offboarding(owner, added.name)) == again
    assert await count(owner, added) == 1


async def test_of_two_who_delete_the_same_tenant_one_does(
    own_deployment: Deployment, owner: Connection, added: Tenant
) -> None:
    leaving = await request_offboarding(owner, added.name, reference="REQ-6")
    await begin_deletion(owner, leaving)
    async with open_connection(own_deployment.admin_url, purpose="test") as other:
        async with deleting(owner, leaving) as done:
            second = asyncio.create_task(finish(other, leaving))
            await wait_until_held_up(own_deployment, other)
            await record_deletion(owner, done, reason="request", certificate="none")
        with pytest.raises(TenantStays):
            await second
    assert await count(owner, added, "tenant") == 0


async def test_the_daily_call_leaves_alone_who_is_called_off_while_it_is_at_another(
    own_deployment: Deployment,
    owner: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tenants = []
    for days in (29, 28):
        name = next(NAMES)
        tenants.append(await add_tenant(owner, name, url="https://races.service-now.com", every_seconds=3600))
        at = datetime.now(UTC) - timedelta(days=days)
        await request_offboarding(owner, name, reference="REQ-7", at=at)
    await owner.execute(
        f"""CREATE FUNCTION public.call_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                UPDATE control.tenant SET state = 'active' WHERE tenant_id = '{tenants[1].tenant_id}';
                DELETE FROM control.offboarding WHERE tenant_id = '{tenants[1].tenant_id}';
                RETURN NULL;
            END $$""".encode()  # noqa: S608  our own words
    )
    await owner.execute("GRANT EXECUTE ON FUNCTION public.call_off() TO PUBLIC")
    await owner.execute(
        b"CREATE TRIGGER call_off AFTER INSERT ON control.audit_events FOR EACH ROW "
        b"WHEN (NEW.action = 'tenant.deleted') EXECUTE FUNCTION public.call_off()"
    )
    monkeypatch.setenv("ZAPTIK_ADMIN_DATABASE_URL", own_deployment.admin_url)
    code = await asyncio.to_thread(main, ["tenant", "offboard", "--due", "--json"])
    await owner.execute("DROP TRIGGER call_off ON control.audit_events")
    said = json.loads(capsys.readouterr().out)
    assert (code, [row["tenant"] for row in said["deleted"]], said["failed"]) == (0, [tenants[0].name], [])
    assert [await count(owner, one, "tenant") for one in tenants] == [0, 1]
    assert tenants[1].name not in {one.tenant for one in await read_offboardings(owner)}


async def test_the_daily_call_goes_by_the_databases_clock(
    own_deployment: Deployment, owner: Connection
) -> None:
    """A machine whose clock is three weeks ahead deletes nobody before its time."""
    name = next(NAMES)
    early = await add_tenant(owner, name, url="https://races.service-now.com", every_seconds=3600)
    await request_offboarding(owner, name, reference="REQ-8", at=datetime.now(UTC) - timedelta(days=5))
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("ZAPTIK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, SHIFTED_CLOCK, str(21 * 86_400), "tenant", "offboard", "--due", "--json",
        env={**inherited, "ZAPTIK_ADMIN_DATABASE_URL": own_deployment.admin_url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    said = json.loads(out)
    assert (process.returncode, said["deleted"], said["failed"]) == (0, [], [])
    assert ("waiting", name) in {(row["standing"], row["tenant"]) for row in said["waiting"]}
    assert await count(owner, early, "tenant") == 1
