"""A process refuses to start on a database that does not hold the tenants' boundary, and says what is open."""

from __future__ import annotations

import psycopg

from jobs.errors import DatabaseUnsafe, NotMigrated
from schema import latest_version
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows
from worker.postgres.guards import (
    CONTROL,
    Deviation,
    describe_deviations,
    find_differing,
    read_deviation,
)
from worker.postgres.provision import read_version

_MOST_READ = 5


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
    # Last: what is compared is what this release's migrations make.
    if deviations := await read_deviations(connection):
        raise DatabaseUnsafe(
            f"What holds the tenants' boundary is not what `zaptik migrate` made: {describe_deviations(deviations)}. "
            "Find out who changed it, and run `zaptik migrate` as an administrator."
        )


async def read_deviations(connection: Connection) -> list[Deviation]:
    """Compare `control`, the roles, and the schemas of tenants that are of this release; the app may.

    Of tenants the first few are given: it is a refusal already, and to read one whole takes longer the more there are.
    """
    control = await read_deviation(connection, CONTROL)
    found = [control] if control else []
    for place in await find_differing(connection):
        if len(found) > _MOST_READ:
            break
        # Asked first: while `migrate` goes on, every tenant differs that it has not come to.
        if await _is_of_this_release(connection, place):
            found += [one for one in [await read_deviation(connection, place)] if one]
    return found


async def _is_of_this_release(connection: Connection, tenant_schema: str) -> bool:
    """Say whether a tenant's schema is one that this process works on; unless it says so itself, it counts as one."""
    try:
        async with as_tenant(connection, tenant_schema):
            version = await read_version(connection, "tenant", tenant_schema)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return version == latest_version("tenant")
