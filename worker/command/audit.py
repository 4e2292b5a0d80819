"""`audit`: the trail of every request and act: to look at, to check, to hand to an auditor, to seal."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from jobs.audit import Checkpoint
from jobs.errors import KeyMissing, WrongArguments
from jobs.events import AUDIT_EXPORTED, AUDIT_VERIFIED
from worker.command.audit_export import Exported, export_trail
from worker.command.database import ask_as_app, name_caller
from worker.command.files import opened
from worker.command.output import Output, align, encode_document, format_time
from worker.postgres import audit as trail
from worker.postgres import tenants
from worker.postgres.audit_chain import Period, Verified, verify
from worker.postgres.connection import Connection
from worker.settings import Settings, variable_of
from worker.vault import (
    AuditKey,
    TrustedKeys,
    generate_audit_key,
    read_audit_key,
    read_trusted_keys,
)

_COLUMNS = ("occurred_at", "action", "tenant", "run", "by", "detail")


def tail(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Show the newest events, the newest last."""

    async def read(connection: Connection) -> list[dict[str, Any]]:
        tenant = await tenants.find_tenant(connection, asked.tenant) if asked.tenant else None
        return await trail.read_tail(
            connection,
            tenant_id=tenant.tenant_id if tenant else None,
            run=asked.run,
            action=asked.action,
            limit=asked.limit,
        )

    rows = [_describe_event(row) for row in reversed(ask_as_app(settings, read))]
    output.document({"events": rows})
    shown = (
        (row["occurred_at"], row["action"], row["tenant"], row["run"], row["caller"] or row["actor"],
         " ".join(f"{name}={value}" for name, value in row["detail"].items()))
        for row in rows
    )  # fmt: skip
    output.lines(align(_COLUMNS, shown))
    return 0


def verify_trail(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Check the chain, and the events of a time or all; 1 where something is wrong, and the first thing is named."""
    trusted = _read_trusted(asked, settings)
    known = [bytes.fromhex(digest) for digest in asked.checkpoint]

    async def check(connection: Connection) -> Verified:
        found = await verify(
            connection, trusted.check, now=datetime.now(UTC), period=_find_period(asked), known=known,
            after_segment=asked.after_segment,
        )  # fmt: skip
        fields = {"ok": found.fault is None, "events": found.events, "sealed": found.sealed}
        first_bad = found.fault.document() if found.fault else None
        await trail.tell_act(connection, AUDIT_VERIFIED.name, {**fields, "first_bad": first_bad})
        return found

    found = ask_as_app(settings, check)
    output.document(_describe_verified(found))
    if found.fault is None:
        waiting = found.events - found.sealed
        output.lines(
            [f"{found.segments} checkpoints hold, {found.sealed} events under them, {waiting} not sealed yet"]
        )
    else:
        output.lines([f"the trail does not hold; {found.segments} checkpoints before do"])
        output.say(f"zaptik: {found.fault.what}: {found.fault}")
        for unread in found.unread:
            which = "" if unread.lowest is None else f", among them {unread.lowest} to {unread.highest}"
            output.say(f"zaptik: {unread.table}: {unread.events} events that no check reads{which}")
        return 1
    if found.newest is not None:
        output.lines([f"newest: segment {found.newest.segment}, {found.newest.digest.hex()}"])
    return 0


def export(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Write the chain, and the events of a time or all, to a file that `ops/verify_audit.py` checks by itself."""
    if output.as_json and asked.file is None:
        raise WrongArguments("with --json name a file, -o FILE: standard output is for the document.")
    asked_for = {"from": _tell_time(asked.begins), "to": _tell_time(asked.ends)}

    async def write(connection: Connection) -> Exported:
        with opened(asked.file) as out:
            written = await export_trail(
                connection, out, period=_find_period(asked) or Period(), head=asked_for
            )
        await trail.tell_act(connection, AUDIT_EXPORTED.name, {**asked_for, "events": written.events})
        return written

    written = ask_as_app(settings, write)
    output.document(
        {
            "segments": written.segments,
            "events": written.events,
            "unsealed": written.unsealed,
            "newest": _describe_checkpoint(written.newest),
            "file": str(asked.file),
        }
    )
    if asked.file is not None:
        output.lines([f"{written.segments} checkpoints and {written.events} events in {asked.file}"])
    return 0


def seal(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Seal what is settled, now; 1 where a scheduler is at it."""
    key = _require_key(settings)

    async def seal_all(connection: Connection) -> tuple[list[Checkpoint], bool]:
        await trail.make_months(connection)
        sealing = trail.seal(
            connection, key, holder=f"command {name_caller()}", now=lambda: datetime.now(UTC)
        )
        made = [checkpoint async for checkpoint in sealing]
        return made, not any(
            part.unsealed for part in await trail.read_partitions(connection, most_counted=1)
        )

    made, is_done = ask_as_app(settings, seal_all)
    events = sum(checkpoint.events for checkpoint in made)
    newest = made[-1] if made else None
    output.document({"segments": len(made), "events": events, "newest": _describe_checkpoint(newest)})
    output.lines([f"{len(made)} segments with {events} events sealed"])
    if not made and not is_done:
        output.say("zaptik: a scheduler is at it, or a transaction that began earlier still runs")
        return 1
    return 0


def generate_key(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Make the key that seals, in a file; it goes on trusting the keys that seal now."""
    is_first = settings.audit_key_file == asked.into  # which is then not there, or refused
    key = generate_audit_key(asked.into, after=None if is_first else read_audit_key(settings))
    output.document({"key_id": key.key_id, "file": str(asked.into)})
    output.lines([f"key {key.key_id} in {asked.into}: give it to schedulers alone, apart from the database"])
    return 0


def show_key(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print the public keys, for whoever checks the trail elsewhere."""
    document = _require_key(settings).trusted.describe()
    if output.as_json:
        output.document(document)
    else:
        sys.stdout.write(encode_document(document) + "\n")
    return 0


def _require_key(settings: Settings) -> AuditKey:
    key = read_audit_key(settings)
    if key is None:
        raise KeyMissing(
            f"no audit key: set {variable_of('audit_key_file')} to the file that `zaptik audit key generate --into "
            f"FILE` makes, or {variable_of('audit_key')} to its text"
        )
    return key


def _read_trusted(asked: argparse.Namespace, settings: Settings) -> TrustedKeys:
    if asked.public_key is not None:
        return read_trusted_keys(asked.public_key)
    return _require_key(settings).trusted


def _find_period(asked: argparse.Namespace) -> Period | None:
    """Give the asked time; None where all is asked for."""
    asked_for = {"begins_us": asked.begins, "ends_us": asked.ends}
    given = {name: trail.to_microseconds(moment) for name, moment in asked_for.items() if moment is not None}
    return Period(**given) if given else None


def _tell_time(moment: datetime | None) -> str | None:
    """Give a time in UTC, to the microsecond."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _describe_event(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "audit_id": row["audit_id"],
        "occurred_at": _tell_time(row["occurred_at"]),
        "actor": row["actor"],
        "caller": row["caller"],
        "action": row["action"],
        "tenant": str(row["tenant_ref"]) if row["tenant_ref"] else None,
        "run": str(row["run_id"]) if row["run_id"] else None,
        "detail": row["detail"],
    }


def _describe_verified(found: Verified) -> dict[str, Any]:
    return {
        "ok": found.fault is None,
        "events": found.events,
        "sealed": found.sealed,
        "segments": found.segments,
        "newest": _describe_checkpoint(found.newest),
        "dropped": found.dropped,
        "unread": [asdict(unread) for unread in found.unread],
        "first_bad": found.fault.document() if found.fault else None,
    }


def _describe_checkpoint(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    return {
        "segment": checkpoint.segment,
        "digest": checkpoint.digest.hex(),
        "key_id": checkpoint.key_id,
        "sealed_at": format_time(trail.to_time(checkpoint.sealed_us)),
    }
