"""A server of its own with one tenant, published to from made pages; what each publication cost."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.surface import read_surface
from ops.bench.made_pages import TABLES, stage_made
from ops.local.postgres import EmbeddedPostgres
from worker.postgres import runs
from worker.postgres.connection import Connection, compose_text, fetch_rows, open_connection
from worker.postgres.evidence import note_gone
from worker.postgres.migrate import migrate
from worker.postgres.publishing import Publication, publish_run
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import Reads
from worker.postgres.tenants import Tenant, add_tenant, change_state

_LEASE_SECONDS = 86_400
_SIZES = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint AS bytes FROM pg_class
            WHERE relnamespace = '{tenant}'::regnamespace AND relkind = 'r' AND relname <> 'staged_page'"""
_HOT = """SELECT coalesce(sum(n_tup_upd), 0)::bigint AS updates, coalesce(sum(n_tup_hot_upd), 0)::bigint AS hot
          FROM pg_stat_user_tables WHERE schemaname = '{tenant}' AND relname IN ('node', 'edge')"""


@dataclass(frozen=True, slots=True)
class Store:
    """A tenant with a store of its own, and the two ways to it."""

    admin: Connection
    app: Connection
    tenant: Tenant

    async def ask(self, text: str) -> dict[str, Any]:
        """Give one row of a question of ours; `{tenant}` in it stands for the schema."""
        query = compose_text(text.replace("{tenant}", self.tenant.schema_name))
        async with self.admin.cursor(binary=True) as cursor:
            await cursor.execute(query)
            return await cursor.fetchone() or {}

    async def publish(self, run: ClaimedRun, *, step: int) -> Publication:
        """Publish what a run staged."""
        reads = Reads(TABLES, TABLES, listed=TABLES if step == 1 else ())
        await note_gone(self.app, run, surface=read_surface(), reads=reads)
        return await publish_run(
            self.app, run, surface=read_surface(), reads=reads, as_of=datetime.now(UTC), events=[]
        )

    async def measure(self, *, nodes: int, version: str, step: int) -> dict[str, Any]:
        """Stage a run and publish it; give what the publishing cost."""
        run = await self.stage(nodes=nodes, version=version, step=step)
        await self.admin.execute("CHECKPOINT")  # so that each measure begins with the same full page writes
        before = await self._read_costs()
        began = time.perf_counter()
        done = await self.publish(run, step=step)
        seconds = time.perf_counter() - began
        after = await self._read_costs()
        spent = {name: after[name] - before[name] for name in after}
        hot = f"{spent['hot'] / spent['updates']:.0%}" if spent["updates"] else "-"
        return {
            "outcome": done.outcome, "rows changed": done.added + done.changed + done.removed,
            "seconds": round(seconds, 2), "WAL MB": as_mega(spent["wal"]),
            "growth MB": as_mega(spent["bytes"]), "HOT": hot,
        }  # fmt: skip

    async def stage(self, *, nodes: int, version: str, step: int = 1) -> ClaimedRun:
        """Claim a run and stage its pages."""
        request = await runs.request_sync(self.app, self.tenant.name, mode="delta")
        await fetch_rows(self.app, "control", "fold_requests", batch=100)
        run_id = await runs.read_request(self.app, self.tenant.tenant_id, request)
        assert run_id is not None
        run = await runs.claim_run(self.app, run_id, worker="bench", lease_seconds=_LEASE_SECONDS)
        assert run is not None
        schema_name = self.tenant.schema_name
        await stage_made(self.admin, schema_name, run_id, nodes=nodes, version=version, step=step)
        return run

    async def _read_costs(self) -> dict[str, int]:
        for connection in (self.admin, self.app):
            await connection.execute("SELECT pg_stat_force_next_flush()")
        wal = await self.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal")
        return {**wal, **await self.ask(_SIZES), **await self.ask(_HOT)}


@asynccontextmanager
async def opened_store(server: EmbeddedPostgres) -> AsyncIterator[Store]:
    """Migrate a fresh server and give a tenant on it."""
    app_url = f"postgresql://zaptik_app:{secrets.token_urlsafe(24)}@127.0.0.1:{server.port}/postgres"
    async with open_connection(server.admin_url(), purpose="bench") as admin:
        await migrate(admin, app_url=app_url, today=datetime.now(UTC).date())
        tenant = await add_tenant(admin, "bench", url="https://bench.service-now.com", every_seconds=86_400)
        async with open_connection(app_url, purpose="bench") as app:
            await change_state(app, tenant.tenant_id, "active", reason=None)
            yield Store(admin, app, tenant)


def as_mega(size: int) -> float:
    """Give bytes as millions of them."""
    return round(size / 1_000_000, 1)
