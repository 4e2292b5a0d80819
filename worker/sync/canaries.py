"""Sending a run's canaries: three requests where the instance is as it comes, four at most."""

from __future__ import annotations

from dataclasses import replace

from jobs.canary import (
    MOST_REQUESTS,
    Canary,
    Honesty,
    Signs,
    choose_tables,
    judge_range,
    judge_times,
    judge_unknown_field,
)
from jobs.errors import OF_A_TABLE, ResponseInvalid, TableAbsent, TableDenied
from jobs.events import Emit
from jobs.surface import Surface, Table
from worker.servicenow import Client


async def send_canaries(client: Client, surface: Surface, *, emit: Emit) -> Honesty:
    """Send the canaries to the first table that can be read and has rows; what gives no answer stays unknown.

    Failures of the instance as a whole are raised.
    """
    sender = _Sender(client, emit)
    for table in choose_tables(surface):
        honesty = await sender.send(table)
        if honesty is not None:
            return honesty
    return Honesty()


class _Sender:
    """Sends no more than are allowed, whatever comes back."""

    def __init__(self, client: Client, emit: Emit) -> None:
        self._client = client
        self._emit = emit
        self._left = MOST_REQUESTS

    async def send(self, table: Table) -> Honesty | None:
        """Send all to one table; None where it gives no row to go by."""
        signs, honesty = await self._begin(table)
        if signs is None or not signs.rows:
            return None
        if moment := signs.find_moment():
            found = await self._ask(table, "times", moment=moment)
            honesty = replace(honesty, times=judge_times(found, moment=moment) if found else "unknown")
        after = await self._ask(table, "range")
        return replace(honesty, range=judge_range(after) if after else "unknown")

    async def _begin(self, table: Table) -> tuple[Signs | None, Honesty]:
        """Ask for a field that there is not: where the term is dropped, what comes is a sample of the table."""
        honesty = Honesty(table.name)
        try:
            signs = await self._fetch(table, "unknown_field")
        except TableAbsent:
            return None, honesty
        except TableDenied:  # the table is denied, or such a query of it
            sample = await self._ask(table, "sample")
            return sample, replace(honesty, unknown_field="refused") if sample else honesty
        except ResponseInvalid:
            return await self._ask(table, "sample"), honesty
        honesty = replace(honesty, unknown_field=judge_unknown_field(signs))
        return (signs if signs.rows else await self._ask(table, "sample")), honesty

    async def _ask(self, table: Table, canary: Canary, *, moment: str = "") -> Signs | None:
        try:
            return await self._fetch(table, canary, moment=moment) if self._left else None
        except OF_A_TABLE:
            return None

    async def _fetch(self, table: Table, canary: Canary, *, moment: str = "") -> Signs:
        self._left -= 1
        return await self._client.fetch_signs(table, canary, moment=moment, emit=self._emit)
