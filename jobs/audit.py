"""The audit trail's bytes: what is hashed of an event, and what is signed of a checkpoint.

A segment is at most `SEGMENT_EVENTS` settled events of one partition, in the order of the trail, (xid, audit_id). Its
checkpoint holds the id and the hash of each, is signed, and names the digest of the checkpoint before: a chain. The
form is written down byte by byte in docs/reference/audit-format.md, with test vectors; whoever changes it here makes
every sealed trail look forged. Whether a trail holds is `audit_check`'s to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

SEGMENT_EVENTS: Final = 1_000
ENTRY_BYTES: Final = 40  # 8 of the id, 32 of the hash
FIRST_PREVIOUS: Final = bytes(32)
_EVENT, _CHECKPOINT = b"zaptik-audit-event-1\n", b"zaptik-audit-checkpoint-1\n"
_ID_BYTES: Final = 8


class AuditEvent(NamedTuple):
    """A row of the trail as it is hashed; `detail` is the JSON text that PostgreSQL prints.

    `occurred_us` counts microseconds since 1970 in UTC. A tuple, since a verification makes millions.
    """

    audit_id: int
    occurred_us: int
    xid: str
    actor: str
    caller: str | None
    action: str
    tenant_ref: str | None
    run_id: str | None
    detail: str

    @property
    def place(self) -> tuple[int, int]:
        """Give its place in the order of the trail."""
        return int(self.xid), self.audit_id


class Signer(Protocol):
    """What seals: a key with an id, which is never in the database."""

    @property
    def key_id(self) -> str:
        """Name the key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign with Ed25519: 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What seals one segment; see `control.audit_checkpoint`. Unsigned it has an empty digest and signature."""

    segment: int
    bound: str
    after_id: int
    last_xid: int
    last_id: int
    highest_id: int
    events: int
    first_us: int
    last_us: int
    sealed_us: int
    entries: bytes
    previous: bytes
    key_id: str
    digest: bytes = b""
    signature: bytes = b""

    def __repr__(self) -> str:
        return f"<Checkpoint {self.segment}, {self.events} events of {self.bound}, {self.digest.hex()[:12]}>"

    @property
    def last_place(self) -> tuple[int, int]:
        """Give the place of its last event in the order of the trail."""
        return self.last_xid, self.last_id

    def statement(self) -> bytes:
        """Give the bytes that are signed."""
        return _CHECKPOINT + _join(
            self.segment, self.bound, self.after_id, self.last_xid, self.last_id, self.highest_id, self.events,
            self.first_us, self.last_us, self.sealed_us, hashlib.sha256(self.entries).hexdigest(),
            self.previous.hex(), self.key_id,
        )  # fmt: skip

    def read_entries(self) -> list[tuple[int, bytes]]:
        """Give the id and the hash of each event that it seals."""
        starts = range(0, len(self.entries), ENTRY_BYTES)
        return [
            (
                int.from_bytes(self.entries[start : start + _ID_BYTES], "big"),
                self.entries[start + _ID_BYTES : start + ENTRY_BYTES],
            )
            for start in starts
        ]


@dataclass(frozen=True, slots=True)
class Frontier:
    """Where the sealing of one partition stands: the place after which nothing is sealed, and the highest id sealed.

    `after_id`: events up to this id are those of a server that was left, whose transactions were counted anew.
    """

    bound: str
    after_id: int = 0
    last_xid: int = 0
    last_id: int = 0
    highest_id: int = 0


def hash_event(event: AuditEvent) -> bytes:
    """Give the SHA-256 of an event's bytes."""
    return hashlib.sha256(_EVENT + _join(*event)).digest()


def build_checkpoint(
    events: Sequence[AuditEvent],
    frontier: Frontier,
    newest: Checkpoint | None,
    *,
    signer: Signer,
    sealed_us: int,
) -> Checkpoint:
    """Seal the next events of a partition; `newest` is the chain's last checkpoint, of whatever partition."""
    last = events[-1]
    times = [event.occurred_us for event in events]
    entries = (event.audit_id.to_bytes(_ID_BYTES, "big") + hash_event(event) for event in events)
    unsigned = Checkpoint(
        segment=newest.segment + 1 if newest else 1,
        bound=frontier.bound,
        after_id=frontier.after_id,
        last_xid=int(last.xid),
        last_id=last.audit_id,
        highest_id=max(frontier.highest_id, *(event.audit_id for event in events)),
        events=len(events),
        first_us=min(times),
        last_us=max(times),
        sealed_us=sealed_us,
        entries=b"".join(entries),
        previous=newest.digest if newest else FIRST_PREVIOUS,
        key_id=signer.key_id,
    )
    statement = unsigned.statement()
    return replace(unsigned, digest=hashlib.sha256(statement).digest(), signature=signer.sign(statement))


def count_months_ahead(bounds: Iterable[str], *, year: int, month: int) -> int:
    """Give for how many months in a row after this one there is a partition; -1 where this one's is lacking."""
    there, ahead = set(bounds), -1
    while f"{year:04d}-{month:02d}" in there:
        ahead, year, month = ahead + 1, year + month // 12, month % 12 + 1
    return ahead


def _join(*fields: str | int | None) -> bytes:
    """Give each field as its length in bytes, a colon, itself and a line's end; a field without a value as `-`."""
    parts = []
    for field in fields:
        if field is None:
            parts.append(b"-\n")
            continue
        text = str(field).encode()
        parts.append(b"%d:%b\n" % (len(text), text))
    return b"".join(parts)
