"""The events of a run's slice, on their way to the audit trail.

Each event goes to logs and metrics when it happens, and is kept here until the transaction of what it tells of
has taken it along: a page and the requests behind it commit together. What a failed slice left unwritten is
written when the slice is settled, so that no request to an instance goes unrecorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.events import Emit, Event
from worker.servicenow import REQUEST_KINDS


@dataclass(frozen=True, slots=True)
class Taken:
    """Events on their way into one transaction, and how many requests to the instance they tell of."""

    events: Sequence[Event]
    _unwritten: dict[int, Event] = field(default_factory=dict, repr=False)

    @property
    def requests(self) -> int:
        """Count the requests among the events."""
        return sum(event.kind in REQUEST_KINDS for event in self.events)

    def mark_written(self) -> None:
        """Say that the transaction has committed."""
        for event in self.events:
            self._unwritten.pop(id(event), None)


class Trail:
    """Binds events to a tenant's reference and a run, tells them at once, and keeps the audited ones.

    `branch` gives a trail for one piece of the same slice; what is unwritten is the slice's, all pieces' together.
    """

    def __init__(
        self, emit: Emit, *, tenant: str, run: str, unwritten: dict[int, Event] | None = None
    ) -> None:
        self._emit = emit
        self._tenant = tenant
        self._run = run
        self._kept: list[Event] = []
        self._unwritten: dict[int, Event] = {} if unwritten is None else unwritten

    def __repr__(self) -> str:
        return f"<Trail of run {self._run}, {len(self._unwritten)} events unwritten>"

    def emit(self, event: Event) -> None:
        """Tell an event and, if it is an audit event, keep it."""
        bound = Event(event.kind, event.fields, tenant=self._tenant, run=self._run)
        if event.kind.audited:
            self._kept.append(bound)
            # By identity: two requests that are alike are two events. It is kept here, so no other gets its number.
            self._unwritten[id(bound)] = bound
        self._emit(bound)

    def branch(self) -> Trail:
        """Begin an empty trail for another piece of the same slice."""
        return Trail(self._emit, tenant=self._tenant, run=self._run, unwritten=self._unwritten)

    def take(self) -> Taken:
        """Give what this piece kept, for a transaction that writes it, and keep it no more."""
        events, self._kept = tuple(self._kept), []
        return Taken(events, self._unwritten)

    def take_unwritten(self) -> Taken:
        """Give all that no transaction has taken along, of every piece, in the order it happened."""
        return Taken(tuple(self._unwritten.values()), self._unwritten)
