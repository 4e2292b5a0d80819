"""`tenant`: customers' instances."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any
from uuid import UUID

from jobs.events import TENANT_PAUSED, TENANT_RESUMED, Event
from jobs.names import check_tenant_name
from worker.command.database import ask_as_administrator, ask_as_app
from worker.command.output import Output, align, format_time
from worker.postgres import reading, tenants
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.offboarding import read_offboardings
from worker.postgres.tenants import Tenant
from worker.servicenow import check_instance_url
from worker.settings import Settings


def add(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Provision a tenant: its role, its schema, its row."""
    name = check_tenant_name(asked.name)
    url = check_instance_url(asked.url, allowed_hosts=settings.instance_hosts)
    tenant = ask_as_administrator(
        settings,
        lambda connection: tenants.add_tenant(connection, name, url=url, every_seconds=asked.every),
    )
    output.document(_describe(tenant))
    output.lines([f"{tenant.name} is there, schema {tenant.schema_name}, state {tenant.state}"])
    _say_next(tenant, output)
    return 0


def list_all(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List every tenant."""
    fleet, due = ask_as_app(settings, _read_fleet)
    names = ("tenant", "url", "state", "every_seconds", "schema", "tenant_id", "due_at")
    rows = [
        {
            **row,
            "schema": row["schema_name"],
            "tenant_id": str(row["tenant_id"]),
            "due_at": format_time(due.get(row["tenant_id"])),
        }
        for row in fleet
    ]
    output.document({"tenants": [{name: row[name] for name in names} for row in rows]})
    output.lines(align(names, ([row[name] for name in names] for row in rows)))
    return 0


async def _read_fleet(connection: Connection) -> tuple[list[dict[str, Any]], dict[UUID, datetime]]:
    """Give every tenant, and of those that leave by when they must be deleted."""
    fleet = await reading.read_fleet(connection)
    return fleet, {one.tenant_id: one.due_at for one in await read_offboardings(connection)}


def pause(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Hold a tenant until it is resumed; a live run ends its slice and waits."""
    return _change(asked.name, settings, output, state="paused")


def resume(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let a tenant run again, at once."""
    return _change(asked.name, settings, output, state="active")


def _change(name: str, settings: Settings, output: Output, *, state: str) -> int:
    async def change(connection: Connection) -> Tenant:
        tenant = await tenants.find_tenant(connection, name)
        tenants.refuse_leaving(tenant)
        kind = TENANT_RESUMED if state == "active" else TENANT_PAUSED
        reason = None if state == "active" else tenants.BY_A_PERSON
        has_credentials = await tenants.read_credentials(connection, tenant.tenant_id) is not None
        to = "awaiting_credentials" if state == "active" and not has_credentials else state
        async with in_tenant_rows(connection, tenant.tenant_id):
            await tenants.change_state(connection, tenant.tenant_id, to, reason=reason)
            event = Event(kind, {"reason": "person"}, tenant=str(tenant.tenant_id))
            await tenants.insert_events(connection, [event])
        return await tenants.find_tenant(connection, name)

    tenant = ask_as_app(settings, change)
    output.document(_describe(tenant))
    output.lines([f"{name} is {tenant.state}"])
    _say_next(tenant, output)
    return 0


def _say_next(tenant: Tenant, output: Output) -> None:
    if tenant.state == "awaiting_credentials":
        output.say(
            f"zaptik: next, `zaptik credential set {tenant.name} --client-id ID --client-secret-stdin`"
        )


def _describe(tenant: Tenant) -> dict[str, object]:
    return {
        "tenant": tenant.name,
        "url": tenant.url,
        "state": tenant.state,
        "every_seconds": tenant.every_seconds,
        "schema": tenant.schema_name,
        "tenant_id": str(tenant.tenant_id),
    }
