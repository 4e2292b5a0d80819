"""The scheduler as a process: while there is something to ring for, its rounds do not wait for a tick."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from ops.local.processes import Child, build_minimal_environment
from ops.local.stack import ROOT, ZAPTIK
from ops.local.valkey import EmbeddedValkey
from tests.conftest import Deployment
from tests.integration.postgres_steps import bare_tenants, read_own
from worker.postgres.connection import Connection
from worker.postgres.reading import Process, forget_process, report_process

pytestmark = pytest.mark.anyio

# A worker with one slot bears two doorbells, so six runs that end at once take three rounds.
_TENANTS = 6
_END_RUNG = """UPDATE control.run SET state = 'cancelled', fence = fence + 1, ended_at = now()
               WHERE state = 'requested' AND rung_at IS NOT NULL AND tenant_id = ANY (%s) RETURNING run_id"""


async def test_runs_are_rung_for_as_slots_become_free_however_long_the_tick(
    deployment: Deployment, admin: Connection, app: Connection, tmp_path: Path
) -> None:
    worker = Process(uuid4(), "worker", "a host", 1, "0", 1)
    await admin.execute("DELETE FROM control.process")
    await report_process(app, worker)
    with EmbeddedValkey() as valkey:
        scheduler = Child(
            "scheduler",
            [ZAPTIK, "scheduler"],
            log_file=tmp_path / "scheduler.log",
            environment=build_minimal_environment(
                ZAPTIK_DATABASE_URL=deployment.app_url,
                ZAPTIK_REDIS_URL=valkey.url(),
                ZAPTIK_METRICS_PORT="0",
                ZAPTIK_SCHEDULER_TICK_SECONDS="600",
            ),
            folder=ROOT,
        )
        async with bare_tenants(admin, _TENANTS) as ids:
            with scheduler:
                ended = 0
                async with asyncio.timeout(30):
                    while ended < _TENANTS:
                        ended += len(await read_own(admin, _END_RUNG, ids))
                        await asyncio.sleep(0.05)
    await forget_process(app, worker.process_id)
