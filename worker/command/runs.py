"""`sync`, `runs` and `status`: asking for runs and seeing what became of them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID

from jobs.errors import CredentialsRejected, SchedulerAway, TenantPaused
from worker.command.database import ask_as_app
from worker.command.documents import describe_process, describe_run, describe_tenant_status, exit_code_of
from worker.command.output import Output, align
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection
from worker.postgres.tenants import Tenant
from worker.settings import Settings

_POLL_SECONDS = 0.25
_ENDED = frozenset({"published", "unchanged", "quarantined", "failed", "cancelled"})


def sync(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Ask for a run; with `--wait` follow it to its end."""
    mode = "full" if asked.full else "delta"

    async def request(connection: Connection) -> tuple[int, dict[str, Any] | None]:
        tenant = await _find_runnable(connection, asked.name)
        number = await runs.request_sync(connection, tenant.name, mode=mode)
        if not asked.wait:
            return number, None
        return number, await _follow(connection, tenant, number, settings=settings, say=output.say)

    number, run = ask_as_app(settings, request)
    if run is None:
        output.document({"tenant": asked.name, "request": number})
        output.lines([f"run of {asked.name} requested, number {number}; `zaptik runs {asked.name}` shows it"])
        return 0
    output.document(run)
    output.lines(_show_run(run))
    return exit_code_of(run)


def list_runs(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List a tenant's runs, the newest first."""

    async def read(connection: Connection) -> list[dict[str, Any]]:
        tenant = await tenants.find_tenant(connection, asked.name)
        return await reading.read_runs(connection, tenant, limit=max(1, asked.limit))

    found = [describe_run(row, tenant=asked.name) for row in ask_as_app(settings, read)]
    output.document({"runs": found})
    columns = (
        "requested_at",
        "state",
        "mode",
        "revision",
        "requests",
        "records",
        "added",
        "changed",
        "removed",
        "seconds",
    )
    rows = [[*(run[name] for name in columns), _name_error(run)] for run in found]
    output.lines(align([*columns, "error"], rows))
    return 0


def status(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show tenants, the queue and the processes that reported lately."""

    async def read(
        connection: Connection,
    ) -> tuple[list[dict[str, Any]], dict[str, int], list[dict[str, Any]]]:
        fleet = await reading.read_fleet(connection)
        return fleet, await reading.count_runs(connection), await reading.read_processes(connection)

    fleet, counts, processes = ask_as_app(settings, read)
    described = [describe_tenant_status(row) for row in fleet]
    queue = {state: counts.get(state, 0) for state in ("requested", "running")}
    seen = [describe_process(row) for row in processes]
    by_kind = {kind: [row for row in seen if row["kind"] == kind] for kind in ("worker", "scheduler")}
    output.document(
        {
            "tenants": described,
            "queue": queue,
            "workers": by_kind["worker"],
            "schedulers": by_kind["scheduler"],
        }
    )
    columns = ("tenant", "state", "revision", "as_of", "staleness_seconds")
    output.lines(align(columns, ([row[name] for name in columns] for row in described)))
    output.lines(
        [
            f"queue: {queue['requested']} requested, {queue['running']} running",
            f"processes: {len(by_kind['worker'])} workers, {len(by_kind['scheduler'])} schedulers",
        ]
    )
    return 0


async def _find_runnable(connection: Connection, name: str) -> Tenant:
    tenant = await tenants.find_tenant(connection, name)
    if tenant.state == "awaiting_credentials":
        raise TenantPaused(f"{name} has no credentials yet: `zaptik credential set {name} --client-id ID`.")
    if tenant.state == "paused":
        await _refuse_paused(connection, tenant)
    return tenant


async def _refuse_paused(connection: Connection, tenant: Tenant) -> NoReturn:
    last = await reading.read_runs(connection, tenant, limit=1)
    if last and last[0]["error"] and last[0]["error"]["code"] == CredentialsRejected.code:
        raise CredentialsRejected(
            f"{tenant.name} is paused since its last run: {last[0]['error']['message']} New credentials "
            f"(`zaptik credential set {tenant.name}`) let it run again."
        )
    raise TenantPaused(
        f"{tenant.name} is paused ({tenant.state_reason}): `zaptik tenant resume {tenant.name}` lets it run again."
    )


async def _follow(
    connection: Connection, tenant: Tenant, number: int, *, settings: Settings, say: Callable[[str], None]
) -> dict[str, Any]:
    run_id = await _wait_for_run(connection, tenant, number, settings=settings)
    told = ""
    while True:
        rows = await reading.read_runs(connection, tenant, limit=1, run_id=run_id)
        run = describe_run(rows[0], tenant=tenant.name)
        news = f"{run['state']}, {run['requests']} requests, {run['records']} records"
        if run["error"] and run["state"] == "requested":
            news += f"; to be tried again: {run['error']['message']}"
        if news != told:
            say(f"{tenant.name}: {news}")
            told = news
        if run["state"] in _ENDED:
            return run
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_for_run(connection: Connection, tenant: Tenant, number: int, *, settings: Settings) -> UUID:
    patience_seconds = 10 + 3 * settings.scheduler_tick_seconds
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    while (run_id := await runs.read_request(connection, tenant.tenant_id, number)) is None:
        if (await tenants.find_tenant(connection, tenant.name)).state == "paused":
            await _refuse_paused(connection, tenant)
        if clock() > until:
            # A live run may hold the request back; without a scheduler nothing will ever take it up.
            processes = await reading.read_processes(connection)
            if not any(row["kind"] == "scheduler" for row in processes):
                raise SchedulerAway(
                    f"Request {number} for {tenant.name} is kept, but no scheduler runs to take it up: start `zaptik "
                    "scheduler`, or look at its log."
                )
            until = clock() + patience_seconds
        await asyncio.sleep(_POLL_SECONDS)
    return run_id


def _show_run(run: dict[str, Any]) -> list[str]:
    columns = ("table", "verdict", "rows", "hidden", "requests", "reason")
    lines = align(columns, ([table[name] for name in columns] for table in run["tables"]))
    changes = f"{run['added']} added, {run['changed']} changed, {run['removed']} removed"
    head = f"{run['tenant']}: {run['state']}, revision {run['revision']}, {changes}, {run['seconds']} s"
    error = [f"{run['error']['code']}: {run['error']['message']}"] if run["error"] else []
    return [*lines, head, *error]


def _name_error(run: dict[str, Any]) -> str | None:
    return run["error"]["code"] if run["error"] else None
