"""Whether a sealed trail holds: each checkpoint against the one before, and its events against what it sealed.

Pure: the caller brings checkpoints and events in their order, wherever they come from. What is found is the first
thing wrong, named as closely as the evidence allows: an event; or its segment, where the checkpoint was changed too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from jobs.audit import FIRST_PREVIOUS, AuditEvent, Checkpoint, hash_event

What = Literal[
    "altered", "missing", "added", "segment_missing", "segment_forged", "signature", "unknown_key", "truncated",
    "partition_missing",
]  # fmt: skip

CheckSignature = Callable[[str, bytes, bytes], bool | None]
"""Given a key's id, what was signed and the signature: whether it holds, None where the key is not known."""

DROPPED = "retention.audit"
"""The event that tells of a month that went when its time was over."""


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
        return _WORDS[self.what].format(event=event, where=where, month=self.bound)


_WORDS: dict[What, str] = {
    "altered": "{event} was altered after it was sealed",
    "missing": "{event} was sealed, and is gone",
    "added": "{event} was put in behind the seal",
    "segment_missing": "{where} does not follow the checkpoint before: one is gone, or in another's place",
    "segment_forged": "{where} is not what was signed: the checkpoint was changed, and maybe its events with it",
    "signature": "{where} has a signature that does not hold: the checkpoint was changed, and maybe its events with it",
    "unknown_key": "{where} is signed by a key that is not trusted",
    "truncated": "after {where} the chain is cut: a checkpoint that is known from elsewhere is not in it",
    "partition_missing": "the month {month} is gone, and no sealed event tells that it was dropped",
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
    if held is None:
        return fault("unknown_key")
    if hashlib.sha256(statement).digest() != checkpoint.digest:
        return fault("segment_forged")
    if not held:
        return fault("signature")
    if checkpoint.previous != (before.digest if before else FIRST_PREVIOUS):
        return fault("segment_missing")
    return None


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
