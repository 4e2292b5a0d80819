"""Workers are killed, one after the other, at each checkpoint of one run: it ends once, and nothing is there twice.

Each is killed when the server has done what a checkpoint asks for and the worker has not heard of it. A short form in
`make test`, of a few tables and of each transaction; with `ZAPTIK_TEST_PROFILE=soak` of the whole surface, and of each
statement.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest

from jobs.names import schema_name
from ops.local.instance import Tenant
from ops.local.stack import Stack
from tests.chaos.asking import Asking
from tests.chaos.gate import Gate
from tests.chaos.invariants import check_invariants
from tests.chaos.slices import start_slice
from tests.conftest import PROFILE_VARIABLE
from worker.postgres import runs, tenants
from worker.postgres.connection import open_connection

TENANT = "acme"
IS_SOAK = os.environ.get(PROFILE_VARIABLE) == "soak"
SETTINGS = {"ZAPTIK_PAGE_ROWS": "5", "ZAPTIK_INSTANCE_CONCURRENCY": "2"}
SLICE_SECONDS = 60
LEAST_CHECKPOINTS = 30
MANY_ATTEMPTS = 100_000
# What a slice leaves behind: tables begun, pages, verdicts.
PROGRESS = """SELECT (count(*) + coalesce(sum(pages), 0) + count(verdict))::integer AS done FROM {tenant}.table_read
              WHERE run_id = %s"""
pytestmark = pytest.mark.timeout(3_600 if IS_SOAK else 300)


class Deployment:
    """A stack without processes, whose slices this test starts, and a gate before its PostgreSQL."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.ask = Asking(stack)
        self.gate = Gate(stack.postgres.port, counts_statements=IS_SOAK)
        environment = stack.settings()
        parts = urlsplit(environment["ZAPTIK_DATABASE_URL"])
        through = parts._replace(
            netloc=f"{parts.netloc.rpartition(':')[0]}:{self.gate.port}", query="sslmode=disable"
        )
        self._url = environment["ZAPTIK_DATABASE_URL"]
        self._environment = environment | {"ZAPTIK_DATABASE_URL": urlunsplit(through)}

    def __repr__(self) -> str:
        return f"<Deployment of {self.stack}, {self.gate}>"

    def request_run(self) -> UUID:
        """Ask for a run that reads everything, and take it up as a scheduler does."""

        async def request() -> UUID:
            async with open_connection(self._url, purpose="test") as app:
                number = await runs.request_sync(app, TENANT, mode="full")
                await runs.plan_round(app, max_attempts=MANY_ATTEMPTS, again_after_seconds=30)
                tenant = await tenants.find_tenant(app, TENANT)
                run_id = await runs.read_request(app, tenant.tenant_id, number)
                assert run_id is not None
                return run_id

        return asyncio.run(request())

    def rescue(self) -> None:
        """Let the lease run out, and a scheduler come by."""

        async def plan() -> None:
            async with open_connection(self._url, purpose="test") as app:
                await runs.plan_round(app, max_attempts=MANY_ATTEMPTS, again_after_seconds=30)

        self.ask("UPDATE control.run SET lease_until = now() WHERE state = 'running' RETURNING 1")
        asyncio.run(plan())

    def work(self, run_id: UUID, *, killed_at: int = 0) -> bool:
        """Work on a run for a slice; True where its worker was killed, at the checkpoint of that number."""
        self.gate.arm(at=killed_at)
        process = start_slice(self._environment, run_id, whole_surface=IS_SOAK)
        assert process.pid is not None
        self.gate.tell(process.pid)
        process.join(SLICE_SECONDS)
        assert (process.exitcode == 0) is not self.gate.has_ended, process
        return self.gate.has_ended

    def count_done(self, run_id: UUID) -> int:
        """Count the checkpoints that a run has behind it."""
        return int(self.ask(PROGRESS, run_id, within=schema_name(TENANT))[0]["done"])


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    tenant = Tenant(TENANT, groups=8, items=8, seed=3)
    logs = tmp_path_factory.mktemp("logs")
    with Stack(logs=logs, tenants=[tenant], overrides=SETTINGS, processes=()) as stack:
        deployed = Deployment(stack)
        yield deployed
        deployed.ask.close()
        deployed.gate.close()


def test_killed_at_each_checkpoint_a_run_ends_once_with_one_revision(deployment: Deployment) -> None:
    """After each kill the next worker is left one checkpoint further: past its preparations, at the next page."""
    instance = deployment.stack.instances[TENANT]
    run_id = deployment.request_run()
    killed, checkpoint, done = 0, 1, 0
    while deployment.work(run_id, killed_at=checkpoint):
        killed += 1
        deployment.rescue()
        before, done = done, deployment.count_done(run_id)
        checkpoint += 1 if done == before else -1 if done > before + 1 and checkpoint > 1 else 0
    # The last was killed after it had published: nobody else claimed the run.
    [run] = deployment.ask("SELECT state, revision, fence FROM control.run")
    assert run == {"state": "published", "revision": 1, "fence": killed}
    assert killed > LEAST_CHECKPOINTS
    tables = ("sys_user_group", "sc_cat_item")
    rows = {table: {row["sys_id"] for row in instance.fetch_rows(table)} for table in tables}
    check_invariants(deployment.ask, names=[TENANT], rows=rows)
    again = deployment.request_run()
    assert not deployment.work(again)
    [run] = deployment.ask(
        "SELECT state, added + changed + removed AS differ FROM control.run WHERE run_id = %s", again
    )
    assert run == {"state": "unchanged", "differ": 0}
