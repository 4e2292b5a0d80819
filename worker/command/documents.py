"""Rows of the database as the documents that `docs/reference/command.md` promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.canary import read_honesty
from jobs.errors import ErrorDocument
from jobs.examination import Examined
from jobs.verdict import NOTHING_MISSING
from worker.command.output import format_time

_COUNTS = ("requests", "records", "nodes", "edges", "added", "changed", "removed")


def describe_run(row: Mapping[str, Any], *, tenant: str) -> dict[str, Any]:
    """Give a run, with its tables, as `sync --wait --json` prints it."""
    return {
        "run_id": str(row["run_id"]),
        "tenant": tenant,
        "state": row["state"],
        "mode": row["mode"],
        "revision": row["revision"],
        **{name: row[name] for name in _COUNTS},
        "seconds": _run_seconds(row),
        "requested_at": format_time(row["requested_at"]),
        "tables": [_describe_table(table) for table in row["tables"]],
        "coverage_changes": row["coverage_changes"],
        "canaries": row["canaries"],
        "warnings": _describe_warnings(row["canaries"]),
        "error": row["error"],
    }


def exit_code_of(run: Mapping[str, Any]) -> int:
    """Give the exit code a run's end stands for: 0 done, 1 failed, 3 done in part."""
    if run["state"] in {"failed", "cancelled"}:
        return 1
    verdicts = {table["verdict"] for table in run["tables"]}
    return 3 if run["state"] == "quarantined" or verdicts - NOTHING_MISSING else 0


def describe_examination(
    tenant: str,
    *,
    tables: Sequence[Examined],
    warnings: Sequence[str],
    canaries: Mapping[str, str],
    error: ErrorDocument | None,
    coverage_changes: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Give an examination as `doctor` prints it."""
    return {
        "tenant": tenant,
        "ok": error is None and all(table.is_fine for table in tables),
        "credentials": {"ok": error is None, "error": error},
        "tables": [{**asdict(table), "unblinds": list(table.unblinds)} for table in tables],
        "canaries": dict(canaries),
        "coverage_changes": list(coverage_changes),
        "warnings": list(warnings),
    }


def describe_revision(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a revision as `revision list` prints it."""
    counts = ("nodes", "edges", "added", "changed", "removed", "digest", "reason")
    return {
        "revision": row["revision"],
        "state": row["state"],
        "as_of": format_time(row["as_of"]),
        **{name: row[name] for name in counts},
    }


def describe_tenant_status(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a tenant as `status --json` prints it."""
    return {
        "tenant": row["tenant"],
        "tenant_id": str(row["tenant_id"]),
        "state": row["state"],
        "reason": row["state_reason"],
        "last_published": format_time(row["published_at"]),
        "as_of": format_time(row["as_of"]),
        "revision": row["revision"],
        "staleness_seconds": round(row["staleness_seconds"], 1),
        "last_state": row["last_state"],
        "breaker": row["breaker"],
        "last_error": row["last_error"],
        "due_at": format_time(row.get("due_at")),
    }


def describe_isolation(checked_at: datetime | None, reached_at: datetime | None) -> dict[str, str | None]:
    """Give what became of trying the tenants' boundary as `status --json` prints it."""
    return {"checked_at": format_time(checked_at), "reached_at": format_time(reached_at)}


def describe_process(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a worker or scheduler as `status --json` prints it."""
    return {
        "process_id": str(row["process_id"]),
        **{name: row[name] for name in ("kind", "host", "pid", "version", "threads")},
        "started_at": format_time(row["started_at"]),
        "seen_at": format_time(row["seen_at"]),
    }


def _describe_table(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "table": row["table_name"],
        "verdict": row["verdict"] or "unknown",
        "read": row["read"],
        "as_of": format_time(row["as_of"]),
        "rows": row["rows"] if row["known"] is None else row["known"],
        "hidden": row["hidden"],
        "requests": row["requests"],
        "reason": row["reason"],
    }


def _describe_warnings(canaries: Mapping[str, Any] | None) -> list[str]:
    honesty = read_honesty(canaries)
    return honesty.warnings() if honesty else []


def _run_seconds(row: Mapping[str, Any]) -> float | None:
    if row["started_at"] is None:
        return None
    lasted: timedelta = (row["ended_at"] or datetime.now(UTC)) - row["started_at"]
    return round(lasted.total_seconds(), 3)
