"""Reading the sealed trail as a whole: to check it, or to write it out for somebody who checks it elsewhere.

Both walk the chain of checkpoints from its beginning and read, for each, what stands in its place: at most one segment
is in memory. What a walk leaves out are the events of segments outside of the asked time, and of months that were
dropped when their time was over; the chain itself is never left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field
from datetime import datetime

from jobs.audit import AuditEvent, Checkpoint
from jobs.audit_check import (
    REST,
    CheckSignature,
    Dropped,
    Fault,
    check_checkpoint,
    check_events,
    check_gone,
    is_dropping,
    name_gone,
    read_dropped,
)
from worker.postgres.audit import Linked, read_chain, read_events, read_partitions
from worker.postgres.connection import Connection, fetch_rows

_ALL = 2**31 - 1
_MOST_DROPS = 100  # within the two years that the trail goes back


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


@dataclass(frozen=True, slots=True)
class Unread:
    """Events that are in the trail and in none of the places that a check reads: how many, and in which table.

    `lowest` and `highest` number those that no check would read, whatever their place; None where there are none.
    """

    table: str
    events: int
    lowest: int | None
    highest: int | None


@dataclass(slots=True)
class Verified:
    """What a check found: how many events there are and how many of them are sealed, and the first thing wrong.

    Of a chain with something wrong, what comes before it is counted. `dropped` are months whose time was over.
    """

    events: int = 0
    sealed: int = 0
    segments: int = 0
    newest: Checkpoint | None = None
    dropped: list[str] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    fault: Fault | None = None


async def verify(
    connection: Connection, check_signature: CheckSignature, *, now: datetime, period: Period | None = None,
    known: Collection[bytes] = (), after_segment: int = 0,
) -> Verified:  # fmt: skip
    """Check the chain, or what of it comes after a segment, and the events of a period or all.

    `known` are digests of checkpoints told of elsewhere. Where all is checked, every event of the trail is counted
    beside: none may be where no check reads it.
    """
    found, seen = Verified(), _Seen()
    # From the one before: the first that counts is held against the one that it must follow.
    async for segment in walk(connection, period or Period(), after_segment=max(0, after_segment - 1)):
        checkpoint = segment.checkpoint
        if checkpoint.segment == after_segment:  # it does not hold, and what comes next follows it
            found.newest = checkpoint
            continue
        seen.take(segment)
        found.fault = check_segment(segment, found.newest, check_signature, now=now)
        if found.fault is not None:
            break
        found.newest = checkpoint
        found.segments += 1
        found.sealed += len(segment.events or ())
    found.dropped = list(dict.fromkeys(checkpoint.bound for checkpoint in seen.gone))
    if found.fault is None:
        await _count(connection, found, seen if period is None and not after_segment else None)
        found.fault = await _find_lacking(connection, found, seen, set(known) - seen.digests)
    return found


def check_segment(
    segment: Segment, before: Checkpoint | None, check_signature: CheckSignature, *, now: datetime
) -> Fault | None:
    """Check a segment against the checkpoint before it, and the events in its place, or their absence, by its own."""
    fault = check_checkpoint(segment.checkpoint, before, check_signature)
    if fault is None and segment.is_dropped:
        fault = check_gone(segment.checkpoint, now=now)
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
            events = await _read_in_place(connection, linked)
            is_dropped = checkpoint.bound == REST and not events  # which is made anew when it goes
            yield Segment(checkpoint, None if is_dropped else events, is_dropped)
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


@dataclass(slots=True)
class _Seen:
    """What a walk came by: checkpoints, those whose events are gone, and how many the others sealed of each part."""

    digests: set[bytes] = field(default_factory=set)
    gone: list[Checkpoint] = field(default_factory=list)
    sealed: Counter[str] = field(default_factory=Counter)
    told: Dropped = field(default_factory=Dropped)

    def take(self, segment: Segment) -> None:
        checkpoint = segment.checkpoint
        self.digests.add(checkpoint.digest)
        if segment.is_dropped:
            self.gone.append(checkpoint)
        else:
            self.sealed[checkpoint.bound] += checkpoint.events
        told = [(event.occurred_us, event.detail) for event in segment.events or () if is_dropping(event)]
        self.told |= read_dropped(told)


async def _count(connection: Connection, found: Verified, seen: _Seen | None) -> None:
    """Count what is not sealed; after a whole walk every event is counted, and named what is in no place of it."""
    if seen is None:
        partitions = await read_partitions(connection, most_counted=_ALL)
        found.events = found.sealed + sum(partition.unsealed for partition in partitions)
        return
    upto = found.newest.segment if found.newest else 0
    found.events = found.sealed
    for row in await fetch_rows(connection, "control", "count_audit", upto_segment=upto):
        found.events += row["unsealed"]
        more = row["events"] - row["unsealed"] - seen.sealed[row["part"]]
        if more > 0 or row["lowest"] is not None:
            found.unread.append(Unread(row["name"], more, row["lowest"], row["highest"]))


async def _find_lacking(
    connection: Connection, found: Verified, seen: _Seen, waiting: Collection[bytes]
) -> Fault | None:
    """Give what is wrong with a chain that holds by itself: what is gone, cut off, or beside it."""
    if seen.gone:  # what tells of it may be of another time than was asked for, or under no checkpoint yet
        rows = await fetch_rows(connection, "control", "read_audit_drops", batch=_MOST_DROPS)
        told = seen.told | read_dropped((row["occurred_us"], row["detail"]) for row in rows)
        if untold := [checkpoint for checkpoint in seen.gone if not told.tells_of(checkpoint)]:
            return name_gone(untold[0])
    if waiting:
        return Fault("truncated", segment=found.newest.segment if found.newest else None)
    if found.unread:
        return Fault("unread", bound=found.unread[0].table, audit_id=found.unread[0].lowest)
    return None
