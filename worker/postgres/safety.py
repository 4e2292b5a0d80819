"""A process refuses to start on a database that does not hold the tenants' boundary, and says what is open."""

from __future__ import annotations

from collections.abc import Collection

import psycopg

from jobs.errors import DatabaseUnsafe, NotMigrated
from jobs.gaps import describe_gaps
from schema import latest_version
from worker.postgres.connection import Connection, as_tenant, fetch_row
from worker.postgres.guards import (
    CONTROL,
    Deviation,
    describe_deviations,
    find_differing,
    read_deviation,
    read_open_gaps,
)
from worker.postgres.provision import read_version

_MOST_READ = 5


async def check_database(connection: Connection, *, accepted_gaps: Collection[str] = ()) -> list[str]:
    """Raise DatabaseUnsafe or NotMigrated unless the connected role and the schema are what they must be.

    Gives the gaps that are open and accepted, by their names in `jobs.gaps`.
    """
    role = await fetch_row(connection, "control", "read_unsafe_rights")
    assert role is not None
    # Asked first: as another role all that follows would find something else than it looks for.
    if role["rolname"] != "zaptik_app":
        raise DatabaseUnsafe(
            f"Connected as {role['rolname']}: set ZAPTIK_DATABASE_URL to log in as zaptik_app."
        )
    if role["unsafe"]:
        raise DatabaseUnsafe(
            f"zaptik_app is {', and '.join(role['unsafe'])}: take that away, or run `zaptik migrate` as an "
            "administrator, which sets its attributes right."
        )
    doors = await read_open_gaps(connection)
    if wrong := {gap: doors[gap] for gap in doors if gap not in accepted_gaps}:
        raise DatabaseUnsafe(
            f"What `zaptik migrate` closes is open. What each leaves open: {describe_gaps(wrong)}. Run `zaptik "
            "migrate` as an administrator. Where the server does not permit it, ZAPTIK_ACCEPTED_GAPS names what you "
            "accept."
        )
    version, needed = await read_version(connection, "control", None), latest_version("control")
    if version != needed:
        raise NotMigrated(
            f"The control schema is at version {version} and this release needs {needed}: run `zaptik migrate` "
            "with ZAPTIK_ADMIN_DATABASE_URL set."
        )
    # Last: what is compared is what this release's migrations make.
    if deviations := await read_deviations(connection, accepted_gaps=accepted_gaps):
        raise DatabaseUnsafe(
            f"What holds the tenants' boundary is not what `zaptik migrate` made: {describe_deviations(deviations)}. "
            "Find out who changed it, and run `zaptik migrate` as an administrator."
        )
    return sorted(doors)


async def read_deviations(connection: Connection, *, accepted_gaps: Collection[str] = ()) -> list[Deviation]:
    """Compare `control`, the roles, and the schemas of tenants that are of this release; the app may.

    Of tenants the first few are given: it is a refusal already, and to read one whole takes longer the more there are.
    """
    control = await read_deviation(connection, CONTROL, accepted=accepted_gaps)
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
    # A reader's role without its tenant's cannot be asked either, and may have rights in `control` all the same.
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        return True
    return version == latest_version("tenant")
