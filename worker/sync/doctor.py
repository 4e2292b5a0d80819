"""Examining what a tenant's account may read: its credentials, every table, how honestly the instance answers.

No run, and nothing written but audit events: the tenant's graph is not touched. It asks one thing at a time, at the
pace that the instance asked of its last reader, so that it can be done while a run is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from jobs.canary import Honesty
from jobs.errors import (
    OF_A_TABLE,
    CredentialsMissing,
    CredentialsRejected,
    ErrorDocument,
    Failure,
    InstanceFailure,
    ResponseInvalid,
    TableDenied,
)
from jobs.events import DOCTOR_ENDED, Event
from jobs.examination import (
    LOOK_ROWS,
    Examined,
    describe_scope,
    describe_table,
    judge_look,
)
from jobs.page import Position
from jobs.surface import Table
from jobs.verdict import Verdict, judge_failure
from worker.postgres.connection import Connection
from worker.postgres.discovering import Described
from worker.postgres.pace import read_pace
from worker.postgres.tenants import Tenant
from worker.servicenow import Client
from worker.sync.canaries import send_canaries
from worker.sync.discovery import Discoverer
from worker.sync.opening import check_no_pause, open_patiently, open_stored
from worker.sync.parts import Parts
from worker.sync.record import Record
from worker.sync.whole import fetch_whole


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found; `error` is why the credentials gave no token, or were refused later."""

    tables: tuple[Examined, ...] = ()
    warnings: tuple[str, ...] = ()
    honesty: Honesty = field(default_factory=Honesty)
    error: ErrorDocument | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the credentials work and nothing is missing."""
        return self.error is None and all(table.is_fine for table in self.tables)


async def examine_tenant(
    parts: Parts, connection: Connection, tenant: Tenant, *, tell: Callable[[Examined], None]
) -> Examination:
    """Examine what a tenant's account may read; `tell` hears of each table as it is done.

    That the instance cannot be asked at all is the examination's error. What is wrong with the deployment is raised.
    """
    doctor = _Doctor(parts, connection, tenant, tell)
    try:
        found = await doctor.examine()
        missing = sum(not table.is_fine for table in found.tables)
        doctor.record.emit(
            Event(DOCTOR_ENDED, {"ok": found.is_fine, "tables": len(found.tables), "missing": missing})
        )
        return found
    finally:
        # Also where the examination breaks off: what was asked of the instance is recorded.
        await doctor.record.write()


class _Doctor:
    """One examination, on one connection."""

    def __init__(
        self, parts: Parts, connection: Connection, tenant: Tenant, tell: Callable[[Examined], None]
    ) -> None:
        self._parts = parts
        self._connection = connection
        self._tenant = tenant
        self._tell = tell
        self._surface = parts.surface.with_values(parts.settings.property_names)
        self.record = Record(parts.emit, connection, tenant.tenant_id)
        self._tables: list[Examined] = []
        self._stopped: Failure | None = None

    async def examine(self) -> Examination:
        try:
            return await self._examine()
        except InstanceFailure as failure:
            return Examination(error=failure.document())

    async def _examine(self) -> Examination:
        tenant, parts = self._tenant, self._parts
        pace = await read_pace(self._connection, tenant.tenant_id)
        check_no_pause(pace, tenant)
        opened = await open_stored(
            parts, self._connection, tenant_id=tenant.tenant_id, tenant=tenant.name, emit=self.record.emit
        )
        # That the credentials were opened is written before they are used.
        await self.record.write()
        async with open_patiently(parts, opened, tenant, pace=pace, most_rows=LOOK_ROWS) as client:
            return await self._ask(client)

    async def _ask(self, client: Client) -> Examination:
        scope = await client.fetch_scope(emit=self.record.emit)
        honesty = Honesty()
        try:
            honesty = await send_canaries(client, self._surface, emit=self.record.emit)
        except InstanceFailure as failure:
            self._stopped = failure
        await self._look_at_all(client, self._surface.tables.values())
        if self._stopped is None:
            await self._look_at_discovered(client)
        warnings = (*describe_scope(scope), *honesty.warnings(), *honesty.describe_default())
        refused = (
            self._stopped if isinstance(self._stopped, (CredentialsRejected, CredentialsMissing)) else None
        )
        return Examination(
            tuple(self._tables), warnings, honesty, error=refused.document() if refused else None
        )

    async def _look_at_all(self, client: Client, tables: Iterable[Table]) -> None:
        for table in tables:
            verdict = await self._look(client, table)
            await self.record.write()
            self._note(describe_table(table, verdict))

    async def _look(self, client: Client, table: Table) -> Verdict:
        """Look at one table; once the instance as a whole gave no answer, nothing more is asked."""
        if self._stopped is None:
            try:
                fetched = await client.fetch_page(table, Position(), emit=self.record.emit)
                counted = await self._count(client, table)
                return judge_look(table, fetched.page.rows, counted=counted, limit_rows=fetched.limit_rows)
            except OF_A_TABLE as failure:
                return judge_failure(failure)
            except InstanceFailure as failure:
                self._stopped = failure
        return Verdict("unknown", reason=f"not asked to the end: {self._stopped.message}")

    async def _count(self, client: Client, table: Table) -> int | None:
        try:
            return await client.fetch_count(table, emit=self.record.emit)
        except (TableDenied, ResponseInvalid):
            return None

    async def _look_at_discovered(self, client: Client) -> None:
        """Look at the tables that the instance names itself, where it shows their names."""
        try:
            names = await self._fetch_names(client)
            found = await Discoverer(
                client, self._surface, self.record.emit, known={}, keep=_forget, must_pause=lambda: False
            ).discover(names)
        except InstanceFailure:
            return  # the table of their names was looked at, and tells of it
        assert found is not None, "nothing pauses it"
        for name, verdict in found.unreadable.items():
            self._note(Examined(name, verdict.name, verdict.reason))
        await self._look_at_all(client, found.tables)

    async def _fetch_names(self, client: Client) -> list[str]:
        discovery = self._surface.discovery
        if discovery is None:
            return []
        table = self._surface.tables[discovery.named_in]
        named = replace(table, fields=("sys_id", discovery.field), references={})
        rows = (await fetch_whole(client, named, emit=self.record.emit)).rows
        return sorted({row.get(discovery.field, "").strip() for row in rows})

    def _note(self, examined: Examined) -> None:
        self._tables.append(examined)
        self._tell(examined)


async def _forget(_described: Described) -> None:
    """Keep nothing: an examination is no run."""
