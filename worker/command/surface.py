"""`surface`: what is read, and why."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jobs.surface import Table, read_surface
from worker.command.output import Output
from worker.settings import Settings


def surface(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show every table and field that is ever asked for, and what follows from them for one instance."""
    found = read_surface().with_values(settings.property_names)
    document: dict[str, Any] = {
        "version": found.version,
        "tables": [_describe(table) for table in found.tables.values()],
    }
    if found.discovery:
        document["discovered"] = [dataclasses.asdict(found.discovery)]
    output.document(document)
    for table in found.tables.values():
        output.lines(
            [
                f"{table.name} ({table.domain}; role {table.role})",
                f"  {table.why}",
                f"  {', '.join(_name_fields(table))}",
                *(f"  asked only whether empty: {', '.join(columns)}" for columns in table.flags.values()),
                *([f"  value only of: {', '.join(table.values)}"] if table.values else []),
            ]
        )
    if found.discovery:
        rule = found.discovery
        output.lines([f"the tables in {rule.field} of {rule.named_in} ({rule.domain})", f"  {rule.why}"])
    return 0


def _describe(table: Table) -> dict[str, Any]:
    described: dict[str, Any] = {
        "domain": table.domain,
        "table": table.name,
        "fields": _name_fields(table),
        "filter": table.filter,
        "why": table.why,
        "role": table.role,
        "plugin": table.plugin,
    }
    if table.flags:
        described["flags"] = {flag: list(columns) for flag, columns in table.flags.items()}
    if table.values:
        described["values"] = list(table.values)
    return described


def _name_fields(table: Table) -> list[str]:
    """Name every field that is ever read of a table; a value is read of some records alone."""
    return [*table.asked, *(["value"] if table.values else [])]
