"""The scheduler's turns at the audit trail, once a minute: months made ahead, what is settled sealed, some checked.

Every replica takes its turn; the lease in the database says whose it is, so nothing here has to be right about that.
Without a key nothing is sealed and nothing else stops: it is told, and what is not sealed is a metric.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from datetime import UTC, datetime

from jobs.audit import Checkpoint
from jobs.errors import DatabaseAway, Failure, KeyMissing
from jobs.events import AUDIT_SEALED, AUDIT_UNSEALED, Event
from worker.fleet.checking import CheckingTurns
from worker.fleet.process import Process
from worker.postgres import audit
from worker.postgres.connection import Connection
from worker.settings import variable_of
from worker.vault import AuditKey, read_audit_key

_EVERY_SECONDS = 60.0
_TURN_SECONDS = 0.5  # a round has the scheduler's time; this has what is left of a tick
_TELL_AGAIN_SECONDS = 3600.0


class SealingTurns:
    """When this scheduler looks at the trail next, and by which key it seals."""

    def __init__(
        self, process: Process, *, every_seconds: float = _EVERY_SECONDS, turn_seconds: float = _TURN_SECONDS
    ) -> None:
        self._process = process
        self._every_seconds = every_seconds
        self._turn_seconds = turn_seconds
        self._checking = CheckingTurns(process)
        self._next_turn = time.monotonic()
        self._tell_again = time.monotonic()

    def __repr__(self) -> str:
        return f"<SealingTurns, the next in {self._next_turn - time.monotonic():.0f} s>"

    def take(self) -> None:
        """Make months and seal, where it is time; raises where PostgreSQL is away."""
        if time.monotonic() < self._next_turn:
            return
        # Before it is tried: what fails is tried again after a while, and not in every round.
        self._next_turn = time.monotonic() + self._every_seconds
        try:
            self._process.ask(audit.make_months, purpose="audit")
            key = self._read_key()
            if key is not None:
                self._seal(key)
                self._checking.take(key.trusted)
        # The round tells it, and what is away once is away for all turns.
        except DatabaseAway:
            raise
        except Failure as failure:  # it is tried again, and what waits is a metric
            self._tell_unsealed(failure.message)

    def _read_key(self) -> AuditKey | None:
        """Read the key each time: it may be made, or replaced, while the fleet runs."""
        try:
            key = read_audit_key(self._process.settings)
        except KeyMissing as missing:
            self._tell_unsealed(missing.message)
            return None
        if key is None:
            self._tell_unsealed(
                f"no key: set {variable_of('audit_key_file')} to the file that `zaptik audit key generate --into FILE` "
                "makes"
            )
        return key

    def _seal(self, key: AuditKey) -> None:
        async def seal(connection: Connection) -> bool:
            end = time.monotonic() + self._turn_seconds
            sealing = audit.seal(connection, key, holder=self._process.name, now=lambda: datetime.now(UTC))
            async with aclosing(sealing):
                async for checkpoint in sealing:
                    self._process.emit(describe_sealed(checkpoint))
                    if time.monotonic() >= end or self._process.stopping.is_set():
                        return False
            return True

        if not self._process.ask(seal, purpose="audit"):
            self._next_turn = time.monotonic()  # there is more: in the next round

    def _tell_unsealed(self, reason: str) -> None:
        if time.monotonic() >= self._tell_again:
            self._tell_again = time.monotonic() + _TELL_AGAIN_SECONDS
            self._process.tell(AUDIT_UNSEALED, reason=reason)


def describe_sealed(checkpoint: Checkpoint) -> Event:
    """Give the event by which a checkpoint leaves the database's reach."""
    fields = {
        "segment": checkpoint.segment,
        "bound": checkpoint.bound,
        "events": checkpoint.events,
        "digest": checkpoint.digest.hex(),
        "key_id": checkpoint.key_id,
        "signature": checkpoint.signature.hex(),
    }
    return Event(AUDIT_SEALED, fields)
