"""Bring the control schema and the tenants' schemas to the version this code needs.

Run by an administrator. Roles and revokes are asserted every time and read back, since a revoke by one who may
not is only a notice. Migrations run as `zaptik_owner`, each in a transaction of its own with bounds on how
long it may wait and run; an advisory lock makes a second `migrate` wait for the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import schema
from jobs.errors import DatabaseUnsafe, Failure
from jobs.events import MIGRATED
from jobs.names import reader_role
from worker.postgres.connection import Connection, compose_text, fetch_rows, fetch_value

_LOCK = 0x7A617074  # "zapt"
_LOCK_SECONDS = 60
_MONTHS_AHEAD = 24
_BOUNDS = "SET LOCAL lock_timeout = '10s'", "SET LOCAL statement_timeout = '15min'"


@dataclass(slots=True)
class MigrationReport:
    """What `migrate` did: the control schema's version, tenants brought up, tenants already there, failures."""

    control: int = 0
    migrated: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)


async def migrate(connection: Connection, *, app_url: str | None, today: date) -> MigrationReport:
    """Migrate everything; a tenant that fails is told of and does not stand in the way of the others.

    `app_url` is the app's URL where it is known: a role created here gets the password it holds.
    """
    report = MigrationReport()
    await _run(connection, f"SET lock_timeout = '{_LOCK_SECONDS}s'")  # any session can hold an advisory lock
    await _run(connection, f"SELECT pg_advisory_lock({_LOCK})")
    try:
        await _assert_roles(connection, app_url=app_url)
        before = await _read_version_as_owner(connection, "control", None)
        report.control = await _migrate_area(connection, "control", None)
        await _make_audit_partitions(connection, today)
        if report.control != before:
            await _record_migrated(connection, "control", report.control)
        for tenant in await fetch_rows(connection, "control", "list_schemas"):
            await _migrate_tenant(connection, tenant["name"], tenant["schema_name"], report)
    finally:
        await _run(connection, f"SELECT pg_advisory_unlock({_LOCK})")
    return report


async def provision_schema(connection: Connection, tenant_schema: str) -> int:
    """Make or mend a tenant's role and schema in the surrounding transaction; gives the schema's version.

    Raises DatabaseUnsafe where a role of the readers' name is somebody else's.
    """
    await lock_roles(connection)
    await _refuse_foreign_role(connection, reader_role(tenant_schema))
    await _run(connection, schema.read_script("control", "provision"), within=tenant_schema)
    return await _migrate_area(connection, "tenant", tenant_schema)


async def lock_roles(connection: Connection) -> None:
    """Be the only one who changes roles and grants until the transaction's end.

    All tenants' grants change the same few rows of the catalogue, which does not wait but fails ("tuple
    concurrently updated").
    """
    await _run(connection, f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
    await _run(connection, f"SELECT pg_advisory_xact_lock({_LOCK})")


async def read_version(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    """Give the version that a schema is at, 0 where there is none."""
    name = tenant_schema or "control"
    table = await connection.execute("SELECT to_regclass(%s)", [f"{name}.schema_version"], binary=True)
    if next(iter((await table.fetchone() or {}).values())) is None:
        return 0
    query = "read_control_version" if area == "control" else "read_schema_version"
    return await fetch_value(connection, area, query, within=tenant_schema) or 0


async def _migrate_tenant(
    connection: Connection, name: str, tenant_schema: str, report: MigrationReport
) -> None:
    try:
        before = await _read_version_as_owner(connection, "tenant", tenant_schema)
        async with connection.transaction():
            version = await provision_schema(connection, tenant_schema)
            if version != before:
                await _record_migrated(connection, tenant_schema, version)
    except Exception as error:  # noqa: BLE001  one tenant's failure is told and not in the way of others
        report.failed.append({"tenant": name, "error": _describe_failure(error)})
    else:
        (report.current if before == schema.latest_version("tenant") else report.migrated).append(name)


async def _read_version_as_owner(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    async with connection.transaction():
        await _run(connection, "SET LOCAL ROLE zaptik_owner")
        return await read_version(connection, area, tenant_schema)


async def _record_migrated(connection: Connection, name: str, version: int) -> None:
    """Add the audit event, once the trail has its partitions."""
    async with connection.transaction():
        await _run(connection, "SET LOCAL ROLE zaptik_owner")
        await fetch_rows(
            connection, "control", "insert_event", action=MIGRATED.name, tenant_id=None, run=None,
            detail=json.dumps({"schema": name, "version": version}),
        )  # fmt: skip
        await _run(connection, "SET LOCAL ROLE NONE")  # an enclosing transaction goes on as the administrator


async def _migrate_area(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    version = 0
    for migration in schema.read_migrations(area):
        async with connection.transaction():
            await _run(connection, "SET LOCAL ROLE zaptik_owner")
            version = await read_version(connection, area, tenant_schema)
            if migration.version > version:
                for bound in _BOUNDS:
                    await _run(connection, bound)
                await _run(connection, migration.sql, within=tenant_schema)
                await _record_version(connection, tenant_schema or "control", migration)
                version = migration.version
            # An enclosing transaction goes on as the administrator.
            await _run(connection, "SET LOCAL ROLE NONE")
    return version


async def _record_version(connection: Connection, name: str, migration: schema.Migration) -> None:
    table = sql.Identifier(name, "schema_version")
    query = sql.SQL("INSERT INTO {} (version, name) VALUES (%s, %s)").format(table)
    await connection.execute(query, [migration.version, migration.name], binary=True)


async def _assert_roles(connection: Connection, *, app_url: str | None) -> None:
    await _refuse_second_deployment(connection)
    exists = await connection.execute("SELECT to_regrole('zaptik_app') IS NOT NULL AS there", binary=True)
    is_new = not (await exists.fetchone() or {})["there"]
    async with connection.transaction():
        await _run(connection, schema.read_script("control", "roles"))
        # Not again for one that is there: a stale URL would lock the running fleet out.
        if is_new and app_url and (password := conninfo_to_dict(app_url).get("password")):
            # The verifier is made here, so that the server's log never holds the password.
            verifier = connection.pgconn.encrypt_password(
                str(password).encode(), b"zaptik_app", b"scram-sha-256"
            )
            await connection.execute(
                sql.SQL("ALTER ROLE zaptik_app PASSWORD {}").format(sql.Literal(verifier.decode()))
            )
    if doors := await fetch_rows(connection, "control", "read_open_doors"):
        names = ", ".join(row["door"] for row in doors)
        raise DatabaseUnsafe(
            f"PUBLIC still has privileges that would open a way out of a tenant's transaction: {names}. Run "
            "`zaptik migrate` as a role that may revoke them."
        )


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


async def _refuse_foreign_role(connection: Connection, role: str) -> None:
    """Refuse a role whose members we did not grant: they would read the tenant."""
    if await fetch_rows(connection, "control", "read_foreign_role", role=role):
        raise DatabaseUnsafe(
            f"There is a role {role} already, which `zaptik` did not make: rename it (ALTER ROLE {role} RENAME TO "
            "...), since its members would read the tenant of that name."
        )


async def _make_audit_partitions(connection: Connection, today: date) -> None:
    async with connection.transaction():
        await _run(connection, "SET LOCAL ROLE zaptik_owner")
        for ahead in range(_MONTHS_AHEAD):
            year, month = divmod(today.year * 12 + today.month - 1 + ahead, 12)
            bound = f"{year:04d}-{month + 1:02d}"
            await connection.execute("SELECT control.make_audit_partition(%s)", [bound], binary=True)


async def _run(connection: Connection, text: str, *, within: str | None = None) -> None:
    """Run our own script, which may hold many statements and so goes by the simple protocol."""
    await connection.execute(compose_text(text, within=within))


def _describe_failure(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return error.message if isinstance(error, Failure) else f"{type(error).__name__} {state or ''}".strip()
