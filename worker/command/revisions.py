"""`revision`: what was published and what waits, and a person's word on the latter."""

from __future__ import annotations

import argparse
import os
import socket

from jobs.surface import read_surface
from worker.command.database import ask_as_app
from worker.command.documents import describe_revision
from worker.command.output import Output, align
from worker.postgres import quarantine, tenants
from worker.postgres.connection import Connection
from worker.postgres.publishing import Publication
from worker.settings import Settings


def list_all(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List a tenant's revisions, the newest first."""

    async def read(connection: Connection) -> list[dict[str, object]]:
        tenant = await tenants.find_tenant(connection, asked.name)
        return [describe_revision(row) for row in await quarantine.read_revisions(connection, tenant)]

    found = ask_as_app(settings, read)
    output.document({"revisions": found})
    columns = ("revision", "state", "as_of", "nodes", "edges", "added", "changed", "removed", "reason")
    output.lines(align(columns, ([row[name] for name in columns] for row in found)))
    return 0


def accept(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Publish a quarantined revision as it is."""

    async def publish(connection: Connection) -> Publication:
        return await quarantine.accept_revision(
            connection,
            await tenants.find_tenant(connection, asked.name),
            asked.revision,
            surface=read_surface(),
            worker=f"{socket.gethostname()}/{os.getpid()}/revision accept",
            lease_seconds=settings.lease_seconds,
        )

    done = ask_as_app(settings, publish)
    counts = {name: getattr(done, name) for name in ("nodes", "edges", "added", "changed", "removed")}
    output.document({"tenant": asked.name, "revision": done.revision, "state": "current", **counts})
    output.lines([f"revision {done.revision} of {asked.name} is in force, {done.removed} removed"])
    return 0


def reject(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Drop a quarantined revision; the one in force stays."""

    async def drop(connection: Connection) -> int:
        tenant = await tenants.find_tenant(connection, asked.name)
        return await quarantine.reject_revision(connection, tenant, asked.revision)

    number = ask_as_app(settings, drop)
    output.document({"tenant": asked.name, "revision": number, "state": "rejected"})
    output.lines([f"revision {number} of {asked.name} is rejected; the one in force stays"])
    return 0
