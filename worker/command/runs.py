"""`sync`, `runs` and `status`: asking for runs and seeing what became of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group

from jobs.errors import DatabaseAway, RunEnded, TenantPaused, UnknownRun, WrongArguments
from worker.command.database import ask_as_app
from worker.command.documents import (
    describe_isolation,
    describe_process,
    describe_run,
    describe_tenant_status,
    exit_code_of,
)
from worker.command.following import ENDED, Follower, Teller, refuse_paused
from worker.command.output import Output, align
from worker.command.terminal import draw_fleet, telling, watch
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import Connection
from worker.postgres.isolation import read_check
from worker.postgres.offboarding import read_offboardings
from worker.postgres.tenants import Tenant
from worker.settings import Settings

_WATCH_SECONDS = 2.0
_RUN_COLUMNS = (
    "requested_at", "state", "mode", "revision", "requests", "records", "added", "changed", "removed", "seconds",
)  # fmt: skip


def sync(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Ask for a run; with `--wait` follow it to its end."""
    mode = "full" if asked.full else "delta"

    async def request(connection: Connection, teller: Teller | None) -> tuple[int, dict[str, Any] | None]:
        tenant = await _find_runnable(connection, asked.name)
        number = await runs.request_sync(connection, tenant.name, mode=mode)
        if teller is None:
            return number, None
        return number, await Follower(connection, tenant, settings, teller).follow(number)

    if asked.wait:
        with telling(output, asked.name) as teller:
            number, run = ask_as_app(settings, lambda connection: request(connection, teller))
    else:
        number, run = ask_as_app(settings, lambda connection: request(connection, None))
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
    if state in ENDED:
        advice = ": `zaptik revision reject` drops its revision" if state == "quarantined" else ""
        raise RunEnded(f"Run {asked.run_id} has ended already, {state}{advice}. Nothing was changed.")
    output.document({"run_id": str(asked.run_id), "state": "cancelled", "was": state})
    output.lines([f"run {asked.run_id} is cancelled; the tenant's next run comes with its next turn"])
    return 0


def status(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show tenants, the queue and the processes that reported lately; with `--watch` again and again."""
    if asked.watch:
        if output.as_json or not sys.stdout.isatty():
            raise WrongArguments(
                "--watch draws on a terminal: elsewhere call `zaptik status --json` now and then."
            )
        watch(lambda console: _draw_status(settings, console), every_seconds=_WATCH_SECONDS)
        return 0
    document, _ = _read_status(settings)
    output.document(document)
    columns = ("tenant", "state", "revision", "as_of", "staleness_seconds")
    output.lines(align(columns, ([row[name] for name in columns] for row in document["tenants"])))
    output.lines(f"{row['tenant']}: {why}" for row in document["tenants"] if (why := _tell_trouble(row)))
    output.lines(_tell_fleet(document))
    return 0


def _read_status(settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give the document of `status`, and the tenants' rows behind it in the same order."""

    async def read(
        connection: Connection,
    ) -> tuple[list[dict[str, Any]], dict[str, int], list[dict[str, Any]], dict[str, str | None]]:
        fleet, counts = await reading.read_fleet(connection), await reading.count_runs(connection)
        due = {one.tenant_id: one.due_at for one in await read_offboardings(connection)}
        fleet = [{**row, "due_at": due.get(row["tenant_id"])} for row in fleet]
        isolation = describe_isolation(*await read_check(connection))
        return fleet, counts, await reading.read_processes(connection), isolation

    fleet, counts, processes, isolation = ask_as_app(settings, read)
    seen = [describe_process(row) for row in processes]
    document = {
        "tenants": [describe_tenant_status(row) for row in fleet],
        "queue": {state: counts.get(state, 0) for state in ("asked", "requested", "running")},
        "workers": [row for row in seen if row["kind"] == "worker"],
        "schedulers": [row for row in seen if row["kind"] == "scheduler"],
        "isolation": isolation,
    }
    return document, fleet


def _draw_status(settings: Settings, console: Console) -> Group:
    try:
        document, fleet = _read_status(settings)
    except DatabaseAway as away:
        return draw_fleet([], [f"{away.message} Asked again soon."], console=console)
    rows = [
        {
            **tenant,
            "cadences": row["staleness_seconds"] / row["every_seconds"],
            "trouble": _tell_trouble(tenant),
        }
        for tenant, row in zip(document["tenants"], fleet, strict=True)
    ]
    return draw_fleet(rows, _tell_fleet(document), console=console)


def _tell_fleet(document: Mapping[str, Any]) -> list[str]:
    queue = document["queue"]
    return [
        f"queue: {queue['asked']} asked for, {queue['requested']} requested, {queue['running']} running",
        f"processes: {len(document['workers'])} workers, {len(document['schedulers'])} schedulers",
        _tell_isolation(document["isolation"]),
    ]


def _tell_isolation(isolation: Mapping[str, str | None]) -> str:
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
        await refuse_paused(connection, tenant)
    return tenant


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
