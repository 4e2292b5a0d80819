"""A worker for `ops.bench.fleet` that asks no instance: each run is claimed, held, waited over and ended unchanged.

What is a worker's own is real: its doorbell, its row on the list of processes, a claim and a lease of their own for
each run, the audit events of as many requests as an idle run makes (in one transaction, not in one each), and the last
statement, as the tenant's role. Nothing is read, staged or compared.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

from jobs.events import REQUEST_ANSWERED, Event
from worker.fleet.process import REPORT_SECONDS, Process
from worker.postgres import runs, staging
from worker.postgres.connection import as_tenant, fetch_value, open_connection
from worker.settings import Settings, read_settings
from worker.sync.lease import held_lease

IDLE_SECONDS, IDLE_REQUESTS = "BENCH_IDLE_SECONDS", "BENCH_IDLE_REQUESTS"
_COUNTS = '{"nodes": 0, "edges": 0, "added": 0, "changed": 0, "removed": 0}'
_EVENT = Event(
    REQUEST_ANSWERED,
    {
        "endpoint": "aggregate",
        "table": "sys_user_group",
        "status": 200,
        "rows": 0,
        "bytes": 300,
        "seconds": 0.05,
    },
)


async def _idle(settings: Settings, run_id: UUID, *, worker: str) -> None:
    url, lease_seconds = settings.require_database_url(), settings.lease_seconds
    async with open_connection(url, purpose="slice") as connection:
        run = await runs.claim_run(connection, run_id, worker=worker, lease_seconds=lease_seconds)
        if run is None:
            return
        async with held_lease(url, run, lease_seconds=lease_seconds):
            await asyncio.sleep(float(os.environ[IDLE_SECONDS]))
            requests = int(os.environ[IDLE_REQUESTS])
            await staging.record_alone(connection, run, requests=requests, events=[_EVENT] * requests)
            async with as_tenant(connection, run.schema_name):
                await fetch_value(
                    connection, "control", "finish_run", run=run.run_id, fence=run.fence, outcome="unchanged",
                    revision=1, as_of=datetime.now(UTC), counts=_COUNTS,
                )  # fmt: skip


def main() -> int:
    """Answer the bell until a signal."""
    settings = read_settings(os.environ)
    process = Process("worker", settings, threads=settings.worker_threads)
    with process.running():
        if process.wait_for_dependencies():
            answering = process.doorbell.answer(
                lambda run_id: asyncio.run(_idle(settings, run_id, worker=process.name)),
                threads=settings.worker_threads,
            )
            due = time.monotonic() + REPORT_SECONDS
            while not process.stopping.wait(1):
                if time.monotonic() >= due:
                    process.report()
                    due = time.monotonic() + REPORT_SECONDS
            answering.stop(within_seconds=settings.drain_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
