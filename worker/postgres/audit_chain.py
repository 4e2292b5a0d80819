"""Reading the sealed trail as a whole: to check it, or to write it out for somebody who checks it elsewhere.

Both walk the chain of checkpoints from its beginning and read, for each, what stands in its place: at most one segment
is in memory. What a walk leaves out are the events of segments outside of the asked time, and of months that were
dropped when their time was over; the chain itself is never left out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field

from jobs.audit import AuditEvent, Checkpoint
from jobs.audit_check import DROPPED, CheckSignature, Fault, check_checkpoint, check_events
from worker.postgres.audit import Linked, read_chain, read_events, read_partitions, read_tail
from worker.postgres.connection import Connection

_ALL = 2**31 - 1
_MOST_MONTHS = 100  # dropped within the two years that the trail goes back


@dataclass(frozen=True, slots=True)
class Period:
    """Times in microseconds since 1970 in UTC, from the first up to, and without, the second."""

    begins_us: int = -(2**62)
    ends_us: int = 2**62

    def holds_some_of(self, checkpoint: Checkpoint) -> bool:
        """Whether a segment has events of this period, or may have."""
        return checkpoint.first_us < self.ends_us and checkpoint.last_us >= self.begins_us


@dataclass(frozen=True, slots=True)
class Segment:
    """A checkpoint and the events in its place; None where they are not asked for, `is_dropped` where they went."""

    checkpoint: Checkpoint
    events: list[AuditEvent] | None
    is_dropped: bool = False


@dataclass(slots=True)
class Verified:
    """What a check found: how many events there are and how many of them are sealed, and the first thing wrong.

    Of a chain with something wrong, what comes before it is counted. `dropped` months are those whose time was over.
    """

    events: int = 0
    sealed: int = 0
    segments: int = 0
    newest: Checkpoint | None = None
    dropped: list[str] = field(default_factory=list)
    fault: Fault | None = None


async def verify(
    connection: Connection, check_signature: CheckSignature, *, period: Period | None = None,
    known: Collection[bytes] = (),
) -> Verified:  # fmt: skip
    """Check the chain, and the events of a period or all; `known` are digests of checkpoints told of elsewhere."""
    found, told, waiting = Verified(), set[str](), set(known)
    async for segment in walk(connection, period or Period()):
        checkpoint = segment.checkpoint
        found.fault = check_segment(segment, found.newest, check_signature)
        if found.fault is not None:
            return found
        found.newest = checkpoint
        found.segments += 1
        waiting.discard(checkpoint.digest)
        if segment.is_dropped and checkpoint.bound not in found.dropped:
            found.dropped.append(checkpoint.bound)
        if segment.events is not None:
            found.sealed += len(segment.events)
            told |= _read_dropped(segment.events)
    partitions = await read_partitions(connection, most_counted=_ALL)
    found.events = found.sealed + sum(partition.unsealed for partition in partitions)
    if (
        found.dropped
    ):  # what tells of it may be of another time than was asked for, or under no checkpoint yet
        told |= await _read_told(connection)
    # Months are dropped in their order, and the event that tells of one goes itself with its own month.
    if untold := [bound for bound in found.dropped if bound > max(told, default="")]:
        found.fault = Fault("partition_missing", bound=untold[0])
    elif waiting:
        found.fault = Fault("truncated", segment=found.newest.segment if found.newest else None)
    return found


def check_segment(
    segment: Segment, before: Checkpoint | None, check_signature: CheckSignature
) -> Fault | None:
    """Check a segment against the checkpoint before it, and the events in its place against its own."""
    fault = check_checkpoint(segment.checkpoint, before, check_signature)
    if fault is None and segment.events is not None:
        fault = check_events(segment.checkpoint, segment.events)
    return fault


async def walk(
    connection: Connection, period: Period, *, after_segment: int = 0
) -> AsyncGenerator[Segment, None]:
    """Give the chain segment by segment, in its order, from its beginning or after one of them."""
    bounds = await _read_bounds(connection)
    async for linked in read_chain(connection, after_segment=after_segment):
        checkpoint = linked.checkpoint
        if checkpoint.bound not in bounds:
            bounds = await _read_bounds(connection)  # made since
        if checkpoint.bound not in bounds:
            yield Segment(checkpoint, None, is_dropped=True)
        elif period.holds_some_of(checkpoint):
            yield Segment(checkpoint, await _read_in_place(connection, linked))
        else:
            yield Segment(checkpoint, None)


async def _read_bounds(connection: Connection) -> set[str]:
    return {partition.frontier.bound for partition in await read_partitions(connection, most_counted=1)}


async def _read_in_place(connection: Connection, linked: Linked) -> list[AuditEvent]:
    """Give what stands after the partition's segment before and up to this one's last place; at most one too many."""
    last = linked.checkpoint.last_place
    events = await read_events(
        connection, linked.after, settled=False, upto_id=linked.upto_id, batch=linked.checkpoint.events + 1
    )
    return [event for event in events if event.place <= last]


async def _read_told(connection: Connection) -> set[str]:
    rows = await read_tail(connection, tenant_id=None, run=None, action=DROPPED, limit=_MOST_MONTHS)
    return {str(row["detail"].get("month"))[:7] for row in rows}


def _read_dropped(events: list[AuditEvent]) -> set[str]:
    """Give the months, as 2026-11, that these events tell were dropped."""
    return {str(json.loads(event.detail).get("month"))[:7] for event in events if event.action == DROPPED}
