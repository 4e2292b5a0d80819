"""`migrate` and `keys`: what a deployment needs before its first tenant."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from datetime import UTC, datetime

from worker.command.database import ask_as_administrator
from worker.command.output import Output
from worker.postgres import migrate as migration
from worker.postgres.connection import open_connection
from worker.settings import Settings
from worker.vault import format_keyring, generate_keyring, new_keyring

_TOLD_EVERY = 100  # tenants


def migrate(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Bring every schema to the version this release needs; 1 where a tenant failed, and the others are done."""
    app_url = settings.database_url.get_secret_value() if settings.database_url else None
    today = datetime.now(UTC).date()
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
    tenants = dataclasses.asdict(report)
    output.document({"control": tenants.pop("control"), "tenants": tenants})
    output.lines([f"control schema at version {report.control}"])
    for word, names in (("migrated", report.migrated), ("already there", report.current)):
        output.lines([f"{len(names)} tenants {word}"])
    for failed in report.failed:
        output.say(f"zaptik: tenant {failed['tenant']} was not migrated: {failed['error']}")
    return 1 if report.failed else 0


def _tell_progress(output: Output, done: int, total: int) -> None:
    """Say how far it is, on the way of many."""
    if done % _TOLD_EVERY == 0 and done < total:
        output.say(f"zaptik: {done} of {total} tenants")


def generate_keys(asked: argparse.Namespace, _settings: Settings, output: Output) -> int:
    """Make a keyring of one fresh key, in a file, or on standard output where none is named."""
    if asked.into is None:
        keyring = new_keyring()
        sys.stdout.write(format_keyring(keyring))
        output.say(
            f"zaptik: key {keyring.primary}; keep this text apart from the database, and keep a copy of it"
        )
        return 0
    key_id = generate_keyring(asked.into)
    output.document({"key_id": key_id, "file": str(asked.into)})
    output.lines([f"key {key_id} in {asked.into}: keep it apart from the database, and keep a copy of it"])
    return 0
