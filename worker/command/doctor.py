"""`doctor`: what a tenant's account may read, what is missing, and who can mend it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.errors import ErrorDocument
from jobs.examination import EMPTY, Examined, name_missing
from worker.command.database import ask_as_app
from worker.command.documents import describe_examination
from worker.command.output import Output, align
from worker.command.parts import build_parts
from worker.postgres import reading, tenants
from worker.postgres.connection import Connection
from worker.settings import Settings
from worker.sync import Examination, check_keys, examine_tenant

_FAILED, _IN_PART = 1, 3


def examine(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Examine a tenant's instance; 1 where the credentials give no token, 3 where something is missing."""
    parts = build_parts(settings, command="doctor")

    async def look(connection: Connection) -> tuple[Examination, list[dict[str, Any]]]:
        await check_keys(connection, parts.keyring)
        tenant = await tenants.find_tenant(connection, asked.name)
        tenants.refuse_leaving(tenant)
        last = await reading.read_runs(connection, tenant, limit=1)
        found = await examine_tenant(
            parts, connection, tenant, tell=lambda table: output.say(f"{table.table}: {table.verdict}")
        )
        return found, last[0]["coverage_changes"] if last else []

    found, changes = ask_as_app(settings, look)
    output.document(
        describe_examination(
            asked.name,
            tables=found.tables,
            warnings=found.warnings,
            canaries=found.honesty.document(),
            error=found.error,
            coverage_changes=changes,
        )
    )
    output.lines(_show(found, changes))
    if found.error is not None:
        output.say(f"zaptik: {found.error['code']}: {found.error['message']}")
        return _FAILED
    return 0 if found.is_fine else _IN_PART


def _show(found: Examination, changes: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Give a table for people, and then what to do."""
    if found.tables:
        yield from align(
            ("table", "verdict", "grant"),
            [(table.table, table.verdict, table.grant) for table in found.tables],
        )
    missing = [table for table in found.tables if not table.is_fine]
    if missing:
        yield from ("", "What is missing:")
        yield from (f"- {table.table} is {table.verdict}: {table.reason}" for table in missing)
        yield from ("", "What to do, on the instance:")
        yield from (_tell_grant(grant, tables) for grant, tables in name_missing(missing).items())
    if empty := [table.table for table in found.tables if table.reason == EMPTY]:
        yield from ("", f"Empty, or hidden as if they were (ask the administrator): {', '.join(empty)}")
    if changes:
        yield from ("", "In the last run, other than in the one before:")
        yield from (f"- {one['table']} was {one['from']} and is {one['to']}" for one in changes)
    if found.warnings:
        yield from ("", "Warnings:")
        yield from (f"- {warning}" for warning in found.warnings)
    if not found.tables:
        yield from _tell_refused(found.error)


def _tell_grant(grant: str, tables: Sequence[Examined]) -> str:
    names = ", ".join(table.table for table in tables)
    shown = ", ".join(dict.fromkeys(kind for table in tables for kind in table.unblinds))
    gains = f" shows {shown}" if shown else " shows what they hold"
    what = f"the role {grant}, or read ACLs for" if grant else "read access to"
    return f"- {what} {names}:{gains}"


def _tell_refused(error: ErrorDocument | None) -> Iterator[str]:
    if error is not None:
        yield "No table was tried."
