"""`retention run`: what the schedulers do once a day, now and to its end."""

from __future__ import annotations

import argparse
import os
import socket
from typing import Any

from jobs.errors import DatabaseAway, Failure
from worker.command.database import ask_as_app
from worker.command.output import Output, align
from worker.postgres import retention
from worker.postgres.retention import Keeping, Let
from worker.postgres.tenants import Tenant
from worker.settings import Settings


def run(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let every tenant's old revisions go; 1 where a tenant failed, and the others are done."""
    keeping = Keeping(f"{socket.gethostname()}/{os.getpid()}/retention run", settings.revision_retention)
    # A connection for each: a backend that has touched thousands of tenants keeps their catalogue in memory.
    found = [_run_one(tenant, keeping, settings) for tenant in ask_as_app(settings, retention.list_tenants)]
    output.document({"tenants": found})
    columns = ("tenant", "state", "oldest", "revisions", "feed", "nodes", "edges", "findings", "reads")
    output.lines(align(columns, ([row[name] for name in columns] for row in found)))
    for row in found:
        if row["error"]:
            output.say(f"zaptik: tenant {row['tenant']}: {row['error']['message']}")
        elif row["state"] == "held":
            output.say(f"zaptik: tenant {row['tenant']}: a scheduler is at it")
    return 1 if any(row["error"] for row in found) else 0


def _run_one(tenant: Tenant, keeping: Keeping, settings: Settings) -> dict[str, Any]:
    try:
        state, gone = ask_as_app(settings, lambda connection: retention.let_go(connection, tenant, keeping))
    except DatabaseAway:
        raise
    except Failure as failure:
        return {"tenant": tenant.name, "state": "failed", **Let().counts(), "error": failure.document()}
    return {"tenant": tenant.name, "state": state, **gone.counts(), "error": None}
