"""A deployment with a sealed trail of its own, and what somebody with all rights could do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from jobs.audit import Checkpoint
from tests.conftest import Deployment
from worker.postgres.audit import seal
from worker.postgres.connection import Connection, open_connection
from worker.vault import AuditKey, generate_audit_key

HOLDER = "a test"
_CASTS = {"last_xid": "::xid8"}


@dataclass(frozen=True, slots=True)
class Trail:
    """A deployment, the key that seals its trail, and the chain so far."""

    deployment: Deployment
    key: AuditKey
    chain: list[Checkpoint]

    @asynccontextmanager
    async def tampering(self) -> AsyncIterator[Connection]:
        """Be the superuser whom no trigger stops; what is done is undone at the end."""
        async with (
            open_connection(self.deployment.admin_url, purpose="test") as admin,
            admin.transaction(force_rollback=True),
        ):
            await admin.execute("SET LOCAL session_replication_role = replica")
            yield admin


async def add_events(deployment: Deployment, count: int, *, at: str = "clock_timestamp()") -> None:
    """Write so many events in one transaction, as requests look."""
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        await admin.execute(
            f"""INSERT INTO control.audit_events (occurred_at, action, tenant_ref, detail)
                SELECT {at}, 'request.answered', md5(n::text)::uuid, jsonb_build_object('rows', n, 'table', 'naïve')
                FROM generate_series(1, {count}) n""".encode()  # noqa: S608  our own words
        )


async def seal_all(deployment: Deployment, key: AuditKey, *, holder: str = HOLDER) -> list[Checkpoint]:
    """Seal what is settled, as the scheduler does."""
    async with open_connection(deployment.app_url, purpose="test") as app:
        return [made async for made in seal(app, key, holder=holder, now=lambda: datetime.now(UTC))]


async def put_checkpoint(admin: Connection, checkpoint: Checkpoint) -> None:
    """Add a checkpoint as it is, as a superuser can; nothing checks what it seals."""
    names = [item.name for item in fields(Checkpoint)]
    columns = ", ".join(name.replace("_us", "_at") for name in names)
    values = ", ".join(
        f"to_timestamp(%({name})s::bigint / 1000000.0)"
        if name.endswith("_us")
        else f"%({name})s{_CASTS.get(name, '')}"
        for name in names
    )
    await admin.execute(
        f"INSERT INTO control.audit_checkpoint ({columns}) VALUES ({values})".encode(),  # noqa: S608  our own words
        {name: str(value) if name == "last_xid" else value for name, value in vars_of(checkpoint).items()},
    )


def vars_of(checkpoint: Checkpoint) -> dict[str, object]:
    """Give a checkpoint's fields by their names."""
    return {item.name: getattr(checkpoint, item.name) for item in fields(checkpoint)}


async def make_trail(deployment: Deployment, folder: Path) -> Trail:
    """Seal the trail of a deployment, with 2,500 events beside what made it; some are of last month."""
    key = generate_audit_key(folder / "audit.json")
    await add_events(deployment, 1_700)
    await add_events(deployment, 800)
    chain = await seal_all(deployment, key)
    return Trail(deployment, key, chain)
