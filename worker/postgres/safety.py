"""A process refuses to start on a database that does not hold the tenants' boundary, and says what is open."""

from __future__ import annotations

from jobs.errors import DatabaseUnsafe, NotMigrated
from schema import latest_version
from worker.postgres.connection import Connection, fetch_row, fetch_rows
from worker.postgres.provision import read_version


async def check_database(connection: Connection) -> None:
    """Raise DatabaseUnsafe or NotMigrated unless the connected role and the schema are what they must be."""
    role = await fetch_row(connection, "control", "read_unsafe_rights")
    assert role is not None
    if role["rolname"] != "zaptik_app":
        raise DatabaseUnsafe(
            f"Connected as {role['rolname']}: set ZAPTIK_DATABASE_URL to log in as zaptik_app."
        )
    if role["unsafe"]:
        raise DatabaseUnsafe(
            f"zaptik_app is {', and '.join(role['unsafe'])}: take that away, or run `zaptik migrate` as an "
            "administrator, which sets its attributes right."
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
