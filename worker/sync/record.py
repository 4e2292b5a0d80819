"""Audit events of acts outside a run: told at once, written where whoever acts says so."""

from __future__ import annotations

from uuid import UUID

from jobs.events import Emit, Event
from worker.postgres import tenants
from worker.postgres.connection import Connection, in_tenant_rows


class Record:
    """What is done for one tenant on one connection."""

    def __init__(self, emit: Emit, connection: Connection, tenant_id: UUID) -> None:
        self._emit = emit
        self._connection = connection
        self._tenant_id = tenant_id
        self._unwritten: list[Event] = []

    def emit(self, event: Event) -> None:
        """Tell an event of this tenant and, if it is an audit event, keep it."""
        bound = Event(event.kind, event.fields, tenant=str(self._tenant_id))
        if event.kind.audited:
            self._unwritten.append(bound)
        self._emit(bound)

    async def write(self) -> None:
        """Write the audit events so far, in a transaction of their own."""
        events, self._unwritten = self._unwritten, []
        if events:
            async with in_tenant_rows(self._connection, self._tenant_id):
                await tenants.insert_events(self._connection, events)
