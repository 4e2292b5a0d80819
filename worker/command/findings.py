"""`graph findings`: what of a tenant's graph somebody should look at."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jobs.export.inert import show_text
from worker.command.database import ask_as_app
from worker.command.output import Output, align
from worker.postgres import findings, tenants
from worker.postgres.connection import Connection
from worker.postgres.findings import Finding
from worker.settings import Settings


def list_all(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the findings of a revision, by kind, then by node."""

    async def read(connection: Connection) -> tuple[int, list[Finding]]:
        tenant = await tenants.find_tenant(connection, asked.name)
        await tenants.note_reading(connection, tenant, "graph findings", revision=asked.revision)
        return await findings.read_findings(connection, tenant, asked.revision)

    revision, found = ask_as_app(settings, read)
    output.document(
        {"tenant": asked.name, "revision": revision, "findings": [dataclasses.asdict(one) for one in found]}
    )
    output.lines(align(("finding", "certain", "node", "name", "why"), map(_describe, found)))
    output.say(f"zaptik: {len(found)} findings in revision {revision} of {asked.name}")
    return 0


def _describe(found: Finding) -> tuple[str, ...]:
    """Give a finding as cells; an id and a name are the instance's own texts, of any length."""
    certain = "yes" if found.certain else "no"
    return (
        found.finding,
        certain,
        show_text(found.node_id),
        show_text(found.name or "-"),
        _explain(found.detail),
    )


def _explain(detail: dict[str, Any]) -> str:
    if doubt := detail.get("cannot_know"):
        return str(doubt)
    target = next((detail[key] for key in ("group", "to", "rule", "template") if key in detail), None)
    return str(target or "-")
