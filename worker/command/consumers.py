"""`consumer`: which logins read which tenant's graph by SQL, and which ask for any tenant's runs."""

from __future__ import annotations

import argparse

from jobs.errors import WrongArguments
from worker.command.database import ask_as_administrator
from worker.command.output import Output, align
from worker.postgres import consumers
from worker.postgres.connection import Connection
from worker.settings import Settings


def grant(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let a login read a tenant, or be a requester."""
    tenant = _choose_tenant(asked)

    async def give(connection: Connection) -> tuple[bool, list[str]]:
        is_new = await consumers.grant_consumer(connection, asked.login, tenant=tenant)
        held = await consumers.list_consumers(connection)
        return is_new, [one.tenant for one in held if one.login == asked.login and one.tenant]

    is_new, read = ask_as_administrator(settings, give)
    if len(read) > 1:
        output.say(
            f"zaptik: {asked.login} reads {len(read)} tenants, {', '.join(read)}: one statement of its can join "
            "their graphs. Give each tenant a login of its own where that must not be."
        )
    output.document(_describe(asked.login, tenant, is_changed=is_new))
    right = "may ask for runs of any tenant" if tenant is None else f"reads the graph of {tenant}"
    output.lines([f"{asked.login} {right}" if is_new else f"{asked.login} {right} already"])
    return 0


def revoke(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Take it away again."""
    tenant = _choose_tenant(asked)
    is_gone = ask_as_administrator(
        settings, lambda connection: consumers.revoke_consumer(connection, asked.login, tenant=tenant)
    )
    output.document(_describe(asked.login, tenant, is_changed=is_gone))
    what = "is no requester" if tenant is None else f"does not read the graph of {tenant}"
    output.lines([f"{asked.login} {what}{' any more' if is_gone else ', and did not'}"])
    return 0


def list_all(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List who reads what."""
    found = ask_as_administrator(settings, consumers.list_consumers)
    rows = [{"login": one.login, "tenant": one.tenant, "requester": one.requester} for one in found]
    output.document({"consumers": rows})
    output.lines(align(("login", "reads"), ([one.login, one.tenant or "requester"] for one in found)))
    return 0


def _choose_tenant(asked: argparse.Namespace) -> str | None:
    if (asked.name is None) != asked.requester:
        raise WrongArguments(
            "name one tenant, or write --requester for the right to ask for any tenant's runs."
        )
    name: str | None = asked.name
    return name


def _describe(login: str, tenant: str | None, *, is_changed: bool) -> dict[str, object]:
    return {"login": login, "tenant": tenant, "requester": tenant is None, "changed": is_changed}
