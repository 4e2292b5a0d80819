"""Tenants: adding one, finding one, its state, and its sealed credentials."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from jobs.errors import UnknownTenant, UsageFailure
from jobs.events import GRAPH_READ, TENANT_ADDED, Event
from jobs.leaving import TenantLeaves
from jobs.names import is_tenant_name, schema_name
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value, in_tenant_rows
from worker.postgres.provision import provision_schema

BY_A_PERSON = "by a person"
"""Why a tenant is paused that somebody paused."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer's instance, as the control schema knows it."""

    tenant_id: UUID
    name: str
    schema_name: str
    url: str
    every_seconds: int
    state: str
    state_reason: str | None


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """A tenant's sealed credentials and the wrapped data key that opens them."""

    version: int
    envelope: bytes
    key_id: str
    wrapped_data_key: bytes


class TenantExists(UsageFailure):
    """A tenant of that name is there, with other settings."""

    code = "tenant_exists"


async def add_tenant(connection: Connection, name: str, *, url: str, every_seconds: int) -> Tenant:
    """Provision a tenant in one transaction, as an administrator; the same again changes nothing.

    Raises TenantExists when the name is taken with another URL or cadence.
    """
    tenant_schema = schema_name(name)
    async with connection.transaction():
        # The role and schema first, as the administrator; the row as the owner, whom row security binds.
        await provision_schema(connection, tenant_schema)
        await connection.execute("SET LOCAL ROLE zaptik_owner")
        added = await fetch_value(
            connection, "control", "add_tenant",
            name=name, schema_name=tenant_schema, url=url, every_seconds=every_seconds,
        )  # fmt: skip
        if added is not None:
            event = Event(TENANT_ADDED, {"every_seconds": every_seconds}, tenant=str(added))
            await insert_events(connection, [event])
        tenant = await find_tenant(connection, name)
        if added is None and (tenant.url, tenant.every_seconds) != (url, every_seconds):
            raise TenantExists(
                f"There is a tenant {name} already, at {tenant.url} every {tenant.every_seconds} s: nothing was "
                "changed, and no command of this release changes them. Choose another name."
            )
    return tenant


async def find_tenant(connection: Connection, name: str) -> Tenant:
    """Find a tenant by name, or raise UnknownTenant."""
    row = await fetch_row(connection, "control", "find_tenant", tenant=name) if is_tenant_name(name) else None
    if row is None:
        raise UnknownTenant(
            f"There is no tenant {name!a}: `zaptik tenant list` names them, `zaptik tenant add` adds one."
        )
    return Tenant(**row)


def refuse_leaving(tenant: Tenant) -> None:
    """Raise TenantLeaves where a tenant's deletion was asked for: nothing is done for it any more."""
    _refuse_leaving(tenant.name, tenant.state)


async def change_state(connection: Connection, tenant_id: UUID, state: str, *, reason: str | None) -> None:
    """Make a tenant `active`, due at once, or hold it as `paused` with a reason."""
    async with in_tenant_rows(connection, tenant_id):
        await fetch_rows(
            connection, "control", "change_tenant_state", tenant_id=tenant_id, state=state, reason=reason
        )


async def read_data_key(connection: Connection, tenant_id: UUID) -> bytes | None:
    """Give a tenant's wrapped data key, None before its first credentials. In the tenant's rows."""
    row = await fetch_row(connection, "control", "read_data_key", tenant_id=tenant_id)
    return row["wrapped"] if row else None


async def next_credential_version(connection: Connection, tenant_id: UUID) -> int:
    """Give the version that the next credentials will have. In the tenant's rows."""
    return int(await fetch_value(connection, "control", "next_credential_version", tenant_id=tenant_id))


async def store_credentials(connection: Connection, tenant_id: UUID, stored: StoredCredentials) -> bool:
    """Keep sealed credentials under a new version and let the tenant run. In the tenant's rows.

    False where a person paused it, which new credentials do not end. Raises TenantLeaves where its deletion was asked
    for; until the transaction ends nobody asks for it.
    """
    row = await fetch_row(connection, "control", "hold_tenant_state", tenant_id=tenant_id)
    if row is not None:
        _refuse_leaving(row["name"], row["state"])
    await fetch_rows(
        connection, "control", "store_data_key",
        tenant_id=tenant_id, key_id=stored.key_id, wrapped=stored.wrapped_data_key,
    )  # fmt: skip
    await fetch_rows(
        connection, "control", "store_credential",
        tenant_id=tenant_id, version=stored.version, envelope=stored.envelope,
    )  # fmt: skip
    let_run = await fetch_rows(
        connection, "control", "let_run_with_credentials", tenant_id=tenant_id, by_a_person=BY_A_PERSON
    )
    return bool(let_run)


async def read_credentials(connection: Connection, tenant_id: UUID) -> StoredCredentials | None:
    """Give a tenant's newest sealed credentials, or None."""
    async with in_tenant_rows(connection, tenant_id):
        row = await fetch_row(connection, "control", "read_credential", tenant_id=tenant_id)
    return StoredCredentials(row["version"], row["envelope"], row["key_id"], row["wrapped"]) if row else None


async def read_key_ids(connection: Connection) -> set[str]:
    """Give the ids of the deployment keys that stored data keys are wrapped by."""
    return {row["keys_in_use"] for row in await fetch_rows(connection, "control", "keys_in_use")}


async def note_reading(
    connection: Connection, tenant: Tenant, command: str, *, revision: int | None, since: int | None = None
) -> None:
    """Write the audit event of a person's look at a tenant's graph, before it is read."""
    fields = {"command": command, "revision": revision, "since": since}
    async with in_tenant_rows(connection, tenant.tenant_id):
        await insert_events(connection, [Event(GRAPH_READ, fields, tenant=str(tenant.tenant_id))])


async def insert_events(connection: Connection, events: Iterable[Event]) -> None:
    """Write the audit events of acts outside a run, in the transaction of the act."""
    for event in events:
        await fetch_rows(
            connection, "control", "insert_event", action=event.kind.name, tenant_id=event.tenant, run=event.run,
            detail=json.dumps(dict(event.fields)),
        )  # fmt: skip


def _refuse_leaving(name: str, state: str) -> None:
    if state == "offboarding":
        raise TenantLeaves(
            f"{name} leaves: its deletion was asked for, and nothing is done for it any more. `zaptik tenant list` "
            f"shows by when; `zaptik tenant offboard {name} --cancel` calls it off."
        )
