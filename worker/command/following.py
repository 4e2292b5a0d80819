"""`sync --wait`: follows one request to the end of its run, and says why it does not come to one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol
from uuid import UUID

from jobs.errors import CredentialsRejected, SchedulerAway, TenantPaused, WorkerAway
from worker.command.documents import describe_run
from worker.command.output import format_time
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection
from worker.postgres.tenants import Tenant
from worker.settings import Settings

ENDED = frozenset({"published", "unchanged", "quarantined", "failed", "cancelled"})
_POLL_SECONDS = 0.25
_RUNS_BEFORE = 10  # among which one is looked for that tells how long this may take


class Teller(Protocol):
    """Who is told how it goes."""

    def say(self, news: str) -> None:
        """Take a sentence."""

    def expect(self, before: Mapping[str, Any] | None) -> None:
        """Take the run from which this one's length may be guessed; None where there is none."""

    def show(self, run: Mapping[str, Any]) -> None:
        """Take how the run stands."""


class Follower:
    """Follows one request; `teller` hears of it."""

    def __init__(self, connection: Connection, tenant: Tenant, settings: Settings, teller: Teller) -> None:
        self._connection = connection
        self._tenant = tenant
        self._patience_seconds = 10 + 3 * settings.scheduler_tick_seconds
        self._teller = teller
        self._told = ""
        self._earlier: UUID | None = None

    async def follow(self, number: int) -> dict[str, Any]:
        """Wait for the run of a request and for its end; give it as a document."""
        run_id = await self._wait_for_run(number)
        clock = asyncio.get_running_loop().time
        idle_since = clock()
        is_expected = False
        while True:
            rows = await reading.read_runs(self._connection, self._tenant, limit=1, run_id=run_id)
            run = describe_run(rows[0], tenant=self._tenant.name)
            if not is_expected:
                self._teller.expect(await self._find_before(run))
                is_expected = True
            self._teller.show(run)
            if run["state"] in ENDED:
                return run
            # By this machine's clock, which may be wrong: nothing but the warning that no worker comes rests on it.
            if run["state"] != "requested" or rows[0]["not_before"] > datetime.now(UTC):
                idle_since = clock()
            elif clock() - idle_since > self._patience_seconds:
                await self._check_held()
                await self._check_process("worker", f"run {run_id}", WorkerAway)
            await asyncio.sleep(_POLL_SECONDS)

    async def _find_before(self, run: Mapping[str, Any]) -> dict[str, Any] | None:
        """Find the newest run of the same mode that came to a graph."""
        rows = await reading.read_runs(self._connection, self._tenant, limit=_RUNS_BEFORE)
        described = (describe_run(row, tenant=self._tenant.name) for row in rows)
        return next(
            (each for each in described
             if each["state"] in {"published", "unchanged"} and each["mode"] == run["mode"]),
            None,
        )  # fmt: skip

    async def _wait_for_run(self, number: int) -> UUID:
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience_seconds
        while (run_id := await runs.read_request(self._connection, self._tenant.tenant_id, number)) is None:
            await self._check_held()
            await self._tell_earlier()
            if clock() > until:
                # A live run may hold the request back; without a scheduler nothing will ever take it up.
                await self._check_process("scheduler", f"request {number}", SchedulerAway)
                until = clock() + self._patience_seconds
            await asyncio.sleep(_POLL_SECONDS)
        return run_id

    async def _tell_earlier(self) -> None:
        """Say of the run that holds the request back how it stands: it may be put off for an hour."""
        newest = await reading.read_runs(self._connection, self._tenant, limit=1)
        if not newest or newest[0]["state"] in ENDED:
            return
        run = newest[0]
        # What was there at the last look, too, cannot be the one asked for.
        if run["run_id"] != self._earlier:
            self._earlier = run["run_id"]
            return
        news = f"{self._tenant.name}: an earlier run is {run['state']}, this one follows it"
        if run["state"] == "requested" and run["error"]:
            after = format_time(run["not_before"])
            news += f"; it is tried again after {after}: {run['error']['message']}"
        if news != self._told:
            self._teller.say(news)
            self._told = news

    async def _check_held(self) -> None:
        tenant = await tenants.find_tenant(self._connection, self._tenant.name)
        tenants.refuse_leaving(tenant)
        if tenant.state == "paused":
            await refuse_paused(self._connection, tenant)

    async def _check_process(
        self, kind: str, waiting: str, failure: type[SchedulerAway | WorkerAway]
    ) -> None:
        processes = await reading.read_processes(self._connection)
        if not any(row["kind"] == kind for row in processes):
            raise failure(
                f"No {kind} runs to take up {waiting} of {self._tenant.name}, which is kept: start `zaptik {kind}`, "
                "or look at its log."
            )


async def refuse_paused(connection: Connection, tenant: Tenant) -> NoReturn:
    """Raise what says why a tenant is paused, and what lets it run again."""
    last = await reading.read_runs(connection, tenant, limit=1)
    if last and last[0]["error"] and last[0]["error"]["code"] == CredentialsRejected.code:
        raise CredentialsRejected(
            f"{tenant.name} is paused since its last run: {last[0]['error']['message']}"
        )
    raise TenantPaused(
        f"{tenant.name} is paused ({tenant.state_reason}): `zaptik tenant resume {tenant.name}` lets it run again."
    )
