"""The pace of a tenant's instance, as its last reader left it: one row, with times by the database's clock."""

from __future__ import annotations

from uuid import UUID

import msgspec

from jobs.pace import Pace, RateWindow
from worker.postgres.connection import Connection, fetch_row, fetch_rows, in_tenant_rows


async def read_pace(connection: Connection, tenant_id: UUID) -> Pace:
    """Give how fast a tenant's instance may be asked from now; as it likes where nobody was asked to go slower.

    How many at once and how many a page are forgotten after an hour: an instance that was slow then may not be now.
    """
    async with in_tenant_rows(connection, tenant_id):
        row = await fetch_row(connection, "control", "read_pace", tenant_id=tenant_id)
    if row is None:
        return Pace()
    window = None
    if row["limit_requests"] is not None and row["hour_ends_in_seconds"] > 0:
        window = RateWindow(row["limit_requests"], row["used_requests"], row["hour_ends_in_seconds"])
    if not row["is_fresh"]:
        return Pace(row["cooldown_seconds"], window)
    return Pace(row["cooldown_seconds"], window, row["at_once"], row["page_rows"])


async def keep_pace(connection: Connection, tenant_id: UUID, pace: Pace, *, more_requests: int) -> None:
    """Keep the pace for the next reader; `more_requests` are those of the hour since it was read or kept last."""
    window = pace.window
    async with in_tenant_rows(connection, tenant_id):
        await fetch_rows(
            connection, "control", "keep_pace", tenant_id=tenant_id, cooldown_seconds=pace.cooldown_seconds,
            limit_requests=window.limit_requests if window else None,
            used_requests=window.used_requests if window else None,
            hour_ends_in_seconds=window.ends_in_seconds if window else None, more_requests=more_requests,
            at_once=pace.at_once, page_rows=msgspec.json.encode(dict(pace.page_rows)).decode(),
        )  # fmt: skip
