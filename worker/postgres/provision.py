"""Make or mend one tenant's roles and schema in the surrounding transaction, and bring a schema to a version.

As an administrator. A tenant's transaction holds that tenant's lock, so that who makes, mends or migrates the same one
waits. What changes rows of the catalogue that all tenants share comes last, under one lock for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from psycopg import errors, sql

import schema
from jobs.errors import DatabaseUnsafe
from jobs.names import reader_role
from worker.postgres.connection import Connection, compose_text, fetch_rows, fetch_value
from worker.postgres.guards import CONTROL
from worker.postgres.mending import mend_version_table

_LOCK = 0x7A617074  # "zapt"
LOCK_SECONDS = 60
_VERSION_TABLE = """SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = %s AND c.relname = 'schema_version'"""
_BEGIN = "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '15min'; SET LOCAL ROLE zaptik_owner"


async def provision_schema(connection: Connection, tenant_schema: str) -> int:
    """Make or mend a tenant's roles and schema, with all they need; gives the schema's version.

    Raises DatabaseUnsafe where a role or a schema of the tenant's names is somebody else's.
    """
    version = await mend_schema(connection, tenant_schema)
    await grant_in_control(connection, [tenant_schema])
    return version


async def mend_schema(connection: Connection, tenant_schema: str) -> int:
    """Do the same but for what the roles may do in `control`, which those of all tenants are granted at once."""
    await lock_tenant(connection, tenant_schema)
    await _refuse_foreign(connection, tenant_schema)
    await run_script(connection, schema.read_script("control", "provision"), within=tenant_schema)
    return await migrate_area(connection, "tenant", tenant_schema)


async def grant_in_control(connection: Connection, tenant_schemas: Sequence[str]) -> None:
    """Let the roles of tenants do in `control` what they must; in a transaction, whose end others wait for."""
    if not tenant_schemas:
        return
    await lock_roles(connection)
    roles = {
        "{tenants}": ", ".join(sql.Identifier(name).as_string() for name in tenant_schemas),
        "{readers}": ", ".join(sql.Identifier(reader_role(name)).as_string() for name in tenant_schemas),
    }
    text = schema.read_script("control", "grants")
    for place, names in roles.items():
        text = text.replace(place, names)
    await run_script(connection, text)


async def lock_roles(connection: Connection) -> None:
    """Be the only one who changes what all roles share until the transaction's end.

    All tenants' grants in `control` change the same few rows of the catalogue, which does not wait but fails ("tuple
    concurrently updated").
    """
    await run_script(
        connection, f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SELECT pg_advisory_xact_lock({_LOCK})"
    )


async def lock_tenant(connection: Connection, tenant_schema: str) -> None:
    """Be the only one who makes, mends or migrates a tenant until the transaction's end."""
    await run_script(connection, f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    # Two names with the same hash wait for each other, which does no harm.
    await connection.execute(
        "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, tenant_schema], binary=True
    )


async def read_version(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    """Give the version that a schema is at, 0 where there is none."""
    name = tenant_schema or "control"
    table = await connection.execute("SELECT to_regclass(%s)", [f"{name}.schema_version"], binary=True)
    if next(iter((await table.fetchone() or {}).values())) is None:
        return 0
    query = "read_control_version" if area == "control" else "read_schema_version"
    return await fetch_value(connection, area, query, within=tenant_schema) or 0


async def read_version_as_owner(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    """Give the version that a schema is at, as an administrator, whom row security may bind.

    Where its guards let the owner see none, they are mended first: at version 0 every migration would run again.
    """
    place = tenant_schema or CONTROL
    there = await connection.execute(_VERSION_TABLE, [place], binary=True)
    if await there.fetchone() is None:
        return 0
    # What is refused here is mended below, and asked once more.
    with suppress(errors.InsufficientPrivilege):
        if version := await _read_as_owner(connection, area, tenant_schema):
            return version
    await mend_version_table(connection, place)
    return await _read_as_owner(connection, area, tenant_schema)


async def _read_as_owner(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    async with connection.transaction():
        await run_script(connection, "SET LOCAL ROLE zaptik_owner")
        version = await read_version(connection, area, tenant_schema)
        await run_script(connection, "SET LOCAL ROLE NONE")
    return version


async def migrate_area(connection: Connection, area: schema.Area, tenant_schema: str | None) -> int:
    """Run the migrations that a schema lacks, each in a transaction; gives the version it is at then."""
    version = await read_version_as_owner(connection, area, tenant_schema)
    for migration in schema.read_migrations(area):
        if migration.version <= version:
            continue
        async with connection.transaction():
            if area == "control":
                await lock_roles(connection)  # it may grant in `control`
            await run_script(connection, _BEGIN)
            await run_script(connection, migration.sql, within=tenant_schema)
            await _record_version(connection, tenant_schema or "control", migration)
            version = migration.version
            # An enclosing transaction goes on as the administrator.
            await run_script(connection, "SET LOCAL ROLE NONE")
    return version


async def run_script(connection: Connection, text: str, *, within: str | None = None) -> None:
    """Run our own script, which may hold many statements and so goes by the simple protocol."""
    await connection.execute(compose_text(text, within=within))


async def _record_version(connection: Connection, name: str, migration: schema.Migration) -> None:
    table = sql.Identifier(name, "schema_version")
    query = sql.SQL("INSERT INTO {} (version, name) VALUES (%s, %s)").format(table)
    await connection.execute(query, [migration.version, migration.name], binary=True)


async def _refuse_foreign(connection: Connection, tenant_schema: str) -> None:
    """Refuse roles and a schema that we did not make: their members and owner would reach the tenant."""
    reader = reader_role(tenant_schema)
    for found in await fetch_rows(
        connection, "control", "read_foreign_objects", schema_name=tenant_schema, role=reader
    ):
        kind, name = found["kind"], found["name"]
        raise DatabaseUnsafe(
            f"There is a {kind} {name} already, which `zaptik` did not make: rename it (ALTER {kind.upper()} {name} "
            "RENAME TO ...), since whoever holds it would reach the tenant of that name."
        )
