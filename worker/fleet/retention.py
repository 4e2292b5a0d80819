"""The scheduler's turns at letting old revisions and runs go: a little after each round, once a day for each tenant.

Every replica looks at every tenant a few times a day; the lease in the tenant's schema says whose turn it is and
whether it is due, so nothing here has to be right about that.
"""

from __future__ import annotations

import time
from collections import deque

from jobs.errors import DatabaseAway, Failure
from jobs.events import RETENTION_FAILED, RETENTION_RAN, Event
from worker.fleet.process import Process
from worker.postgres import retention
from worker.postgres.retention import Keeping
from worker.postgres.tenants import Tenant

_LOOK_SECONDS = 6 * 3600.0
_DUE_SECONDS = 23 * 3600.0  # a little less than a day, so that a look comes in time
_TURN_SECONDS = 0.25  # a round has the scheduler's time; this has what is left of a tick
_BATCHES = 4


class RetentionTurns:
    """Which tenants this scheduler has still to look at."""

    def __init__(self, process: Process, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._process = process
        settings = process.settings
        self._keeping = Keeping(
            process.name, settings.revision_retention, settings.run_retention, _DUE_SECONDS
        )
        self._look_seconds = look_seconds
        self._next_look = time.monotonic()
        self._waiting: deque[Tenant] = deque()

    def __repr__(self) -> str:
        return f"<RetentionTurns, {len(self._waiting)} tenants waiting>"

    def take(self) -> None:
        """Look at a few tenants; raises where PostgreSQL is away."""
        if not self._waiting and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._look_seconds
            self._waiting.extend(self._process.ask(retention.list_tenants, purpose="retention"))
        end = time.monotonic() + _TURN_SECONDS
        while self._waiting and not self._process.stopping.is_set():
            self._look_at(self._waiting.popleft())
            if time.monotonic() >= end:
                return

    def _look_at(self, tenant: Tenant) -> None:
        try:
            ending, gone = self._process.ask(
                lambda connection: retention.let_go(connection, tenant, self._keeping, most_batches=_BATCHES),
                purpose="retention",
            )
        except DatabaseAway:
            self._waiting.appendleft(tenant)
            raise
        except Failure as failure:  # one tenant's, and not in the way of others
            failed = Event(RETENTION_FAILED, {"code": failure.code}, tenant=str(tenant.tenant_id))
            self._process.emit(failed)
            return
        if gone:
            self._process.emit(Event(RETENTION_RAN, gone.counts(), tenant=str(tenant.tenant_id)))
        if ending == "unfinished":
            # Behind the others: one with much to let go does not hold them up.
            self._waiting.append(tenant)
