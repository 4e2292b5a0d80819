"""`graph export`: a revision of a tenant's graph in one of its forms, written as the database gives it."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from typing import Any

from jobs.errors import WrongArguments
from jobs.export.form import Form, Head, Lines
from jobs.export.graphml import Graphml
from jobs.export.webpage import SMOOTH_NODES, Webpage
from worker.command.database import ask_as_app
from worker.command.files import opened
from worker.command.output import Output, format_time
from worker.postgres import reading, tenants
from worker.postgres.comparing import stream_changes
from worker.postgres.connection import Connection
from worker.postgres.reading import GraphHead
from worker.postgres.tenants import Tenant
from worker.settings import Settings

FORMS: dict[str, Callable[[], Form]] = {"jsonl": Lines, "graphml": Graphml, "html": Webpage}
FORMS_WITH_CHANGES = frozenset({"html"})


def export(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Write a revision piece by piece; to a file whole or not at all."""
    if output.as_json and asked.file is None:
        raise WrongArguments("with --json name a file, -o FILE: standard output is for the document.")
    if asked.diff is not None and asked.format not in FORMS_WITH_CHANGES:
        raise WrongArguments("--diff goes with --format html; `zaptik graph diff` gives the changes as data.")

    async def write(connection: Connection) -> GraphHead:
        tenant = await tenants.find_tenant(connection, asked.name)
        await tenants.note_reading(
            connection, tenant, "graph export", revision=asked.revision, since=asked.diff
        )
        async with reading.at_one_moment(connection, tenant):
            head = await reading.read_head(connection, tenant, asked.revision)
            if asked.diff is not None:
                await reading.read_head(connection, tenant, asked.diff)
            with opened(asked.file) as out:
                form = FORMS[asked.format]()
                async for piece in stream_pieces(connection, tenant, head, form, asked.diff):
                    out.write(piece)
        return head

    head = ask_as_app(settings, write)
    if asked.format == "html" and head.nodes > SMOOTH_NODES:
        output.say(f"{head.nodes} nodes are many for one page: it will be slow beyond {SMOOTH_NODES}.")
    described = {"tenant": asked.name, "revision": head.revision, "nodes": head.nodes, "edges": head.edges}
    output.document({**described, "digest": head.digest, "file": str(asked.file)})
    if asked.file is not None:
        output.lines(
            [
                f"revision {head.revision} of {asked.name}: {head.nodes} nodes, {head.edges} edges in {asked.file}"
            ]
        )
    return 0


async def stream_pieces(
    connection: Connection, tenant: Tenant, head: GraphHead, form: Form, compared_with: int | None
) -> AsyncIterator[bytes]:
    """Give a revision in a form piece by piece; of a large one no more is held than a batch of rows. As the tenant."""
    nodes, edges = (
        await reading.read_attribute_names(connection, tenant, head.revision) if form.is_closed else ([], [])
    )
    yield form.begin(Head(_describe_head(tenant.name, head), nodes, edges, compared_with))
    async for node in reading.stream_nodes(connection, tenant, head.revision):
        yield form.node(node)
    if form.is_closed:
        async for node_id, state in reading.stream_missing(connection, tenant, head.revision):
            yield form.missing(node_id, state)
    async for edge in reading.stream_edges(connection, tenant, head.revision):
        yield form.edge(edge)
    if compared_with is not None:
        changes = stream_changes(connection, tenant, from_revision=compared_with, to_revision=head.revision)
        async for change in changes:
            yield form.change(change)
    yield form.end()


def _describe_head(tenant: str, head: GraphHead) -> dict[str, Any]:
    return {
        "type": "graph",
        "tenant": tenant,
        "revision": head.revision,
        "as_of": format_time(head.as_of),
        "tables": dict(sorted(head.tables.items())),
        "nodes": head.nodes,
        "edges": head.edges,
        "digest": head.digest,
    }
