"""Connections to the session's deployment, and tenants: a test is a tenant, with a schema of its own.

Beside them stands a bystander, a tenant whom no test may change: after each test all of its rows are compared.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from ops.local.certificates import Certificates, write_certificates
from ops.local.postgres import EmbeddedPostgres
from ops.simulator import Simulator, Store, made_store
from tests.conftest import Deployment, build_server
from tests.integration.consumer_case import a_reader
from tests.integration.postgres_steps import GROUP, ITEM, edge, node, publish_tables, read_own
from tests.integration.slice_case import CLIENT_ID, CLIENT_SECRET, Case, build_case, case_settings
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.reading import Process, forget_process, report_process
from worker.postgres.tenants import StoredCredentials, Tenant, add_tenant, change_state, store_credentials
from worker.settings import Settings

AddTenant = Callable[..., Awaitable[Tenant]]

_NUMBERS = itertools.count(1)
_FINGERPRINT = """SELECT md5(string_agg(line, E'\n' ORDER BY line)) AS fingerprint FROM (
    SELECT t::text FROM {tenant}.schema_version t UNION ALL SELECT t::text FROM {tenant}.node t
    UNION ALL SELECT t::text FROM {tenant}.edge t UNION ALL SELECT t::text FROM {tenant}.node_history t
    UNION ALL SELECT t::text FROM {tenant}.edge_history t UNION ALL SELECT t::text FROM {tenant}.revision t
    UNION ALL SELECT t::text FROM {tenant}.feed t UNION ALL SELECT t::text FROM {tenant}.table_read t
    UNION ALL SELECT t::text FROM {tenant}.staged_page t UNION ALL SELECT t::text FROM {tenant}.gone t
    UNION ALL SELECT t::text FROM {tenant}.missing t UNION ALL SELECT t::text FROM {tenant}.record t
    UNION ALL SELECT t::text FROM {tenant}.table_state t UNION ALL SELECT t::text FROM {tenant}.described t
    UNION ALL SELECT t::text FROM {tenant}.reference t UNION ALL SELECT t::text FROM {tenant}.isolation_canary t
    UNION ALL SELECT t::text FROM {tenant}.finding t
    UNION ALL SELECT t::text FROM {tenant}.finding_history t UNION ALL SELECT t::text FROM {tenant}.finding_basis t
    UNION ALL SELECT t::text FROM control.tenant t WHERE tenant_id = %s
    UNION ALL SELECT t::text FROM control.run t WHERE tenant_id = %s
    UNION ALL SELECT t::text FROM control.data_key t WHERE tenant_id = %s
    UNION ALL SELECT t::text FROM control.credential t WHERE tenant_id = %s
    UNION ALL SELECT t::text FROM control.instance_pace t WHERE tenant_id = %s
) row_of (line)"""


@pytest.fixture
async def admin(deployment: Deployment) -> AsyncIterator[Connection]:
    """Give a connection as the superuser: it sees and may do everything."""
    async with open_connection(deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def app(deployment: Deployment) -> AsyncIterator[Connection]:
    """Give a connection as `zaptik_app`, as workers and schedulers have it."""
    async with open_connection(deployment.app_url, purpose="test app") as connection:
        yield connection


@dataclass(frozen=True, slots=True)
class Bystander:
    """A tenant with a published graph and credentials, and what all its rows come to."""

    tenant: Tenant
    fingerprint: str


@pytest.fixture(scope="session")
def bystander(deployment: Deployment) -> Bystander:
    """Give the tenant whom no test may change."""
    return asyncio.run(_add_bystander(deployment))


async def _add_bystander(deployment: Deployment) -> Bystander:
    async with (
        open_connection(deployment.admin_url, purpose="test bystander") as admin,
        open_connection(deployment.app_url, purpose="test bystander") as app,
    ):
        tenant = await add_tenant(
            admin, "bystander", url="https://bystander.service-now.com", every_seconds=3600
        )
        async with in_tenant_rows(app, tenant.tenant_id):
            await store_credentials(
                app, tenant.tenant_id, StoredCredentials(1, b"sealed", "a key", b"wrapped")
            )
        for name in ("before", "after"):
            group, item = node(GROUP, 1, name=name), node(ITEM, 1, name=name)
            await publish_tables(app, tenant, {GROUP: ([group], []), ITEM: ([item], [edge(item, group.id)])})
        await change_state(app, tenant.tenant_id, "paused", reason="stands by")
        return Bystander(tenant, await read_fingerprint(admin, tenant))


async def read_fingerprint(admin: Connection, tenant: Tenant) -> str:
    """Give a digest of every row a tenant has, in its schema and in `control`."""
    [row] = await read_own(admin, _FINGERPRINT, *[tenant.tenant_id] * 5, within=tenant)
    return str(row["fingerprint"])


@pytest.fixture
async def add_fresh_tenant(
    admin: Connection, app: Connection, bystander: Bystander
) -> AsyncIterator[AddTenant]:
    """Give a function that adds a tenant with a name nobody has, active and due unless told otherwise.

    At the end each is paused and its live run cancelled, so that no later scheduler takes them up, and the
    bystander is as it was.
    """
    added: list[Tenant] = []

    async def add(*, state: str = "active", every_seconds: int = 3600) -> Tenant:
        name = f"t{next(_NUMBERS)}-{secrets.token_hex(3)}"
        url = f"https://{name}.service-now.com"
        tenant = await add_tenant(admin, name, url=url, every_seconds=every_seconds)
        added.append(tenant)
        if state != tenant.state:
            await change_state(app, tenant.tenant_id, state, reason=None)
        return tenant

    yield add
    ids = [tenant.tenant_id for tenant in added]
    await admin.execute("UPDATE control.tenant SET state = 'paused' WHERE tenant_id = ANY (%s)", [ids])
    await admin.execute(
        """UPDATE control.run SET state = 'cancelled', fence = fence + 1, lease_until = NULL, ended_at = now()
           WHERE state IN ('requested', 'running') AND tenant_id = ANY (%s)""",
        [ids],
    )
    assert await read_fingerprint(admin, bystander.tenant) == bystander.fingerprint, (
        "it changed another tenant"
    )


@pytest.fixture
async def slots(app: Connection) -> AsyncIterator[None]:
    """Let a worker live that has slots for all: without one nothing is rung for."""
    process = Process(uuid4(), "worker", "a host", 1, "0", 10_000)
    await report_process(app, process)
    yield
    await forget_process(app, process.process_id)


@pytest.fixture
async def tenant(add_fresh_tenant: AddTenant) -> Tenant:
    """Give a fresh tenant, active and due at once."""
    return await add_fresh_tenant()


@pytest.fixture
async def reader(admin: Connection, deployment: Deployment, tenant: Tenant) -> AsyncIterator[Connection]:
    """Give the connection of a login that reads the tenant."""
    async with a_reader(admin, deployment.admin_url, tenant.name) as connection:
        yield connection


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give a certificate for the loopback, and the authority that vouches for it."""
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def made_rows() -> dict[str, dict[str, dict[str, str]]]:
    """Give the rows, by table and sys_id, that each simulator begins with."""
    return made_store(seed=5, groups=45, items=20).copy_rows()


@pytest.fixture
def simulator(
    certificates: Certificates, made_rows: dict[str, dict[str, dict[str, str]]]
) -> Iterator[Simulator]:
    """Give an instance with a few dozen rows."""
    files = (certificates.cert_file, certificates.key_file)
    store = Store(seed=5)
    for table, rows in made_rows.items():
        store.load(table, (dict(row) for row in rows.values()))
    with Simulator(store, tls=files, client_id=CLIENT_ID, client_secret=CLIENT_SECRET) as started:
        yield started


@pytest.fixture
def instance_settings(deployment: Deployment, simulator: Simulator, certificates: Certificates) -> Settings:
    """Give the settings of a worker that reads that instance in small pages."""
    return case_settings(deployment, simulator, certificates)


@pytest.fixture
async def case(
    app: Connection, admin: Connection, tenant: Tenant, simulator: Simulator, instance_settings: Settings
) -> Case:
    """Give a tenant of that instance, without credentials yet."""
    return await build_case(app, admin, tenant, simulator, instance_settings)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """Give an empty server for tests that break roles, privileges or schemas."""
    with build_server() as server:
        yield server
