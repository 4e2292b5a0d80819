"""The deployment's keys as the database knows them: which are in use, which each worker holds, and rewrapping.

Only ids and wrapped data keys pass here. Wrapping itself is the caller's: this room does not know the vault.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID

from jobs.errors import KeyNotShared, SealBroken
from jobs.events import DATA_KEY_REWRAPPED
from jobs.rotation import KnownKey
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value, in_tenant_rows
from worker.postgres.reading import read_processes

BATCH_TENANTS = 500

Rewrap = Callable[[bytes, str, str], bytes]
"""Wraps a data key anew: given the wrapped one, the id of its key by its row, and the tenant's reference."""


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How far a rotation is: data keys wrapped anew so far, and tenants whose data key does not open."""

    done: int
    broken: tuple[UUID, ...]


async def read_keys(connection: Connection) -> list[KnownKey]:
    """Give every key that was ever heard of, the oldest first."""
    return [KnownKey(**row) for row in await fetch_rows(connection, "control", "read_keys")]


async def register_key(connection: Connection, key_id: str) -> bool:
    """Note that a key was made, with an audit event; False where it was known."""
    return bool(await fetch_value(connection, "control", "register_key", key_id=key_id))


async def promote_key(connection: Connection, key_id: str) -> bool:
    """Note that a key is the primary from now on, with an audit event; False where it was. `KeyDropped` if it is."""
    return bool(await fetch_value(connection, "control", "promote_key", key_id=key_id))


async def drop_key(connection: Connection, key_id: str) -> int:
    """Drop a key for good, with an audit event; gives how many tenants need it: then it was not dropped."""
    return int(await fetch_value(connection, "control", "drop_key", key_id=key_id))


async def read_workers_without(connection: Connection, key_id: str) -> list[str]:
    """Name the workers that reported lately and do not hold a key."""
    return [
        f"{process['host']}/{process['pid']}"
        for process in await read_processes(connection)
        if process["kind"] == "worker" and key_id not in (process["key_ids"] or ())
    ]


async def check_workers_hold(connection: Connection, key_id: str) -> None:
    """Raise `KeyNotShared` with every worker that runs and lacks a key."""
    if lacking := await read_workers_without(connection, key_id):
        raise KeyNotShared(
            f"{', '.join(lacking)} lacks {key_id}: give each worker the keyring that holds it (a worker notices a "
            "changed file itself, and another variable at its next start), then call again. Nothing is wrapped by the "
            "key as long as a worker lacks it."
        )


async def rewrap_all(
    connection: Connection, key_id: str, *, rewrap: Rewrap, batch: int = BATCH_TENANTS
) -> AsyncIterator[Rewrapped]:
    """Wrap every tenant's data key by one key, each in a transaction of its own; tells how far it is.

    What others wrap anew meanwhile stays theirs. A data key that does not open is left as it is and told of. Before
    each batch the workers are asked again: `KeyNotShared` where one has come that lacks the key.
    """
    done, broken = 0, set[UUID]()
    again = True
    while again:
        again = False
        after: UUID | None = None
        while tenants := await _read_batch(connection, key_id, after=after, batch=batch):
            await check_workers_hold(connection, key_id)
            for tenant in set(tenants) - broken:
                try:
                    moved = await _rewrap_one(connection, tenant, key_id, rewrap=rewrap)
                except SealBroken:
                    broken.add(tenant)
                else:
                    again = True
                    done += moved
            after = tenants[-1]
            yield Rewrapped(done, tuple(broken))


async def _read_batch(connection: Connection, key_id: str, *, after: UUID | None, batch: int) -> list[UUID]:
    rows = await fetch_rows(
        connection, "control", "tenants_to_rewrap", key_id=key_id, after=after, batch=batch
    )
    return [row["tenants_to_rewrap"] for row in rows]


async def _rewrap_one(connection: Connection, tenant: UUID, key_id: str, *, rewrap: Rewrap) -> int:
    async with in_tenant_rows(connection, tenant):
        before = await fetch_row(connection, "control", "read_data_key", tenant_id=tenant)
        if before is None or before["key_id"] == key_id:
            return 0
        wrapped = rewrap(before["wrapped"], before["key_id"], str(tenant))
        moved = await fetch_rows(
            connection, "control", "rewrap_data_key",
            tenant_id=tenant, key_id=key_id, wrapped=wrapped, before=before["wrapped"],
            action=DATA_KEY_REWRAPPED.name, detail=json.dumps({"key_id": key_id, "before": before["key_id"]}),
        )  # fmt: skip
    return len(moved)
