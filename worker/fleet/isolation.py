"""The scheduler's turns at trying the tenants' boundary: some tenants every few minutes, all schedulers together.

Every replica asks once a minute; the row in `control` says whose turn it is, whether it is due, and where the last one
stopped, so nothing here has to be right about that. docs/runbooks/isolation-reached.md says what a finding asks for.
"""

from __future__ import annotations

import time

from jobs.errors import DatabaseAway, Failure
from jobs.events import ISOLATION_CHECKED, ISOLATION_FAILED, Event
from worker.fleet.process import Process
from worker.postgres import isolation

_LOOK_SECONDS = 60.0
_DUE_SECONDS = 300.0


class IsolationTurns:
    """When this scheduler asks again whether it is its turn."""

    def __init__(self, process: Process, *, due_seconds: float = _DUE_SECONDS) -> None:
        self._process = process
        self._due_seconds = due_seconds
        self._next_look = time.monotonic()
        self._turns = 0

    def __repr__(self) -> str:
        return f"<IsolationTurns, every {self._due_seconds:.0f} s>"

    def take(self) -> None:
        """Try some tenants where it is this scheduler's turn; raises where PostgreSQL is away."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        try:
            turn = self._process.ask(
                lambda connection: isolation.check_some(
                    connection,
                    holder=self._process.name,
                    every_seconds=self._due_seconds,
                    number=self._turns,
                ),
                purpose="isolation",
            )
        except DatabaseAway:
            raise
        except Failure as failure:  # told, and its time is told by what does not come
            self._process.tell(ISOLATION_FAILED, code=failure.code)
            return
        if turn is not None:
            self._turns += 1
            self._tell(turn)

    def _tell(self, turn: isolation.Turn) -> None:
        for reach in turn.reached:
            self._process.emit(reach.event())
        for tenant_id, code in turn.failed:
            self._process.emit(Event(ISOLATION_FAILED, {"code": code}, tenant=str(tenant_id)))
        self._process.tell(
            ISOLATION_CHECKED, held=turn.held, reached=len(turn.reached), failed=len(turn.failed),
            seconds=turn.seconds,
        )  # fmt: skip
