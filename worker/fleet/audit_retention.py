"""The scheduler's turns at letting old months of the audit trail go: looked for a few times a day, done once.

The lease in `control` says whose turn it is and whether it is due. A month that is not sealed stays, and is told of:
the figure of what is overdue grows, and an alert follows.
"""

from __future__ import annotations

import time

from jobs.errors import DatabaseAway, Failure
from jobs.events import AUDIT_DROPPED, RETENTION_FAILED, Event
from worker.fleet.process import Process
from worker.postgres.audit_retention import AuditKeeping, DroppedMonths, drop_months

_LOOK_SECONDS = 3600.0
_DUE_SECONDS = 23 * 3600.0  # a little less than a day, so that a look comes in time


class AuditRetentionTurns:
    """When this scheduler looks at the trail again."""

    def __init__(self, process: Process, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._process = process
        self._keeping = AuditKeeping(process.name, process.settings.audit_retention, _DUE_SECONDS)
        self._look_seconds = look_seconds
        self._next_look = time.monotonic()

    def __repr__(self) -> str:
        return f"<AuditRetentionTurns, next in {max(0.0, self._next_look - time.monotonic()):.0f} s>"

    def take(self) -> None:
        """Look, if it is time; raises where PostgreSQL is away."""
        if time.monotonic() < self._next_look:
            return
        try:
            gone = self._process.ask(
                lambda connection: drop_months(connection, self._keeping), purpose="retention"
            )
        except DatabaseAway:
            raise
        except Failure as failure:
            self._process.emit(Event(RETENTION_FAILED, {"code": failure.code}))
        else:
            self._tell(gone)
        self._next_look = time.monotonic() + self._look_seconds

    def _tell(self, gone: DroppedMonths) -> None:
        for month in gone.dropped:
            fields = {"month": month.month, "events": month.events}
            self._process.emit(Event(AUDIT_DROPPED, fields))
        for unsealed in gone.unsealed:
            self._process.emit(Event(RETENTION_FAILED, {"code": "month_unsealed", "month": unsealed}))
