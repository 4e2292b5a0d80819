"""`graph diff`: how one revision of a tenant's graph differs from another, for people or as a document."""

from __future__ import annotations

import argparse
import tempfile
from typing import IO

from jobs.export.changes import ChangesDocument, ChangesText
from worker.command.database import ask_as_app
from worker.command.output import Output
from worker.postgres import reading, tenants
from worker.postgres.comparing import stream_changes
from worker.postgres.connection import Connection
from worker.settings import Settings

_HELD_BYTES = 4_194_304  # of a document; more waits in a file without a name
_PIECE_CHARACTERS = 65_536


def diff(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print what differs. It is printed when the database has told all of it: whole or not at all."""
    form = ChangesDocument if output.as_json else ChangesText
    with tempfile.SpooledTemporaryFile(_HELD_BYTES, mode="w+", encoding="utf-8", newline="\n") as held:
        changes = form(asked.name, asked.from_revision, asked.to_revision)

        async def write(connection: Connection) -> None:
            await _write(connection, asked, changes, held)

        ask_as_app(settings, write)
        held.seek(0)
        output.pieces(iter(lambda: held.read(_PIECE_CHARACTERS), ""))
    return 0


async def _write(
    connection: Connection, asked: argparse.Namespace, changes: ChangesDocument | ChangesText, out: IO[str]
) -> None:
    tenant = await tenants.find_tenant(connection, asked.name)
    await tenants.note_reading(
        connection, tenant, "graph diff", revision=asked.to_revision, since=asked.from_revision
    )
    async with reading.at_one_moment(connection, tenant):
        for revision in (asked.from_revision, asked.to_revision):
            await reading.read_head(connection, tenant, revision)
        out.write(changes.begin())
        found = stream_changes(
            connection,
            tenant,
            from_revision=asked.from_revision,
            to_revision=asked.to_revision,
            order="kind" if isinstance(changes, ChangesText) else "id",
        )
        async for change in found:
            out.write(changes.add(change))
        out.write(changes.end())
