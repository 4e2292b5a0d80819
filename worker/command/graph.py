"""`graph export` and `surface`: what is kept, and what is read to make it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from jobs.errors import FileNotWritten, WrongArguments
from jobs.graph import encode_line
from jobs.surface import Table, read_surface
from worker.command.database import ask_as_app
from worker.command.output import Output, format_time
from worker.postgres import reading, tenants
from worker.postgres.connection import Connection
from worker.postgres.reading import GraphHead
from worker.settings import Settings


def export(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Write a revision line by line: a head, its nodes, its edges; to a file whole or not at all."""
    if output.as_json and asked.file is None:
        raise WrongArguments("with --json name a file, -o FILE: standard output is for the document.")

    async def write(connection: Connection) -> GraphHead:
        with _opened(asked.file) as out:
            head: GraphHead | None = None
            async for found, line in _stream_lines(connection, asked.name, asked.revision):
                head = found
                out.write(line + b"\n")
        assert head is not None
        return head

    head = ask_as_app(settings, write)
    described = {"tenant": asked.name, "revision": head.revision, "nodes": head.nodes, "edges": head.edges}
    output.document({**described, "digest": head.digest, "file": str(asked.file)})
    if asked.file is not None:
        output.lines(
            [
                f"revision {head.revision} of {asked.name}: {head.nodes} nodes, {head.edges} edges in {asked.file}"
            ]
        )
    return 0


def surface(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show every table and field that is ever asked for, and what follows from them for one instance."""
    found = read_surface().with_values(settings.property_names)
    document: dict[str, Any] = {
        "version": found.version,
        "tables": [_describe(table) for table in found.tables.values()],
    }
    if found.discovery:
        document["discovered"] = [dataclasses.asdict(found.discovery)]
    output.document(document)
    for table in found.tables.values():
        output.lines(
            [
                f"{table.name} ({table.domain}; role {table.role})",
                f"  {table.why}",
                f"  {', '.join(_name_fields(table))}",
                *(f"  asked only whether empty: {', '.join(columns)}" for columns in table.flags.values()),
                *([f"  value only of: {', '.join(table.values)}"] if table.values else []),
            ]
        )
    if found.discovery:
        rule = found.discovery
        output.lines([f"the tables in {rule.field} of {rule.named_in} ({rule.domain})", f"  {rule.why}"])
    return 0


async def _stream_lines(
    connection: Connection, name: str, revision: int | None
) -> AsyncIterator[tuple[GraphHead, bytes]]:
    tenant = await tenants.find_tenant(connection, name)
    async with reading.at_one_moment(connection, tenant):
        head = await reading.read_head(connection, tenant, revision)
        yield head, _encode_head(name, head)
        async for node in reading.stream_nodes(connection, tenant, head.revision):
            yield head, encode_line(node)
        async for edge in reading.stream_edges(connection, tenant, head.revision):
            yield head, encode_line(edge)


def _encode_head(tenant: str, head: GraphHead) -> bytes:
    return msgspec.json.encode(
        {
            "type": "graph",
            "tenant": tenant,
            "revision": head.revision,
            "as_of": format_time(head.as_of),
            "tables": dict(sorted(head.tables.items())),
            "nodes": head.nodes,
            "edges": head.edges,
            "digest": head.digest,
        }
    )


@contextmanager
def _opened(file: Path | None) -> Iterator[IO[bytes]]:
    """Open standard output, or a file for its owner alone that takes its name only when it is whole.

    What is no regular file, a pipe say, is written to as it is.
    """
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if file.exists() and not file.is_file():
            with file.open("wb") as out:
                yield out
            return
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.", delete=False) as beside:
            try:
                yield beside
                beside.flush()
                Path(beside.name).replace(file)
            except BaseException:
                Path(beside.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise FileNotWritten(f"{file} cannot be written: {error.strerror}.") from None


def _describe(table: Table) -> dict[str, Any]:
    described: dict[str, Any] = {
        "domain": table.domain,
        "table": table.name,
        "fields": _name_fields(table),
        "filter": table.filter,
        "why": table.why,
        "role": table.role,
        "plugin": table.plugin,
    }
    if table.flags:
        described["flags"] = {flag: list(columns) for flag, columns in table.flags.items()}
    if table.values:
        described["values"] = list(table.values)
    return described


def _name_fields(table: Table) -> list[str]:
    """Name every field that is ever read of a table; a value is read of some records alone."""
    return [*table.asked, *(["value"] if table.values else [])]
