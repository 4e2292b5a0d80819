"""Whether a sealed trail holds: each checkpoint against the one before, and its events against what it sealed.

Pure: the caller brings checkpoints and events in their order, wherever they come from. What is found is the first
thing wrong, named as closely as the evidence allows: an event; or its segment, where the checkpoint was changed too.
Events may be gone where their time is over: two years after the month they are of, and no sooner.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from jobs.audit import FIRST_PREVIOUS, AuditEvent, Checkpoint, hash_event

What = Literal[
    "altered", "missing", "added", "segment_missing", "segment_forged", "signature", "unknown_key", "truncated",
    "partition_missing", "unread",
]  # fmt: skip

CheckSignature = Callable[[str, bytes, bytes], bool | None]
"""Given a key's id, what was signed and the signature: whether it holds, None where the key is not known."""

DROPPED: Final = "retention.audit"
"""The event that tells of a month that went when its time was over."""

KEPT_MONTHS: Final = 24
"""For how long a month is kept after its end, at the least."""

REST: Final = "rest"
"""The part of the trail that holds what belongs to no month's."""

_BY: Final = "zaptik_owner"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong: what, in which segment, and which event where it is known."""

    what: What
    segment: int | None = None
    bound: str | None = None
    audit_id: int | None = None

    def document(self) -> dict[str, object]:
        """Give it as `audit verify` prints it."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"segment {self.segment}, {self.bound}," if self.bound else f"segment {self.segment}"
        event = f"event {self.audit_id} of {where}"
        return _WORDS[self.what].format(event=event, where=where, month=self.bound, id=self.audit_id)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went of the trail, as events tell that are believed: up to which month, and up to which of `rest`."""

    month: str = ""
    rest: str = ""

    def tells_of(self, checkpoint: Checkpoint) -> bool:
        """Whether a segment's events went with it. Months go in their order, and what tells of one goes itself."""
        return tell_month(checkpoint) <= (self.rest if checkpoint.bound == REST else self.month)

    def __or__(self, other: Dropped) -> Dropped:
        """Take both together."""
        return Dropped(max(self.month, other.month), max(self.rest, other.rest))


_WORDS: dict[What, str] = {
    "altered": "{event} was altered after it was sealed",
    "missing": "{event} was sealed, and is gone",
    "added": "{event} was put in behind the seal",
    "segment_missing": "{where} does not follow the checkpoint before: one is gone, or in another's place",
    "segment_forged": "{where} is not what was signed: the checkpoint was changed, and maybe its events with it",
    "signature": "{where} has a signature that does not hold: the checkpoint was changed, and maybe its events with it",
    "unknown_key": "{where} is signed by a key that is not trusted",
    "truncated": "after {where} the chain is cut: a checkpoint that is known from elsewhere is not in it",
    "partition_missing": "the month {month} is gone before its time, or no event that is believed tells of it",
    "unread": "{month} has events that the check does not read: event {id}, or others that no segment counts",
}


def check_checkpoint(
    checkpoint: Checkpoint, before: Checkpoint | None, check_signature: CheckSignature
) -> Fault | None:
    """Check a checkpoint by itself and against the one before; without one it must be the first of the chain."""

    def fault(what: What) -> Fault:
        return Fault(what, checkpoint.segment, checkpoint.bound)

    if checkpoint.segment != (before.segment + 1 if before else 1):
        return fault("segment_missing")
    statement = checkpoint.statement()
    held = check_signature(checkpoint.key_id, statement, checkpoint.signature)
    # Before the digest: without the key nothing that the checkpoint says can be judged.
    if held is None:
        return fault("unknown_key")
    if hashlib.sha256(statement).digest() != checkpoint.digest:
        return fault("segment_forged")
    if not held:
        return fault("signature")
    if checkpoint.previous != (before.digest if before else FIRST_PREVIOUS):
        return fault("segment_missing")
    return None


def check_gone(checkpoint: Checkpoint, *, now: datetime) -> Fault | None:
    """Check that a segment's events may be gone, by their age alone."""
    if now >= keep_until(tell_month(checkpoint)):
        return None
    return name_gone(checkpoint)


def name_gone(checkpoint: Checkpoint) -> Fault:
    """Name what is gone and may not be: a month as a whole, of `rest` the first event."""
    if checkpoint.bound == REST:
        return Fault("missing", checkpoint.segment, REST, checkpoint.read_entries()[0][0])
    return Fault("partition_missing", bound=checkpoint.bound)


def tell_month(checkpoint: Checkpoint) -> str:
    """Give the month, as 2026-11, whose age decides when a segment's events may go."""
    if checkpoint.bound != REST:
        return checkpoint.bound
    return f"{_EPOCH + timedelta(microseconds=checkpoint.last_us):%Y-%m}"


def keep_until(month: str) -> datetime:
    """Give the moment until which a month's events are kept. A month ends on a first: no leap day moves it."""
    # A month's number, from 1, is the number from 0 of the month after it: so this counts from its end.
    years, months = divmod(int(month[:4]) * 12 + int(month[5:7]) + KEPT_MONTHS, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)


def read_dropped(told: Iterable[tuple[int, str]]) -> Dropped:
    """Give what events tell that went; each is its time in microseconds and its detail.

    One is believed that tells of what was old enough at its own time. Who wrote it the caller has looked at.
    """
    dropped = Dropped()
    for occurred_us, text in told:
        detail = json.loads(text)
        is_rest = detail.get("month") == REST
        month = str(detail.get("until" if is_rest else "month"))
        try:
            is_old = _EPOCH + timedelta(microseconds=occurred_us) >= keep_until(month)
        except ValueError:
            continue  # no month
        if is_old:
            dropped |= Dropped(rest=month) if is_rest else Dropped(month)
    return dropped


def is_dropping(event: AuditEvent) -> bool:
    """Whether an event tells of what went and is the schema's own: of no tenant, and its actor no login of the app."""
    return event.action == DROPPED and event.tenant_ref is None and event.actor == _BY


def check_events(checkpoint: Checkpoint, events: Sequence[AuditEvent]) -> Fault | None:
    """Compare the events that stand in a segment's place with those that it sealed, in order."""
    entries = checkpoint.read_entries()
    if len(events) == len(entries) and all(
        event.audit_id == audit_id and hash_event(event) == hashed
        for event, (audit_id, hashed) in zip(events, entries, strict=True)
    ):
        return None
    return _name_first(checkpoint, events)


def _name_first(checkpoint: Checkpoint, events: Sequence[AuditEvent]) -> Fault:
    """Name the first event that differs; which is missing and which was added, the ids tell."""
    entries = checkpoint.read_entries()
    there, sealed = {event.audit_id for event in events}, {audit_id for audit_id, _ in entries}
    at = 0
    while at < min(len(events), len(entries)):
        event, (audit_id, hashed) = events[at], entries[at]
        if event.audit_id != audit_id:
            break
        if hash_event(event) != hashed:
            return Fault("altered", checkpoint.segment, checkpoint.bound, audit_id)
        at += 1
    # One that is there twice was added once: ids are the database's to give, but not to a superuser.
    passed = {audit_id for audit_id, _ in entries[:at]}
    if at < len(events) and events[at].audit_id not in sealed - passed:
        return Fault("added", checkpoint.segment, checkpoint.bound, events[at].audit_id)
    if entries[at][0] not in there:
        return Fault("missing", checkpoint.segment, checkpoint.bound, entries[at][0])
    # The same events in another order: what decides the order was altered.
    return Fault("altered", checkpoint.segment, checkpoint.bound, entries[at][0])
