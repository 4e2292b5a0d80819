"""`migrate`: the schemas of a deployment."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

from jobs.certificate import Tombstone
from worker.command.database import ask_as_administrator
from worker.command.output import Output
from worker.command.papers import read_listed
from worker.postgres import migrate as migration
from worker.postgres.connection import Connection, open_connection
from worker.postgres.deletion import delete_again
from worker.settings import Settings

_TOLD_EVERY = 100  # tenants


def migrate(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Bring every schema to the version this release needs; 1 where a tenant failed, and the others are done."""
    app_url = settings.database_url.get_secret_value() if settings.database_url else None
    today = datetime.now(UTC).date()
    listed = read_listed(settings)
    admin_url = settings.require_admin_database_url()
    report = ask_as_administrator(
        settings,
        lambda connection: migration.migrate(
            connection,
            app_url=app_url,
            today=today,
            opening=lambda: open_connection(admin_url, purpose="migrate"),
            progress=lambda done, total: _tell_progress(output, done, total),
        ),
    )
    again = _delete_again(listed, settings)
    tenants = dataclasses.asdict(report)
    tombstones = {"listed": len(listed), "deleted": again}
    output.document({"control": tenants.pop("control"), "tenants": tenants, "tombstones": tombstones})
    output.lines([f"control schema at version {report.control}"])
    for word, names in (("migrated", report.migrated), ("already there", report.current)):
        output.lines([f"{len(names)} tenants {word}"])
    if again:
        output.lines([f"{len(again)} tenants deleted again that a restored backup brought back"])
    for failed in report.failed:
        output.say(f"zaptik: tenant {failed['tenant']} was not migrated: {failed['error']}")
    return 1 if report.failed else 0


def _delete_again(listed: Sequence[Tombstone], settings: Settings) -> list[str]:
    """Delete those on the list of deleted tenants that are there; gives their references."""

    async def delete(connection: Connection) -> list[str]:
        return [str(one.tenant_id) for one in listed if await delete_again(connection, one)]

    return ask_as_administrator(settings, delete) if listed else []


def _tell_progress(output: Output, done: int, total: int) -> None:
    """Say how far it is, on the way of many."""
    if done % _TOLD_EVERY == 0 and done < total:
        output.say(f"zaptik: {done} of {total} tenants")
