"""The scheduler's turns at checking what was sealed: a few segments each minute, round and round the chain.

So that a change is found by itself, and not only when somebody asks. It begins anywhere, since a process may not live
as long as a whole round takes; what it finds is told each time that it comes by. `audit verify` checks all at once.
"""

from __future__ import annotations

import random
import time
from contextlib import aclosing
from datetime import UTC, datetime

from jobs.audit import Checkpoint
from jobs.audit_check import Fault
from jobs.events import AUDIT_BROKEN, AUDIT_CHECKED
from worker.fleet.process import Process
from worker.postgres.audit import read_newest_checkpoint
from worker.postgres.audit_chain import Period, Segment, check_segment, walk
from worker.postgres.connection import Connection
from worker.vault import TrustedKeys

_TURN_SECONDS = 0.25


class CheckingTurns:
    """How far this scheduler has come on its way round the chain, and what it found on this round."""

    def __init__(self, process: Process, *, turn_seconds: float = _TURN_SECONDS) -> None:
        self._process = process
        self._turn_seconds = turn_seconds
        self._before: Checkpoint | None = None
        self._skips_to: int | None = None
        self._segments = self._faults = 0

    def __repr__(self) -> str:
        return f"<CheckingTurns, after {self._before}, {self._faults} faults on this round>"

    def take(self, trusted: TrustedKeys) -> None:
        """Check the next segments; raises where PostgreSQL is away."""
        self._process.ask(lambda connection: self._check_some(connection, trusted), purpose="audit")

    async def _check_some(self, connection: Connection, trusted: TrustedKeys) -> None:
        end = time.monotonic() + self._turn_seconds
        if self._skips_to is None:
            self._skips_to = await _choose_beginning(connection)
        async with aclosing(walk(connection, Period(), after_segment=self._passed())) as segments:
            async for segment in segments:
                self._check(segment, trusted)
                if time.monotonic() >= end or self._process.stopping.is_set():
                    return
        if self._segments:
            self._process.tell(AUDIT_CHECKED, segments=self._segments, faults=self._faults)
        self._before, self._skips_to, self._segments, self._faults = None, 0, 0, 0

    def _passed(self) -> int:
        return self._before.segment if self._before else self._skips_to or 0

    def _check(self, segment: Segment, trusted: TrustedKeys) -> None:
        checkpoint = segment.checkpoint
        # The first after a beginning in the middle is where the next are held against, and is checked a round later.
        if self._before is not None or checkpoint.segment == 1:
            fault = check_segment(segment, self._before, trusted.check, now=datetime.now(UTC))
            self._segments += 1
            if fault is not None:
                self._tell(fault)
        self._before = checkpoint

    def _tell(self, fault: Fault) -> None:
        self._faults += 1
        self._process.tell(AUDIT_BROKEN, **fault.document())


async def _choose_beginning(connection: Connection) -> int:
    newest = await read_newest_checkpoint(connection)
    return random.randrange(newest.segment) if newest else 0  # noqa: S311  no secret: where to begin
