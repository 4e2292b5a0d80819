"""Letting whole months of the audit trail go, under a lease, one month a transaction: dropped, never deleted from.

Which may go is the schema's rule (`control.list_old_audit_months`): a month whose last moment is older than the trail
is kept, and that is sealed. Its checkpoints stay, so that the chain of those that are left is verified as before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value

_LEASE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class AuditKeeping:
    """How one keeps the trail: by whom, for how many months, and how long after the last time it is due again."""

    holder: str
    keep_months: int
    every_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DroppedMonth:
    """A month that went, as 2024-02, and how many events it held."""

    month: str
    events: int


@dataclass(frozen=True, slots=True)
class DroppedMonths:
    """How it ended, the months that went, and those that should have gone and are not sealed."""

    state: Literal["done", "held"]
    dropped: list[DroppedMonth] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)


async def drop_months(connection: Connection, keeping: AuditKeeping) -> DroppedMonths:
    """Let the months go whose time is over; `held` where somebody else is at it, or it is not due.

    Each is an audit event `retention.audit` in its transaction. Raises DatabaseBusy where somebody reads or writes the
    trail and does not let go of it within seconds; the next turn tries again.
    """
    held = await fetch_row(
        connection, "control", "hold_audit_retention", holder=keeping.holder,
        lease_seconds=_LEASE_SECONDS, every_seconds=keeping.every_seconds,
    )  # fmt: skip
    if held is None:
        return DroppedMonths("held")
    dropped: list[DroppedMonth] = []
    # A month each time, in a transaction of its own: so writers wait for one DROP at most.
    while row := await fetch_row(
        connection, "control", "forget_audit_month", keep_months=keeping.keep_months
    ):
        dropped.append(DroppedMonth(**row))
    left = await _read_months(connection, keeping.keep_months)
    await fetch_rows(connection, "control", "end_audit_retention", holder=keeping.holder)
    return DroppedMonths("done", dropped, [row["month"] for row in left])


async def read_overdue_seconds(connection: Connection, keep_months: int) -> dict[str, float]:
    """Give by subject for how long something that should have gone has not: `tenants` and `audit`."""
    months = await _read_months(connection, keep_months)
    audit = [row["overdue_seconds"] for row in months]
    return {
        "tenants": float(await fetch_value(connection, "control", "read_retention_overdue") or 0),
        "audit": max([float(await fetch_value(connection, "control", "read_audit_turn") or 0), *audit]),
    }


async def _read_months(connection: Connection, keep_months: int) -> list[dict[str, Any]]:
    return await fetch_rows(connection, "control", "read_old_audit_months", keep_months=keep_months)
