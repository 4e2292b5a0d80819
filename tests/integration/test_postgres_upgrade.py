"""What release 0.0.1 left is there after `migrate`: every revision to the byte, runs, verdicts, credentials, the trail.

The folder `release_0_0_1` holds what that release ran beside its migrations, and a tenant that it filled: rows as
`pg_dump` gave them. Its migrations are the first of today's.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import schema
from jobs.graph import digest_lines
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, app_url
from tests.integration.postgres_steps import GROUP, node, publish_tables
from worker.postgres.connection import Connection, as_tenant, open_connection
from worker.postgres.migrate import MigrationReport, migrate
from worker.postgres.provision import migrate_area, run_script
from worker.postgres.reading import read_runs, stream_edges, stream_nodes
from worker.postgres.safety import check_database
from worker.postgres.staging import check_version
from worker.postgres.tenants import Tenant, find_tenant, read_credentials

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "release_0_0_1"
TENANT, SCHEMA = "acme", "tenant_acme"
MIGRATIONS: dict[schema.Area, list[str]] = {
    "control": ["d193ee1a620f6805", "bcda64c84650ef86", "e3fd146bef85fb65"],
    "tenant": ["140e92ab801c0079", "6fff575a19da237e", "367d7a820a72bf48"],
}
KEPT = [
    *(
        f"control.{name}"
        for name in ("tenant", "run", "sync_request", "credential", "data_key", "audit_events")
    ),
    *(f"{SCHEMA}.{name}" for name in ("node", "node_history", "edge", "edge_history", "revision", "feed")),
    *(f"{SCHEMA}.{name}" for name in ("table_read", "table_state", "record", "missing")),
]

RUNS = [("published", 2, 44), ("unchanged", 1, 44), ("published", 1, 44)]

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A deployment of release 0.0.1 that was migrated: its rows before and after, and what `migrate` said."""

    deployment: Deployment
    before: Rows
    after: Rows
    report: MigrationReport


def digest_of(migration: schema.Migration) -> str:
    return hashlib.sha256(migration.sql.encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def upgraded(own_server: EmbeddedPostgres) -> Upgraded:
    """Give the release's deployment, migrated to this version."""
    own_server.create_database("zaptik")
    admin_url = own_server.admin_url("zaptik")
    return asyncio.run(upgrade(Deployment(admin_url, app_url(admin_url, password=secrets.token_urlsafe(16)))))


async def upgrade(deployment: Deployment) -> Upgraded:
    async with open_connection(deployment.admin_url, purpose="test upgrade") as admin:
        await restore(admin)
        before = await read_kept(admin)
        report = await migrate(admin, app_url=deployment.app_url, today=datetime.now(UTC).date())
        after = await read_kept(admin, like=before)
        password = deployment.app_url.split(":")[2].split("@")[0]  # a role that is there keeps the one it has
        await admin.execute(f"ALTER ROLE zaptik_app PASSWORD '{password}'".encode())
    return Upgraded(deployment, before, after, report)


async def restore(admin: Connection) -> None:
    """Make the release's deployment: roles, its migrations, its tenant's schema, its rows."""
    real = schema.read_migrations
    schema.read_migrations = lambda area: real(area)[: len(MIGRATIONS[area])]  # type: ignore[assignment]
    try:
        await run_script(admin, read_release("roles"))
        await migrate_area(admin, "control", None)
        await run_script(admin, read_release("provision"), within=SCHEMA)
        await migrate_area(admin, "tenant", SCHEMA)
    finally:
        schema.read_migrations = real
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        await admin.execute("SELECT control.make_audit_partition('2026-11')")
    await run_script(admin, read_release("data"))


def read_release(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text("utf-8")


async def read_kept(admin: Connection, *, like: Rows | None = None) -> Rows:
    """Give every row of the tables that an upgrade keeps, in all columns, or in those of rows `like` these."""
    kept: Rows = {}
    for table in KEPT:
        columns = ", ".join(f'"{name}"' for name in like[table][0]) if like else "*"
        query = f"SELECT * FROM (SELECT {columns} FROM {table}) kept ORDER BY kept::text"  # noqa: S608  names of ours
        kept[table] = await (await admin.execute(query.encode())).fetchall()
        assert kept[table], f"{table} is empty, which shows nothing"
    return kept


def test_the_migrations_of_the_release_are_what_they_were() -> None:
    for area, digests in MIGRATIONS.items():
        assert [digest_of(found) for found in schema.read_migrations(area)][: len(digests)] == digests


def test_every_row_is_kept(upgraded: Upgraded) -> None:
    assert upgraded.report == MigrationReport(control=schema.latest_version("control"), migrated=[TENANT])
    trail = "control.audit_events"  # to which `migrate` adds
    known = {row["audit_id"] for row in upgraded.before[trail]}
    kept = [row for row in upgraded.after[trail] if row["audit_id"] in known]
    assert {**upgraded.after, trail: kept} == upgraded.before


async def test_processes_start_on_it_and_its_runs_and_credentials_are_read(upgraded: Upgraded) -> None:
    async with open_connection(upgraded.deployment.app_url, purpose="test") as app:
        await check_database(app)
        await check_version(app, SCHEMA)
        tenant = await find_tenant(app, TENANT)
        *_, latest, middle, first = await read_runs(app, tenant, limit=10)
        assert [
            (run["state"], run["revision"], len(run["tables"])) for run in (latest, middle, first)
        ] == RUNS
        assert await read_credentials(app, tenant.tenant_id) is not None


async def test_every_revision_is_to_the_byte_what_the_release_published_also_when_another_followed(
    upgraded: Upgraded,
) -> None:
    async with open_connection(upgraded.deployment.app_url, purpose="test") as app:
        tenant = await find_tenant(app, TENANT)
        before = {row["revision"]: row["digest"] for row in upgraded.before[f"{SCHEMA}.revision"]}
        assert await digest_revisions(app, tenant, 1, 2) == before
        added = await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="new")], [])}, closing=())
        assert (added.revision, added.added, added.removed) == (3, 1, 0)
        assert await digest_revisions(app, tenant, 1, 2) == before


async def digest_revisions(app: Connection, tenant: Tenant, *revisions: int) -> dict[int, str]:
    """Give the digest of each revision's lines, as they are exported now."""
    digests: dict[int, str] = {}
    async with as_tenant(app, SCHEMA):
        for revision in revisions:
            nodes = [line async for line in stream_nodes(app, tenant, revision)]
            edges = [line async for line in stream_edges(app, tenant, revision)]
            digests[revision] = digest_lines(nodes, edges)
    return digests
