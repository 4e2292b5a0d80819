"""Trying the tenants' boundary in production: one tenant's marked row is read as another, and must not be found.

A turn takes some tenants, each with another beside it, and tries every role that `zaptik_app` can take. That each
tenant finds its own row is tried first: a refusal proves nothing where there is nothing to be read. What is tried is a
SELECT; nothing is written but the turn's end. PostgreSQL's log has a line for each refusal, by `zaptik isolation`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import errors, sql

from jobs.events import ISOLATION_REACHED, Event
from worker.postgres.connection import Connection, fetch_row, fetch_rows, in_tenant_rows
from worker.postgres.tenants import insert_events

_LEASE_SECONDS = 60.0
_BATCH = 50  # tenants
_TURN_SECONDS = 2.0  # the scheduler waits meanwhile
_BOUNDS = "SET LOCAL lock_timeout = '1s'", "SET LOCAL statement_timeout = '5s'"


@dataclass(frozen=True, slots=True)
class Subject:
    """A tenant whose boundary is tried."""

    tenant_id: UUID
    schema_name: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to another tenant's row: in whose role, and which tenant the transaction names, `own` or `other`."""

    name: str
    role: bool
    names: str | None
    in_control: bool = False


WAYS = (
    Way("as nobody", role=False, names=None),
    Way("as another tenant", role=True, names=None),
    Way("as another tenant, naming it", role=True, names="other"),
    Way("in control as nobody", role=False, names=None, in_control=True),
    Way("in control, naming another tenant", role=False, names="own", in_control=True),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """A tenant that was read as another, and by which ways."""

    reached: UUID
    by: UUID
    ways: tuple[str, ...]

    def event(self) -> Event:
        """Tell it, of the tenant that was read."""
        fields = {"by": str(self.by), "ways": ", ".join(self.ways)}
        return Event(ISOLATION_REACHED, fields, tenant=str(self.reached))


@dataclass(slots=True)
class Turn:
    """What one turn found; `failed` has the tenants that could not be tried, with why."""

    held: int = 0
    reached: list[Reach] = field(default_factory=list)
    failed: list[tuple[UUID, str]] = field(default_factory=list)
    seconds: float = 0.0


async def read_check(connection: Connection) -> tuple[datetime | None, datetime | None]:
    """Give when the boundary was last tried, and when a tenant was last read as another."""
    row = await fetch_row(connection, "control", "read_isolation_check")
    assert row is not None
    return row["checked_at"], row["reached_at"]


async def check_some(
    connection: Connection, *, holder: str, every_seconds: float, number: int = 0
) -> Turn | None:
    """Try the boundary of some tenants; None where another has the turn, or the last was not so long ago.

    Each tenant tries one other, and from one `number` of a turn to the next another one: in time each tries each.
    """
    began = time.monotonic()
    rows = await fetch_rows(
        connection, "control", "hold_isolation_check", holder=holder, lease_seconds=_LEASE_SECONDS,
        every_seconds=every_seconds, batch=_BATCH,
    )  # fmt: skip
    if not rows:
        return None
    subjects = [Subject(**row) for row in rows]
    turn, last = Turn(), None
    # Never 0, in which a tenant would try itself; alone it does, and then only the ways of nobody count.
    apart = 1 + number % max(1, len(subjects) - 1)
    for own, other in zip(subjects, [*subjects[apart:], *subjects[:apart]], strict=True):
        await _check_one(connection, turn, own, other)
        last = own.tenant_id
        if time.monotonic() - began > _TURN_SECONDS:
            break
    for reach in turn.reached:
        async with in_tenant_rows(connection, reach.reached):
            await insert_events(connection, [reach.event()])
    await fetch_rows(
        connection, "control", "end_isolation_check", holder=holder, last=last, held=turn.held,
        reached=len(turn.reached), failed=len(turn.failed),
    )  # fmt: skip
    turn.seconds = round(time.monotonic() - began, 3)
    return turn


async def _check_one(connection: Connection, turn: Turn, own: Subject, other: Subject) -> None:
    try:
        if not await _finds_itself(connection, own):
            turn.failed.append((own.tenant_id, "does not find its own row"))
            return
        ways = [way.name for way in _ways_to(own, other) if await _reaches(connection, way, own, other)]
    except psycopg.Error as error:
        # The server is away: that says nothing of the boundary, and is told as what it is.
        if connection.closed:
            raise
        turn.failed.append((own.tenant_id, f"{type(error).__name__} {error.sqlstate or ''}".strip()))
        return
    if ways:
        turn.reached.append(Reach(other.tenant_id, own.tenant_id, tuple(ways)))
    else:
        turn.held += 1


def _ways_to(own: Subject, other: Subject) -> Sequence[Way]:
    """Give the ways that are to lead nowhere: of a tenant that is alone, those of nobody."""
    return WAYS if own != other else [way for way in WAYS if not way.role and way.names is None]


async def _finds_itself(connection: Connection, own: Subject) -> bool:
    try:
        async with _being(connection, own.schema_name, None):
            marked = await fetch_rows(connection, "tenant", "read_marker", within=own.schema_name)
        async with _being(connection, None, own.tenant_id):
            seen = await fetch_rows(connection, "control", "sees_tenant", tenant_id=own.tenant_id)
    except errors.InsufficientPrivilege:
        return False
    return len(marked) == len(seen) == 1


async def _reaches(connection: Connection, way: Way, own: Subject, other: Subject) -> bool:
    names = {None: None, "own": own.tenant_id, "other": other.tenant_id}[way.names]
    try:
        async with _being(connection, own.schema_name if way.role else None, names):
            if way.in_control:
                rows = await fetch_rows(connection, "control", "sees_tenant", tenant_id=other.tenant_id)
            else:
                rows = await fetch_rows(connection, "tenant", "read_marker", within=other.schema_name)
    except errors.InsufficientPrivilege:
        return False
    return bool(rows)


@asynccontextmanager
async def _being(connection: Connection, role: str | None, named: UUID | None) -> AsyncIterator[None]:
    """Be a role, or nobody, in a transaction that names a tenant, or none, and is undone."""
    async with connection.transaction(force_rollback=True), connection.cursor(binary=True) as cursor:
        for bound in _BOUNDS:
            await cursor.execute(bound)
        if role is not None:
            await cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        if named is not None:
            await cursor.execute(sql.SQL("SET LOCAL zaptik.tenant = {}").format(sql.Literal(str(named))))
        yield
