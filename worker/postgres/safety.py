"""A process refuses to start on a database that does not hold the tenants' boundary, and says what is open."""

from __future__ import annotations

from jobs.errors import DatabaseUnsafe, NotMigrated
from schema import latest_version
from worker.postgres.connection import Connection, fetch_row, fetch_rows
from worker.postgres.migrate import read_version


async def check_database(connection: Connection) -> None:
    """Raise DatabaseUnsafe or NotMigrated unless the connected role and the schema are what they must be."""
    role = await fetch_row(connection, "control", "read_unsafe_attributes")
    assert role is not None
    if role["rolname"] != "zaptik_app":
        raise DatabaseUnsafe(
            f"Connected as {role['rolname']}: set ZAPTIK_DATABASE_URL to log in as zaptik_app."
        )
    unsafe = [
        word
        for word, holds in (
            ("a superuser", role["rolsuper"]),
            ("exempt from row security (BYPASSRLS)", role["rolbypassrls"]),
            ("inheriting the tenants' rights (INHERIT)", role["rolinherit"]),
            ("the owner of tables", role["owns_tables"]),
        )
        if holds
    ]
    if unsafe:
        raise DatabaseUnsafe(
            f"zaptik_app is {', and '.join(unsafe)}: run `zaptik migrate` as an administrator."
        )
    if doors := await fetch_rows(connection, "control", "read_open_doors"):
        raise DatabaseUnsafe(
            f"PUBLIC has privileges again that `zaptik migrate` takes away: {', '.join(row['door'] for row in doors)}. "
            "Run `zaptik migrate` as an administrator."
        )
    version, needed = await read_version(connection, "control", None), latest_version("control")
    if version != needed:
        raise NotMigrated(
            f"The control schema is at version {version} and this release needs {needed}: run `zaptik migrate` "
            "with ZAPTIK_ADMIN_DATABASE_URL set."
        )
