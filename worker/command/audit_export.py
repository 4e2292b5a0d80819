"""The file that `audit export` writes: lines of JSON, each checkpoint before its events.

docs/reference/audit-format.md tells each field; `ops/verify_audit.py` reads it without anything of ours.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from jobs.audit import Checkpoint
from worker.postgres.audit import read_partitions
from worker.postgres.audit_chain import Period, walk
from worker.postgres.connection import Connection

FORM = "zaptik-audit-export-1"


@dataclass(slots=True)
class Exported:
    """What was written; `unsealed` events are in no segment and so not in the file."""

    segments: int = 0
    events: int = 0
    unsealed: int = 0
    newest: Checkpoint | None = None


async def export_trail(
    connection: Connection, out: IO[bytes], *, period: Period, head: Mapping[str, Any]
) -> Exported:
    """Write the whole chain, and the events of the segments that have some of the period."""
    written = Exported()
    _write(out, {"type": "head", "form": FORM, **head})
    async for segment in walk(connection, period):
        _write(out, _build_checkpoint(segment.checkpoint, has_events=segment.events is not None))
        for event in segment.events or ():
            _write(out, {"type": "event", **event._asdict()})
        written.segments += 1
        written.events += len(segment.events or ())
        written.newest = segment.checkpoint
    partitions = await read_partitions(connection)
    written.unsealed = sum(partition.unsealed for partition in partitions)
    counts = {"segments": written.segments, "events": written.events, "unsealed": written.unsealed}
    _write(out, {"type": "end", **counts})
    return written


def _build_checkpoint(checkpoint: Checkpoint, *, has_events: bool) -> dict[str, Any]:
    """Give a checkpoint; without its events it needs no entries, only what is signed of them."""
    numbers = (
        "segment", "bound", "after_id", "last_xid", "last_id", "highest_id", "events", "first_us", "last_us",
        "sealed_us",
    )  # fmt: skip
    document: dict[str, Any] = {"type": "checkpoint", **{name: getattr(checkpoint, name) for name in numbers}}
    document["entries_sha256"] = hashlib.sha256(checkpoint.entries).hexdigest()
    document["entries"] = base64.b64encode(checkpoint.entries).decode() if has_events else None
    for name in ("previous", "digest", "signature"):
        document[name] = getattr(checkpoint, name).hex()
    return {**document, "key_id": checkpoint.key_id}


def _write(out: IO[bytes], document: Mapping[str, Any]) -> None:
    out.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
