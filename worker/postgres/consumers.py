"""Consumers: the logins that read a tenant's graph by SQL, and those that ask for any tenant's runs.

A consumer is a member of `reader_NAME`, a requester of `zaptik_requester`; PostgreSQL's memberships are the only
list of them. Logins are made, and given passwords, by the administrator. What the roles may do is in
`docs/reference/sql.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from jobs.errors import DatabaseUnsafe, UsageFailure
from jobs.events import CONSUMER_GRANTED, CONSUMER_REVOKED, Event, EventKind
from jobs.names import reader_role
from worker.postgres.connection import Connection, fetch_row, fetch_rows
from worker.postgres.provision import lock_roles
from worker.postgres.tenants import Tenant, find_tenant, insert_events, refuse_leaving

REQUESTER = "zaptik_requester"
_INHERITED_FROM = 160_000  # from PostgreSQL 16 on a grant says whether it is inherited


class UnknownLogin(UsageFailure):
    """There is no login of that name in the database."""

    code = "unknown_login"


class UnfitLogin(UsageFailure):
    """A login with rights that would make a reader's bounds mean nothing."""

    code = "unfit_login"


@dataclass(frozen=True, slots=True)
class Consumer:
    """A login and the tenant that it reads, or a requester's, which has none."""

    login: str
    tenant: str | None
    requester: bool


async def grant_consumer(connection: Connection, login: str, *, tenant: str | None) -> bool:
    """Let a login read a tenant's graph, or without one be a requester; False when it could already.

    As an administrator. Raises UnknownLogin, UnfitLogin, UnknownTenant or TenantLeaves.
    """
    async with connection.transaction():
        await lock_roles(connection)
        found = await _find_as_owner(connection, tenant)
        if found is not None:
            refuse_leaving(found)
        unfit = await _read_unfit(connection, login)
        if unfit:
            raise UnfitLogin(
                f"{login!a} cannot be a consumer: it is {', and '.join(unfit)}. Make a login of its own for the "
                "service, with no more than LOGIN and a password."
            )
        is_new = not await _is_member(connection, login, tenant)
        # Also where it is a member already: one that was granted by hand may lack an option, or a right beside it.
        await _grant_role(connection, login, _role_of(found))
        for right in _RIGHTS:
            await _execute(connection, f"GRANT {right} TO {{login}}", login=login)
        if is_new:
            await _record(connection, CONSUMER_GRANTED, login, found)
    return is_new


async def revoke_consumer(connection: Connection, login: str, *, tenant: str | None) -> bool:
    """Take it away again, and with the last one the right to connect; False when it was not granted.

    As an administrator. Raises UnknownLogin or UnknownTenant, and DatabaseUnsafe when the login still has it.
    """
    async with connection.transaction():
        await lock_roles(connection)
        found = await _find_as_owner(connection, tenant)
        # For UnknownLogin alone: a login that has become unfit can lose what it has.
        await _read_unfit(connection, login)
        if not await _is_member(connection, login, tenant):
            return False
        await _execute(connection, "REVOKE {role} FROM {login}", login=login, role=_role_of(found))
        # Another's grant is not ours to revoke, and only a notice.
        if await _is_member(connection, login, tenant):
            raise DatabaseUnsafe(
                f"{login} is still a member of {_role_of(found)}: another role granted it, which must revoke it "
                "(pg_auth_members has the grantor)."
            )
        if not [one for one in await list_consumers(connection) if one.login == login]:
            for right in _RIGHTS:
                await _execute(connection, f"REVOKE {right} FROM {{login}}", login=login)
        await _record(connection, CONSUMER_REVOKED, login, found)
    return True


async def list_consumers(connection: Connection) -> list[Consumer]:
    """List who may read which tenant, and who are requesters. As an administrator."""
    return [Consumer(**row) for row in await fetch_rows(connection, "control", "list_consumers")]


# What a client's program needs beside the role: many set their parameters by a call of set_config.
_RIGHTS = (
    "CONNECT ON DATABASE {database}",
    "EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean)",
)


def _role_of(tenant: Tenant | None) -> str:
    return reader_role(tenant.schema_name) if tenant else REQUESTER


async def _find_as_owner(connection: Connection, tenant: str | None) -> Tenant | None:
    if tenant is None:
        return None
    await connection.execute("SET LOCAL ROLE zaptik_owner")
    found = await find_tenant(connection, tenant)
    await connection.execute("SET LOCAL ROLE NONE")
    return found


async def _read_unfit(connection: Connection, login: str) -> list[str]:
    row = await fetch_row(connection, "control", "read_login", login=login)
    if row is None:
        raise UnknownLogin(
            f"There is no login {login!a}: the administrator makes it, with CREATE ROLE ... LOGIN PASSWORD ..."
        )
    unfit: list[str] = row["unfit"]
    return unfit


async def _is_member(connection: Connection, login: str, tenant: str | None) -> bool:
    return Consumer(login, tenant, requester=tenant is None) in await list_consumers(connection)


async def _grant_role(connection: Connection, login: str, role: str) -> None:
    inherited = connection.info.server_version >= _INHERITED_FROM
    options = " WITH ADMIN FALSE, INHERIT TRUE, SET TRUE" if inherited else ""
    await _execute(connection, f"GRANT {{role}} TO {{login}}{options}", login=login, role=role)


async def _record(connection: Connection, kind: EventKind, login: str, tenant: Tenant | None) -> None:
    reference = str(tenant.tenant_id) if tenant else None
    await connection.execute("SET LOCAL ROLE zaptik_owner")
    await insert_events(
        connection, [Event(kind, {"login": login, "requester": tenant is None}, tenant=reference)]
    )
    await connection.execute("SET LOCAL ROLE NONE")


async def _execute(connection: Connection, text: str, *, login: str, role: str = REQUESTER) -> None:
    names = {"login": login, "role": role, "database": connection.info.dbname}
    await connection.execute(
        sql.SQL(text).format(**{name: sql.Identifier(value) for name, value in names.items()})
    )
