"""The audit trail: its events and checkpoints in their order, its months made ahead, and sealing what is settled.

An event is settled when its transaction is older than every one that runs: then no event can come that stands before
it. The sealer takes the settled ones partition by partition, under a lease, and adds one checkpoint at a time to one
chain. See docs/explanation/audit.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from jobs.audit import SEGMENT_EVENTS, AuditEvent, Checkpoint, Frontier, Signer, build_checkpoint
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value

MONTHS_AHEAD = 6  # beside the current one
HIGHEST_ID = 2**63 - 1
_LEASE_SECONDS = 120.0
_MOST_COUNTED = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition, where its sealing stands, and how many of its events are not sealed, the oldest since when.

    `went_back` where the server counts transactions from lower than what is sealed: it was restored from a dump.
    """

    frontier: Frontier
    went_back: bool
    unsealed: int
    oldest_unsealed: datetime | None


@dataclass(frozen=True, slots=True)
class Linked:
    """A checkpoint as it stands in the chain; its events come `after` the partition's segment before.

    Those of its partition with ids above `upto_id` are a later server's.
    """

    checkpoint: Checkpoint
    after: Frontier
    upto_id: int


async def make_months(connection: Connection) -> int:
    """Make the months ahead; gives how many in a row are there after the current one."""
    return int(await fetch_value(connection, "control", "make_audit_months", ahead=MONTHS_AHEAD))


async def read_partitions(connection: Connection, *, most_counted: int = _MOST_COUNTED) -> list[Partition]:
    """Give the partitions in the order of their months; of each at most so many unsealed events are counted."""
    rows = await _fetch_in_order(connection, "read_audit_partitions", most_counted=most_counted)
    return [
        Partition(
            Frontier(row["bound"], row["after_id"], int(row["last_xid"]), row["last_id"], row["highest_id"]),
            row["went_back"], row["unsealed"], row["oldest_unsealed"],
        )
        for row in rows
    ]  # fmt: skip


async def read_events(
    connection: Connection, after: Frontier, *, settled: bool, upto_id: int = HIGHEST_ID,
    batch: int = SEGMENT_EVENTS,
) -> list[AuditEvent]:  # fmt: skip
    """Give the next events of a partition, after a place in the order: the settled ones alone, or all."""
    rows = await _fetch_in_order(
        connection, "read_audit", bound=after.bound, above_id=after.after_id, upto_id=upto_id,
        after_xid=str(after.last_xid), after_id=after.last_id, settled=settled, batch=batch,
    )  # fmt: skip
    return [AuditEvent(*row.values()) for row in rows]


async def read_chain(
    connection: Connection, *, after_segment: int = 0, batch: int = 20
) -> AsyncIterator[Linked]:
    """Give the checkpoints one after the other, also those that are added meanwhile."""
    while True:
        rows = await fetch_rows(
            connection, "control", "read_audit_checkpoints", after_segment=after_segment, batch=batch
        )
        for row in rows:
            yield _parse_linked(row)
        if not rows:
            return
        after_segment = rows[-1]["segment"]


async def read_newest_checkpoint(connection: Connection) -> Checkpoint | None:
    """Give the chain's last checkpoint."""
    row = await fetch_row(connection, "control", "read_audit_checkpoints", after_segment=None, batch=1)
    return _parse_linked(row).checkpoint if row else None


async def seal(
    connection: Connection, signer: Signer, *, holder: str, now: Callable[[], datetime]
) -> AsyncGenerator[Checkpoint, None]:
    """Seal what is settled, and give each checkpoint when it is stored; nothing while another seals.

    `now` is the sealer's clock. Whoever stops iterating leaves the rest to the next call.
    """
    held = await fetch_value(
        connection, "control", "hold_audit_lease", holder=holder, lease_seconds=_LEASE_SECONDS
    )
    if not held:
        return
    newest = await read_newest_checkpoint(connection)
    for partition in await read_partitions(connection, most_counted=1):
        # Counted when the partition was read, to 1 at most: it says that there is work. What ends the loop is no event.
        while partition.unsealed:
            frontier, events = await _read_unsealed(connection, partition)
            if not events:
                break
            newest = build_checkpoint(
                events, frontier, newest, signer=signer, sealed_us=to_microseconds(now())
            )
            # The database compares once more who holds the lease and what the newest checkpoint is: two that seal at
            # once would fork the chain.
            if not await add_checkpoint(connection, newest, holder=holder):
                return
            yield newest
            partition = _move(partition, newest)  # noqa: PLW2901  the same partition, further on


async def read_tail(
    connection: Connection, *, tenant_id: UUID | None, run: UUID | None, action: str | None, limit: int
) -> list[dict[str, Any]]:
    """Give the newest events, the newest first, of a tenant, a run or an action where one is given."""
    return await fetch_rows(
        connection, "control", "read_audit_tail", tenant_id=tenant_id, run=run, action=action, limit=limit
    )


async def tell_act(connection: Connection, action: str, fields: Mapping[str, object]) -> None:
    """Write the audit event of an act with the trail itself."""
    await fetch_rows(connection, "control", "tell_audit_act", action=action, detail=json.dumps(dict(fields)))


async def _read_unsealed(connection: Connection, partition: Partition) -> tuple[Frontier, list[AuditEvent]]:
    """Give the next events to seal, and the place that they come after."""
    frontier = partition.frontier
    if not partition.went_back:
        return frontier, await read_events(connection, frontier, settled=True)
    # What the server that was left had not sealed is settled, whatever its transactions' numbers are here.
    if left := await read_events(connection, frontier, settled=False):
        return frontier, left
    anew = Frontier(frontier.bound, after_id=frontier.highest_id, highest_id=frontier.highest_id)
    return anew, await read_events(connection, anew, settled=True)


def _move(partition: Partition, sealed: Checkpoint) -> Partition:
    frontier = Frontier(sealed.bound, sealed.after_id, sealed.last_xid, sealed.last_id, sealed.highest_id)
    has_begun_anew = sealed.after_id > partition.frontier.after_id
    return Partition(frontier, partition.went_back and not has_begun_anew, partition.unsealed, None)


async def _fetch_in_order(connection: Connection, name: str, /, **values: Any) -> list[DictRow]:
    """Run a named query that reads events in their order, by the index that has it.

    Of a partition without statistics yet, a month's beginning, the planner thinks that there is little, and would read
    and sort all of it each time. What it may not do has a price from which PostgreSQL before 18 would compile.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_sort = off")
        await connection.execute("SET LOCAL jit = off")
        return await fetch_rows(connection, "control", name, **values)


async def add_checkpoint(connection: Connection, checkpoint: Checkpoint, *, holder: str) -> bool:
    """Add the chain's next checkpoint; False where the lease is another's or the chain has grown meanwhile."""
    row = {
        "segment": checkpoint.segment,
        "bound": checkpoint.bound,
        "after_id": checkpoint.after_id,
        "last_xid": str(checkpoint.last_xid),
        "last_id": checkpoint.last_id,
        "highest_id": checkpoint.highest_id,
        "events": checkpoint.events,
        "first_at": to_time(checkpoint.first_us).isoformat(),
        "last_at": to_time(checkpoint.last_us).isoformat(),
        "sealed_at": to_time(checkpoint.sealed_us).isoformat(),
        "key_id": checkpoint.key_id,
        **{
            name: rf"\x{getattr(checkpoint, name).hex()}"
            for name in ("entries", "previous", "digest", "signature")
        },
    }
    return bool(
        await fetch_value(
            connection, "control", "add_audit_checkpoint", holder=holder, checkpoint=json.dumps(row)
        )
    )


def to_microseconds(moment: datetime) -> int:
    """Give a time as microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_time(microseconds: int) -> datetime:
    """Give the time that so many microseconds since 1970 are."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _parse_linked(row: Mapping[str, Any]) -> Linked:
    surroundings = {"upto_id", "before_xid", "before_id"}
    fields = {name: value for name, value in row.items() if name not in surroundings}
    checkpoint = Checkpoint(**{**fields, "last_xid": int(row["last_xid"])})
    after = Frontier(row["bound"], row["after_id"], int(row["before_xid"]), row["before_id"])
    return Linked(checkpoint, after, HIGHEST_ID if row["upto_id"] is None else row["upto_id"])
