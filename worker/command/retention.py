"""`retention run`: what the schedulers do once a day, now and to its end."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from jobs.errors import DatabaseAway, Failure
from worker.command.database import ask_as_app
from worker.command.output import Output, align
from worker.postgres import retention
from worker.postgres.audit_retention import AuditKeeping, DroppedMonths, drop_months
from worker.postgres.retention import Keeping, Let
from worker.postgres.tenants import Tenant
from worker.settings import Settings

_COLUMNS = (
    "tenant", "state", "oldest", "revisions", "feed", "nodes", "edges", "findings", "reads", "runs", "requests",
)  # fmt: skip


def run(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let everything go whose time is over; 1 where something failed or is not sealed, and the rest is done."""
    holder = f"{socket.gethostname()}/{os.getpid()}/retention run"
    keeping = Keeping(holder, settings.revision_retention, settings.run_retention)
    # A connection for each: a backend that has touched thousands of tenants keeps their catalogue in memory.
    found = [_run_one(tenant, keeping, settings) for tenant in ask_as_app(settings, retention.list_tenants)]
    audit = _run_audit(AuditKeeping(holder, settings.audit_retention), settings)
    output.document({"tenants": found, "audit": audit})
    output.lines(align(_COLUMNS, ([row[name] for name in _COLUMNS] for row in found)))
    output.lines(_show_audit(audit))
    for row in (*found, audit):
        if said := _tell_trouble(row):
            output.say(f"zaptik: {said}")
    return 1 if audit["unsealed"] or any(row["error"] for row in (*found, audit)) else 0


def _run_one(tenant: Tenant, keeping: Keeping, settings: Settings) -> dict[str, Any]:
    try:
        state, gone = ask_as_app(settings, lambda connection: retention.let_go(connection, tenant, keeping))
    except DatabaseAway:
        raise
    except Failure as failure:
        return {"tenant": tenant.name, "state": "failed", **Let().counts(), "error": failure.document()}
    return {"tenant": tenant.name, "state": state, **gone.counts(), "error": None}


def _run_audit(keeping: AuditKeeping, settings: Settings) -> dict[str, Any]:
    try:
        gone = ask_as_app(settings, lambda connection: drop_months(connection, keeping))
    except DatabaseAway:
        raise
    except Failure as failure:
        return {**asdict(DroppedMonths("done")), "state": "failed", "error": failure.document()}
    return {**asdict(gone), "error": None}


def _show_audit(audit: dict[str, Any]) -> Iterator[str]:
    yield f"audit trail: {audit['state']}, {len(audit['dropped'])} months dropped"
    for month in audit["dropped"]:
        yield f"  {month['month']} with {month['events']} events"


def _tell_trouble(row: dict[str, Any]) -> str:
    whose = f"tenant {row['tenant']}" if "tenant" in row else "the audit trail"
    if row["error"]:
        return f"{whose}: {row['error']['message']}"
    if row["state"] == "held":
        return f"{whose}: a scheduler is at it"
    if unsealed := row.get("unsealed"):
        return (
            f"{whose}: {', '.join(unsealed)} should have gone and stays, since it is not sealed; see "
            "docs/runbooks/retention-overdue.md"
        )
    return ""
