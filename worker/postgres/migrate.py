"""Bring the control schema and the tenants' schemas to the version this code needs.

Run by an administrator. Roles and revokes are asserted every time and read back, since a revoke by one who may
not is only a notice. Migrations run as `zaptik_owner`, with bounds on how long each may wait and run. An advisory
lock makes a second `migrate` wait while the first is at the control schema; they share the tenants.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import schema
from jobs.errors import DatabaseUnsafe
from jobs.gaps import describe_gaps
from worker.postgres.audit import MONTHS_AHEAD
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.guards import CONTROL, describe_deviations, read_open_gaps, read_tenant_deviations
from worker.postgres.mending import mend
from worker.postgres.migrate_tenants import Opening, Progress, migrate_tenants, record_migrated
from worker.postgres.provision import (
    LOCK_SECONDS,
    lock_roles,
    migrate_area,
    read_version_as_owner,
    run_script,
)

_LOCK = 0x7A61706D  # "zapm"; another than who changes roles takes


@dataclass(slots=True)
class MigrationReport:
    """What `migrate` did: the control schema's version, tenants brought up, tenants already there, failures.

    `mended` are the statements that made guards what they must be, `gaps` the names of what is open and accepted.
    """

    control: int = 0
    migrated: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


async def migrate(
    connection: Connection, *, app_url: str | None, today: date, accepted_gaps: Collection[str] = (),
    opening: Opening | None = None, progress: Progress | None = None,
) -> MigrationReport:  # fmt: skip
    """Bring every schema to this release, and make what holds the boundary what it must be.

    `app_url` is the app's URL where it is known: a role created here gets the password it holds. `opening` opens
    further connections, so that tenants are migrated some at a time; `progress` is told how many of how many are done.
    A tenant that fails, or cannot be mended, is told of and not in the way of the others. Raises DatabaseUnsafe where
    `control` or the roles cannot be mended, but for the `accepted_gaps`, by their names in `jobs.gaps`.
    """
    report = MigrationReport()
    await _migrate_control(connection, report, app_url=app_url, today=today, accepted_gaps=accepted_gaps)
    await _migrate_tenants(connection, report, opening=opening, progress=progress)
    await _mend_tenants(connection, report)
    return report


async def make_control(connection: Connection, *, today: date) -> None:
    """Bring the roles and the control schema to this release and mend nothing, for who writes the guards down."""
    await _migrate_control(connection, MigrationReport(), app_url=None, today=today, mends=False)


async def _migrate_tenants(
    connection: Connection, report: MigrationReport, *, opening: Opening | None, progress: Progress | None
) -> None:
    for done in await migrate_tenants(connection, opening=opening, progress=progress):
        if done.outcome == "failed":
            report.failed.append({"tenant": done.name, "error": done.error})
        else:
            (report.migrated if done.outcome == "migrated" else report.current).append(done.name)


async def _mend_control(connection: Connection, *, accepted_gaps: Collection[str]) -> list[str]:
    async with connection.transaction():
        await lock_roles(connection)
        done, left = await mend(connection, CONTROL, accepted=accepted_gaps)
    if left is not None:
        raise DatabaseUnsafe(
            f"What holds the tenants' boundary could not be mended: {describe_deviations([left])}. Run `zaptik "
            "migrate` as a role that may, or undo it by hand."
        )
    return done


async def _mend_tenants(connection: Connection, report: MigrationReport) -> None:
    """Compare what is there with what a fresh schema has; tenants that are not at this release are left out.

    Where there is no such tenant and no schema, the rights of the roles that are left of one are taken away.
    """
    rows = await fetch_rows(connection, "control", "list_schemas")
    names = {row["schema_name"]: row["name"] for row in rows}
    untouched = {failure["tenant"] for failure in report.failed}
    for deviation in await read_tenant_deviations(connection):
        name = names.get(deviation.place)
        if name in untouched or (name is None and deviation.lacks):
            continue
        async with connection.transaction():
            await lock_roles(connection)
            done, left = await mend(connection, deviation.place)
        report.mended += done
        if left is not None:
            report.failed.append({"tenant": name or left.place, "error": describe_deviations([left])})


async def _migrate_control(
    connection: Connection, report: MigrationReport, *, app_url: str | None, today: date,
    accepted_gaps: Collection[str] = (), mends: bool = True,
) -> None:  # fmt: skip
    """Bring roles and the control schema to this release, one `migrate` at a time, and tell it in the report."""
    _check_encoding(connection)
    await run_script(connection, f"SET lock_timeout = '{LOCK_SECONDS}s'")  # any session can hold the lock
    # Of the session and not of a transaction: there are several inside, and the next `migrate` waits for them all.
    await run_script(connection, f"SELECT pg_advisory_lock({_LOCK})")
    try:
        await _assert_roles(connection, app_url=app_url)
        report.gaps = await _check_gaps(connection, accepted_gaps=accepted_gaps)
        before = await read_version_as_owner(connection, "control", None)
        report.control = await migrate_area(connection, "control", None)
        if mends:
            report.mended += await _mend_control(connection, accepted_gaps=accepted_gaps)
        await _make_audit_partitions(connection, today)
        if report.control != before:
            await record_migrated(connection, "control", report.control, tenant_id=None)
    finally:
        await run_script(connection, f"SELECT pg_advisory_unlock({_LOCK})")


def _check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every name, or in which text is but bytes (SQL_ASCII)."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseUnsafe(
            f"The database has the encoding {encoding} and must have UTF8: create it anew, with "
            "`createdb --encoding=UTF8 --template=template0`."
        )


async def _assert_roles(connection: Connection, *, app_url: str | None) -> None:
    await _refuse_second_deployment(connection)
    exists = await connection.execute("SELECT to_regrole('zaptik_app') IS NOT NULL AS there", binary=True)
    is_new = not (await exists.fetchone() or {})["there"]
    async with connection.transaction():
        await lock_roles(connection)
        await run_script(connection, schema.read_script("control", "roles"))
        # Not again for one that is there: a stale URL would lock the running fleet out.
        if is_new and app_url and (password := conninfo_to_dict(app_url).get("password")):
            # The verifier is made here, so that the server's log never holds the password.
            verifier = connection.pgconn.encrypt_password(
                str(password).encode(), b"zaptik_app", b"scram-sha-256"
            )
            await connection.execute(
                sql.SQL("ALTER ROLE zaptik_app PASSWORD {}").format(sql.Literal(verifier.decode()))
            )


async def _check_gaps(connection: Connection, *, accepted_gaps: Collection[str]) -> list[str]:
    """Give the gaps that are open and accepted; raises DatabaseUnsafe where one is not."""
    doors = await read_open_gaps(connection)
    if wrong := {gap: doors[gap] for gap in doors if gap not in accepted_gaps}:
        raise DatabaseUnsafe(
            f"The login of ZAPTIK_ADMIN_DATABASE_URL could not close what opens a way out of a tenant's transaction. "
            f"What each leaves open: {describe_gaps(wrong)}. Run `zaptik migrate` as a superuser; where the server "
            f"gives none, and you accept it, set ZAPTIK_ACCEPTED_GAPS={','.join(sorted(doors))} for every process and "
            "command (docs/how-to/managed-servers.md)."
        )
    return sorted(doors)


async def _refuse_second_deployment(connection: Connection) -> None:
    cursor = await connection.execute(
        """SELECT d.datname FROM pg_roles r JOIN pg_database d
             ON shobj_description(r.oid, 'pg_authid') = 'zaptik deployment in database ' || d.datname
           WHERE r.rolname = 'zaptik_owner' AND d.datname <> current_database()""",
        binary=True,
    )
    if other := await cursor.fetchone():
        raise DatabaseUnsafe(
            f"This PostgreSQL server already holds a deployment, in database {other['datname']}. Roles belong to "
            "a whole server, so two deployments would share them: give this one a server of its own."
        )


async def _make_audit_partitions(connection: Connection, today: date) -> None:
    async with connection.transaction():
        await run_script(connection, "SET LOCAL ROLE zaptik_owner")
        for ahead in range(MONTHS_AHEAD + 1):
            year, month = divmod(today.year * 12 + today.month - 1 + ahead, 12)
            bound = f"{year:04d}-{month + 1:02d}"
            await connection.execute("SELECT control.make_audit_partition(%s)", [bound], binary=True)
