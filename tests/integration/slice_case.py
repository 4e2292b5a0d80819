"""A tenant whose instance is a simulator, and a worker's parts to read it with, for tests of slices."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any
from uuid import UUID

from jobs.events import Event
from jobs.graph import EdgeLine, NodeLine
from ops.simulator import Simulator
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows
from worker.postgres.tenants import StoredCredentials, Tenant
from worker.sync import Parts, run_slice
from worker.vault import ClientCredentials, Keyring, seal_credentials

CLIENT_ID, CLIENT_SECRET = "slice", "slice-secret"


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A tenant whose instance is the simulator, and a worker's parts to read it with."""

    app: Connection
    admin: Connection
    parts: Parts
    tenant: Tenant
    simulator: Simulator
    events: list[Event]

    async def store_credentials(self, *, keyring: Keyring | None = None) -> None:
        async with in_tenant_rows(self.app, self.tenant.tenant_id):
            sealed = seal_credentials(
                keyring or self.parts.keyring,
                ClientCredentials(CLIENT_ID, CLIENT_SECRET),
                tenant=str(self.tenant.tenant_id),
                version=1,
            )
            stored = StoredCredentials(
                sealed.version, sealed.envelope, sealed.key_id, sealed.wrapped_data_key
            )
            await tenants.store_credentials(self.app, self.tenant.tenant_id, stored)

    async def request_run(self) -> UUID:
        number = await runs.request_sync(self.app, self.tenant.name, mode="delta")
        await runs.plan_round(self.app, max_attempts=5, again_after_seconds=30)
        run_id = await runs.read_request(self.app, self.tenant.tenant_id, number)
        assert run_id is not None
        return run_id

    async def work_slice(self, run_id: UUID, **changed: object) -> None:
        settings = self.parts.settings.model_copy(update=changed)
        await asyncio.to_thread(run_slice, dataclasses.replace(self.parts, settings=settings), run_id)

    async def read_run(self, run_id: UUID) -> dict[str, Any]:
        [run] = await reading.read_runs(self.app, self.tenant, limit=1, run_id=run_id)
        return run

    async def read_actions(self, run_id: UUID) -> list[str]:
        cursor = await self.admin.execute(
            "SELECT action FROM control.audit_events WHERE run_id = %s ORDER BY audit_id", [run_id]
        )
        return [row["action"] for row in await cursor.fetchall()]

    def names(self) -> list[str]:
        return [event.kind.name for event in self.events]

    def fields(self, name: str) -> dict[str, Any]:
        return dict(next(event.fields for event in self.events if event.kind.name == name))

    async def sync(self, **changed: object) -> dict[str, Any]:
        """Read the instance once, from the request to the end, and give the run."""
        if await tenants.read_credentials(self.app, self.tenant.tenant_id) is None:
            await self.store_credentials()
        run_id = await self.request_run()
        while (run := await self.read_run(run_id))["state"] == "requested":
            await self.work_slice(run_id, **changed)
        return run

    async def read_graph(self) -> tuple[dict[str, NodeLine], list[EdgeLine]]:
        """Give the nodes of the current revision by id, and its edges."""
        async with as_tenant(self.app, self.tenant.schema_name):
            head = await reading.read_head(self.app, self.tenant, None)
            nodes = [node async for node in reading.stream_nodes(self.app, self.tenant, head.revision)]
            edges = [edge async for edge in reading.stream_edges(self.app, self.tenant, head.revision)]
        return {node.id: node for node in nodes}, edges
