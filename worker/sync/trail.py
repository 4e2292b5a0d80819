"""The events of one piece of a run's work, on their way to the audit trail.

Each event goes to logs and metrics when it happens, and is kept here until the transaction of what it tells of
takes it along: a page and the requests behind it commit together.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.events import Emit, Event
from worker.servicenow import REQUEST_KINDS


@dataclass(frozen=True, slots=True)
class Taken:
    """Events to be written, and how many requests to the instance they tell of."""

    events: tuple[Event, ...]
    requests: int


class Trail:
    """Binds events to a tenant's reference and a run, tells them at once, and keeps the audited ones."""

    def __init__(self, emit: Emit, *, tenant: str, run: str) -> None:
        self._emit = emit
        self._tenant = tenant
        self._run = run
        self._kept: list[Event] = []

    def emit(self, event: Event) -> None:
        """Tell an event and, if it is an audit event, keep it."""
        bound = Event(event.kind, event.fields, tenant=self._tenant, run=self._run)
        self._emit(bound)
        if event.kind.audited:
            self._kept.append(bound)

    def branch(self) -> Trail:
        """Begin an empty trail for another piece of the same run."""
        return Trail(self._emit, tenant=self._tenant, run=self._run)

    def take(self) -> Taken:
        """Give what was kept, for a transaction that writes it, and keep it no more."""
        events, self._kept = tuple(self._kept), []
        return Taken(events, sum(event.kind in REQUEST_KINDS for event in events))
