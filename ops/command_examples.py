"""Rows as the command describes them, so that its reference page shows the names that it really prints."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import worker
from jobs.canary import Honesty
from jobs.examination import Examined, describe_scope, describe_table
from jobs.surface import read_surface
from jobs.verdict import Verdict
from worker.command.documents import (
    describe_examination,
    describe_isolation,
    describe_process,
    describe_run,
    describe_tenant_status,
)

_MOMENT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
_RUN_ID = UUID("6b0f0d0c-58a1-4c7f-9a53-0d4b0a2f6f11")


def example_run() -> dict[str, object]:
    """Describe a row as the command does, so that the page shows the names that it really prints."""
    counts = {"requests": 4, "records": 60, "nodes": 60, "edges": 12, "added": 72, "changed": 0, "removed": 0}
    read = {"table_name": "sys_user_group", "verdict": "complete", "read": "whole", "as_of": _MOMENT}
    row = {
        "run_id": _RUN_ID,
        "state": "published",
        "mode": "full",
        "revision": 1,
        "requested_at": _MOMENT,
        "started_at": _MOMENT,
        "ended_at": _MOMENT.replace(second=3),
        "tables": [{**read, "rows": 60, "known": None, "hidden": 0, "requests": 4, "reason": None}],
        "error": None,
        "canaries": {"table": "sc_catalog", "unknown_field": "drops_term", "range": "holds", "times": "utc"},
        "coverage_changes": [{"table": "sys_user_group", "from": "hidden", "to": "complete"}],
        **counts,
    }
    return describe_run(row, tenant="acme")


def example_examination() -> dict[str, object]:
    """Describe an examination with a table that is denied."""
    table = read_surface().tables["awa_queue"]
    denied = describe_table(table, Verdict("denied", reason="…"))
    return describe_examination(
        "acme",
        tables=[Examined("sys_user_group", "complete"), denied],
        warnings=[f"{describe_scope('useraccount')[0].partition(':')[0]}: …"],
        canaries=Honesty("sc_catalog", "drops_term", "holds", "utc").document(),
        error=None,
        coverage_changes=[{"table": "awa_queue", "from": "complete", "to": "denied"}],
    )


def example_status() -> dict[str, object]:
    """Describe a fleet of one tenant."""
    tenant = {
        "tenant": "acme", "tenant_id": _RUN_ID, "state": "active", "state_reason": None, "published_at": _MOMENT,
        "as_of": _MOMENT, "revision": 1,
    }  # fmt: skip
    run = {"last_state": "published", "breaker": "closed"}
    process = {"process_id": _RUN_ID, "host": "node-1", "pid": 7, "version": worker.__version__}
    times = {"started_at": _MOMENT, "seen_at": _MOMENT}
    return {
        "tenants": [describe_tenant_status({**tenant, "staleness_seconds": 61.5, "last_error": None, **run})],
        "queue": {"asked": 0, "requested": 0, "running": 0},
        "workers": [describe_process({**process, **times, "kind": "worker", "threads": 4})],
        "schedulers": [describe_process({**process, **times, "kind": "scheduler", "threads": 1})],
        "isolation": describe_isolation(_MOMENT, None),
    }
