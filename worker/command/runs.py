"""`sync`, `runs` and `status`: asking for runs and seeing what became of them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import UUID

from jobs.errors import (
    CredentialsRejected,
    RunEnded,
    SchedulerAway,
    TenantPaused,
    UnknownRun,
    WorkerAway,
)
from worker.command.database import ask_as_app
from worker.command.documents import (
    describe_isolation,
    describe_process,
    describe_run,
    describe_tenant_status,
    exit_code_of,
)
from worker.command.output import Output, align
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection
from worker.postgres.isolation import read_check
from worker.postgres.offboarding import read_offboardings
from worker.postgres.tenants import Tenant
from worker.settings import Settings

_POLL_SECONDS = 0.25
_RUN_COLUMNS = (
    "requested_at", "state", "mode", "revision", "requests", "records", "added", "changed", "removed", "seconds",
)  # fmt: skip
_ENDED = frozenset({"published", "unchanged", "quarantined", "failed", "cancelled"})


def sync(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Ask for a run; with `--wait` follow it to its end."""
    mode = "full" if asked.full else "delta"

    async def request(connection: Connection) -> tuple[int, dict[str, Any] | None]:
        tenant = await _find_runnable(connection, asked.name)
        number = await runs.request_sync(connection, tenant.name, mode=mode)
        if not asked.wait:
            return number, None
        return number, await _Follower(connection, tenant, settings, output.say).follow(number)

    number, run = ask_as_app(settings, request)
    if run is None:
        output.document({"tenant": asked.name, "request": number})
        output.lines(
            [
                f"request {number} is kept; once a scheduler takes it up, `zaptik runs {asked.name}` shows the run"
            ]
        )
        return 0
    output.document(run)
    output.lines(_show_run(run))
    return exit_code_of(run)


def list_runs(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List a tenant's runs, the newest first."""

    async def read(connection: Connection) -> list[dict[str, Any]]:
        tenant = await tenants.find_tenant(connection, asked.name)
        return await reading.read_runs(connection, tenant, limit=asked.limit)

    found = [describe_run(row, tenant=asked.name) for row in ask_as_app(settings, read)]
    output.document({"runs": found})
    columns = (*_RUN_COLUMNS, "run_id")
    rows = [[*(run[name] for name in _RUN_COLUMNS), run["run_id"]] for run in found]
    output.lines(align(columns, rows))
    output.lines(f"{run['run_id']}: {_tell_error(run['error'])}" for run in found if run["error"])
    output.lines(f"{run['run_id']}: {warning}" for run in found for warning in run["warnings"])
    output.lines(
        f"{run['run_id']}: {change['table']} was {change['from']} and is {change['to']}"
        for run in found
        for change in run["coverage_changes"]
    )
    return 0


def cancel(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Cancel a run that waits or is under way; its worker leaves it at its next page."""
    state = ask_as_app(settings, lambda connection: runs.cancel_run(connection, asked.run_id))
    if state is None:
        raise UnknownRun(f"There is no run {asked.run_id}: `zaptik runs NAME` shows a tenant's.")
    if state in _ENDED:
        advice = ": `zaptik revision reject` drops its revision" if state == "quarantined" else ""
        raise RunEnded(f"Run {asked.run_id} has ended already, {state}{advice}. Nothing was changed.")
    output.document({"run_id": str(asked.run_id), "state": "cancelled", "was": state})
    output.lines([f"run {asked.run_id} is cancelled; the tenant's next run comes with its next turn"])
    return 0


def status(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show tenants, the queue and the processes that reported lately."""

    async def read(
        connection: Connection,
    ) -> tuple[list[dict[str, Any]], dict[str, int], list[dict[str, Any]], dict[str, str | None]]:
        fleet, counts = await reading.read_fleet(connection), await reading.count_runs(connection)
        due = {one.tenant_id: one.due_at for one in await read_offboardings(connection)}
        fleet = [{**row, "due_at": due.get(row["tenant_id"])} for row in fleet]
        isolation = describe_isolation(*await read_check(connection))
        return fleet, counts, await reading.read_processes(connection), isolation

    fleet, counts, processes, isolation = ask_as_app(settings, read)
    described = [describe_tenant_status(row) for row in fleet]
    queue = {state: counts.get(state, 0) for state in ("asked", "requested", "running")}
    seen = [describe_process(row) for row in processes]
    by_kind = {kind: [row for row in seen if row["kind"] == kind] for kind in ("worker", "scheduler")}
    output.document(
        {
            "tenants": described,
            "queue": queue,
            "workers": by_kind["worker"],
            "schedulers": by_kind["scheduler"],
            "isolation": isolation,
        }
    )
    columns = ("tenant", "state", "revision", "as_of", "staleness_seconds")
    output.lines(align(columns, ([row[name] for name in columns] for row in described)))
    output.lines(
        [
            *(f"{row['tenant']}: {why}" for row in described if (why := _tell_trouble(row))),
            f"queue: {queue['asked']} asked for, {queue['requested']} requested, {queue['running']} running",
            f"processes: {len(by_kind['worker'])} workers, {len(by_kind['scheduler'])} schedulers",
            _tell_isolation(isolation),
        ]
    )
    return 0


def _tell_isolation(isolation: dict[str, str | None]) -> str:
    """Say when the tenants' boundary was last tried; who was reached is said before all else."""
    checked = f"last tried {isolation['checked_at'] or 'never'}"
    if reached := isolation["reached_at"]:
        return f"isolation: a tenant was READ AS ANOTHER at {reached}, {checked}: docs/runbooks/isolation-reached.md"
    return f"isolation: no tenant was read as another, {checked}"


async def _find_runnable(connection: Connection, name: str) -> Tenant:
    tenant = await tenants.find_tenant(connection, name)
    tenants.refuse_leaving(tenant)
    if tenant.state == "awaiting_credentials":
        raise TenantPaused(f"{name} has no credentials yet: `zaptik credential set {name} --client-id ID`.")
    if tenant.state == "paused":
        await _refuse_paused(connection, tenant)
    return tenant


async def _refuse_paused(connection: Connection, tenant: Tenant) -> NoReturn:
    last = await reading.read_runs(connection, tenant, limit=1)
    if last and last[0]["error"] and last[0]["error"]["code"] == CredentialsRejected.code:
        raise CredentialsRejected(
            f"{tenant.name} is paused since its last run: {last[0]['error']['message']}"
        )
    raise TenantPaused(
        f"{tenant.name} is paused ({tenant.state_reason}): `zaptik tenant resume {tenant.name}` lets it run again."
    )


class _Follower:
    """Follows one request to the end of its run, and says why it does not come to one."""

    def __init__(
        self, connection: Connection, tenant: Tenant, settings: Settings, say: Callable[[str], None]
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._patience_seconds = 10 + 3 * settings.scheduler_tick_seconds
        self._say = say
        self._told = ""

    async def follow(self, number: int) -> dict[str, Any]:
        """Wait for the run of a request and for its end; give it as a document."""
        run_id = await self._wait_for_run(number)
        clock = asyncio.get_running_loop().time
        idle_since = clock()
        while True:
            rows = await reading.read_runs(self._connection, self._tenant, limit=1, run_id=run_id)
            run = describe_run(rows[0], tenant=self._tenant.name)
            self._tell(run)
            if run["state"] in _ENDED:
                return run
            if run["state"] != "requested" or rows[0]["not_before"] > datetime.now(UTC):
                idle_since = clock()
            elif clock() - idle_since > self._patience_seconds:
                await self._check_held()
                await self._check_process("worker", f"run {run_id}", WorkerAway)
            await asyncio.sleep(_POLL_SECONDS)

    async def _wait_for_run(self, number: int) -> UUID:
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience_seconds
        while (run_id := await runs.read_request(self._connection, self._tenant.tenant_id, number)) is None:
            await self._check_held()
            if clock() > until:
                # A live run may hold the request back; without a scheduler nothing will ever take it up.
                await self._check_process("scheduler", f"request {number}", SchedulerAway)
                until = clock() + self._patience_seconds
            await asyncio.sleep(_POLL_SECONDS)
        return run_id

    async def _check_held(self) -> None:
        tenant = await tenants.find_tenant(self._connection, self._tenant.name)
        tenants.refuse_leaving(tenant)
        if tenant.state == "paused":
            await _refuse_paused(self._connection, tenant)

    async def _check_process(
        self, kind: str, waiting: str, failure: type[SchedulerAway | WorkerAway]
    ) -> None:
        processes = await reading.read_processes(self._connection)
        if not any(row["kind"] == kind for row in processes):
            raise failure(
                f"No {kind} runs to take up {waiting} of {self._tenant.name}, which is kept: start `zaptik {kind}`, "
                "or look at its log."
            )

    def _tell(self, run: dict[str, Any]) -> None:
        news = f"{run['state']}, {run['requests']} requests, {run['records']} records"
        if run["error"] and run["state"] == "requested":
            news += f"; to be tried again: {run['error']['message']}"
        if news != self._told:
            self._say(f"{self._tenant.name}: {news}")
            self._told = news


def _show_run(run: dict[str, Any]) -> list[str]:
    columns = ("table", "verdict", "rows", "hidden", "requests", "reason")
    tables = [[table[name] for name in columns] for table in run["tables"]]
    told = [run["state"]]
    if run["revision"] is not None:
        changes = (f"{run[name]} {name}" for name in ("added", "changed", "removed"))
        told += [f"revision {run['revision']}", *changes]
    if run["seconds"] is not None:
        told.append(f"{run['seconds']} s")
    error = [_tell_error(run["error"])] if run["error"] else []
    return [*(align(columns, tables) if tables else []), f"{run['tenant']}: {', '.join(told)}", *error]


def _tell_error(error: dict[str, Any]) -> str:
    return f"{error['code']}: {error['message']}"


def _tell_trouble(row: dict[str, Any]) -> str:
    if row["state"] == "offboarding":
        return f"leaves: it must be deleted by {row['due_at']}"
    if row["state"] == "paused":
        return f"paused: {row['reason']}"
    if row["last_state"] == "quarantined":
        return f"quarantined: a revision waits for a person; see `zaptik revision list {row['tenant']}`"
    if row["breaker"] != "closed" and row["last_error"]:
        return f"breaker {row['breaker'].replace('_', '-')}: {_tell_error(row['last_error'])}"
    return _tell_error(row["last_error"]) if row["last_error"] else ""
