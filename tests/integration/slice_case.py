"""A tenant whose instance is a simulator in this process, and a worker's parts to read it with: slice by slice."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from jobs.events import Event
from jobs.graph import EdgeLine, NodeLine
from jobs.surface import read_surface
from ops.local.certificates import Certificates
from ops.simulator import Simulator
from tests.conftest import Deployment
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows
from worker.postgres.tenants import Tenant
from worker.servicenow import build_trust
from worker.settings import Settings, read_settings
from worker.sync import Parts, run_slice, seal_stored
from worker.vault import ClientCredentials, Keyring, new_keyring

CANARIES = 3  # requests that they take, where the instance is as it comes
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

    def __repr__(self) -> str:
        return f"<Case of {self.tenant.name}>"

    async def store_credentials(self, *, keyring: Keyring | None = None) -> None:
        async with in_tenant_rows(self.app, self.tenant.tenant_id):
            stored = seal_stored(
                keyring or self.parts.keyring,
                ClientCredentials(CLIENT_ID, CLIENT_SECRET),
                tenant_id=self.tenant.tenant_id,
            )
            await tenants.store_credentials(self.app, self.tenant.tenant_id, stored)

    async def request_run(self, *, mode: str = "delta") -> UUID:
        number = await runs.request_sync(self.app, self.tenant.name, mode=mode)
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

    async def check_given_back(self, run_id: UUID) -> None:
        """Check that a slice put its run back, no failed attempt, and wrote every request that it told of."""
        run = await self.read_run(run_id)
        assert (run["state"], run["error"]) == ("requested", None)
        assert self.names()[-1] == "run.yielded"
        asked = ("request.", "token.")
        told = [name for name in self.names() if name.startswith(asked)]
        recorded = [name for name in await self.read_actions(run_id) if name.startswith(asked)]
        assert sorted(recorded) == sorted(told)

    def names(self) -> list[str]:
        return [event.kind.name for event in self.events]

    def fields(self, name: str) -> dict[str, Any]:
        return dict(next(event.fields for event in self.events if event.kind.name == name))

    async def sync(self, *, mode: str = "delta", **changed: object) -> dict[str, Any]:
        """Do a whole run, slice after slice, and give its row with its tables."""
        if await tenants.read_credentials(self.app, self.tenant.tenant_id) is None:
            await self.store_credentials()
        run_id = await self.request_run(mode=mode)
        while (run := await self.read_run(run_id))["state"] in {"requested", "running"}:
            await self.work_slice(run_id, **changed)
        return run

    async def read_graph(self, revision: int | None = None) -> tuple[dict[str, NodeLine], list[EdgeLine]]:
        """Give the nodes by id, and the edges, of a revision; of the one in force where none is named."""
        async with as_tenant(self.app, self.tenant.schema_name):
            head = await reading.read_head(self.app, self.tenant, revision)
            nodes = [n async for n in reading.stream_nodes(self.app, self.tenant, head.revision)]
            edges = [e async for e in reading.stream_edges(self.app, self.tenant, head.revision)]
        return {node.id: node for node in nodes}, edges

    def rows(self, table: str) -> list[dict[str, str]]:
        """Give the instance's rows of a table, whatever the access."""
        return self.simulator.instance.store.rows(table)

    def when(self, name: str, act: Callable[[], None], **fields: object) -> Case:
        """Give a case that does something once, at the first event of a kind with these fields."""
        waiting = [act]

        def emit(event: Event) -> None:
            self.events.append(event)
            if event.kind.name == name and fields.items() <= dict(event.fields).items() and waiting:
                waiting.pop()()

        return dataclasses.replace(self, parts=dataclasses.replace(self.parts, emit=emit))


def is_canary(request: Mapping[str, Any]) -> bool:
    """Say whether a request is one of a run's canaries, which belong to no table's read."""
    return str(request["query"].get("sysparm_fields", "")) == "sys_id,sys_updated_on"


def verdict_of(run: dict[str, Any], table: str) -> tuple[str, int]:
    """Give a table's verdict in a run and how many rows are known to be hidden."""
    [found] = [row for row in run["tables"] if row["table_name"] == table]
    return found["verdict"], found["hidden"]


def case_settings(deployment: Deployment, simulator: Simulator, certificates: Certificates) -> Settings:
    """Give the settings of a worker that reads a simulator in small pages."""
    return read_settings(
        {
            "ZAPTIK_DATABASE_URL": deployment.app_url,
            "ZAPTIK_INSTANCE_HOSTS": simulator.url.removeprefix("https://"),
            "ZAPTIK_CA_FILE": str(certificates.ca_file),
            "ZAPTIK_PAGE_ROWS": "10",
            "ZAPTIK_RETRY_BASE_SECONDS": "0.01",
            "ZAPTIK_RETRY_CAP_SECONDS": "0.01",
        }
    )


async def build_case(
    app: Connection, admin: Connection, tenant: Tenant, simulator: Simulator, settings: Settings
) -> Case:
    """Point a tenant at a simulator."""
    await admin.execute(
        "UPDATE control.tenant SET url = %s WHERE tenant_id = %s", [simulator.url, tenant.tenant_id]
    )
    events: list[Event] = []
    parts = Parts(
        settings=settings,
        keyring=new_keyring(),
        trust=_build_trust(settings.ca_file),
        surface=read_surface(),
        worker="this test",
        emit=events.append,
    )
    return Case(app, admin, parts, tenant, simulator, events)


_build_trust = functools.cache(build_trust)  # as a process does: once
