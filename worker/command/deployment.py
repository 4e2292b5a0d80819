"""`migrate`: the schemas of a deployment, and what can be seen of the server's own protection."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.certificate import Tombstone
from jobs.gaps import GAPS
from worker.command.database import ask_as_administrator
from worker.command.output import Output
from worker.command.papers import read_listed
from worker.postgres import migrate as migration
from worker.postgres.connection import Connection, open_connection
from worker.postgres.deletion import delete_again
from worker.postgres.migrate import MigrationReport
from worker.postgres.protection import Protection, read_protection
from worker.settings import Settings

_TOLD_EVERY = 100  # tenants


def migrate(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Bring every schema to the version this release needs; 1 where a tenant failed, and the others are done."""
    app_url = settings.database_url.get_secret_value() if settings.database_url else None
    today = datetime.now(UTC).date()
    listed, is_torn = read_listed(settings)
    admin_url = settings.require_admin_database_url()

    async def bring_up(connection: Connection) -> tuple[MigrationReport, Protection]:
        report = await migration.migrate(
            connection,
            app_url=app_url,
            today=today,
            accepted_gaps=settings.accepted_gaps,
            opening=lambda: open_connection(admin_url, purpose="migrate"),
            progress=lambda done, total: _tell_progress(output, done, total),
        )
        return report, await read_protection(connection)

    report, protection = ask_as_administrator(settings, bring_up)
    again = _delete_again(listed, settings)
    tombstones = {"listed": len(listed), "deleted": again, "torn": is_torn}
    output.document({**describe_migration(report, protection), "tombstones": tombstones})
    output.lines([f"control schema at version {report.control}"])
    for word, names in (("migrated", report.migrated), ("already there", report.current)):
        output.lines([f"{len(names)} tenants {word}"])
    if again:
        output.lines([f"{len(again)} tenants deleted again that a restored backup brought back"])
    output.lines([f"mended: {statement}" for statement in report.mended])
    output.lines(protection.lines())
    if is_torn:
        output.say(
            f"zaptik: the last line of {settings.tombstones_file} is torn and was passed over: the deletion that wrote "
            "it was cut off. Call `zaptik tenant offboard` again for the tenant that `zaptik tenant list` shows"
        )
    for gap in report.gaps:
        output.say(f"zaptik: accepted and open: {gap}: {GAPS[gap]}")
    for failed in report.failed:
        output.say(f"zaptik: tenant {failed['tenant']} was not migrated: {failed['error']}")
    return 1 if report.failed else 0


def _delete_again(listed: Sequence[Tombstone], settings: Settings) -> list[str]:
    """Delete those on the list of deleted tenants that are there; gives their references."""

    async def delete(connection: Connection) -> list[str]:
        return [str(one.tenant_id) for one in listed if await delete_again(connection, one)]

    return ask_as_administrator(settings, delete) if listed else []


def describe_migration(report: MigrationReport, protection: Protection) -> dict[str, Any]:
    """Give the document of `migrate --json`, but for the tenants that were deleted again."""
    tenants = dataclasses.asdict(report)
    control, gaps = tenants.pop("control"), tenants.pop("gaps")
    open_gaps = [{"gap": gap, "leaves": GAPS[gap]} for gap in gaps]
    return {"control": control, "tenants": tenants, "gaps": open_gaps, "server": protection.document()}


def _tell_progress(output: Output, done: int, total: int) -> None:
    """Say how far it is, on the way of many."""
    if done % _TOLD_EVERY == 0 and done < total:
        output.say(f"zaptik: {done} of {total} tenants")
