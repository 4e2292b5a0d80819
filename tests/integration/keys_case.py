"""Seven tenants and a keyring, on a server of its own where every data key is theirs; and the command, to be called.

The command runs in this process. Workers are rows of the list of processes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from tests.conftest import Deployment
from worker.postgres import keys
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.reading import Process, report_process
from worker.postgres.tenants import StoredCredentials, read_credentials, store_credentials
from worker.settings import read_settings
from worker.sync import seal_stored
from worker.vault import (
    ClientCredentials,
    Keyring,
    SealedCredentials,
    generate_keyring,
    open_credentials,
    read_keyring,
    rewrap_data_key,
)

T = TypeVar("T")
TENANTS = 7
CREDENTIALS = ClientCredentials("a client", "a secret")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a call of the command came to."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.stdout)
        return parsed

    @property
    def error(self) -> tuple[int, str, str]:
        document = self.document["error"]
        return self.exit_code, document["code"], document["message"]


Call = Callable[..., Ended]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Seven tenants whose credentials are sealed under one key, in a file."""

    deployment: Deployment
    file: Path
    tenants: tuple[UUID, ...]

    def ask(self, question: Callable[[Connection], Awaitable[T]], *, as_admin: bool = False) -> T:
        async def asked() -> T:
            url = self.deployment.admin_url if as_admin else self.deployment.app_url
            async with open_connection(url, purpose="test") as connection:
                return await question(connection)

        return asyncio.run(asked())

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        async def read(connection: Connection) -> list[dict[str, Any]]:
            cursor = await connection.execute(query.encode(), values, binary=True)
            return await cursor.fetchall() if cursor.description else []

        return self.ask(read, as_admin=True)

    @property
    def ring(self) -> Keyring:
        return read_keyring(read_settings({"ZAPTIK_KEYRING_FILE": str(self.file)}))

    def store(self, ring: Keyring, *tenants: UUID) -> None:
        async def store(connection: Connection) -> None:
            for tenant in tenants:
                stored = seal_stored(ring, CREDENTIALS, tenant_id=tenant)
                async with in_tenant_rows(connection, tenant):
                    await store_credentials(connection, tenant, stored)

        self.ask(store)

    def wrapped_by(self) -> dict[str, int]:
        counted = self.rows("SELECT key_id, count(*) AS tenants FROM control.data_key GROUP BY key_id")
        return {row["key_id"]: row["tenants"] for row in counted}

    def check_all_open(self, ring: Keyring) -> None:
        async def read(connection: Connection) -> list[StoredCredentials | None]:
            return [await read_credentials(connection, tenant) for tenant in self.tenants]

        for tenant, stored in zip(self.tenants, self.ask(read), strict=True):
            assert stored is not None
            sealed = SealedCredentials(
                stored.wrapped_data_key, stored.key_id, stored.envelope, stored.version
            )
            assert open_credentials(ring, sealed, tenant=str(tenant)) == CREDENTIALS

    def report_worker(self, *key_ids: str, process_id: UUID | None = None) -> UUID:
        worker = Process(process_id or uuid4(), "worker", "node-9", 42, "1", 1, list(key_ids))
        self.ask(lambda connection: report_process(connection, worker))
        return worker.process_id

    def actions(self) -> dict[str, int]:
        told = self.rows(
            "SELECT action, count(*) FROM control.audit_events WHERE action LIKE 'key.%%' GROUP BY 1"
        )
        return {row["action"]: row["count"] for row in told}


def build_fleet(deployment: Deployment, file: Path) -> Fleet:
    """Empty the deployment of tenants, and give it these, with a keyring of one key in the file."""
    generate_keyring(file)
    fleet = Fleet(deployment, file, tuple(uuid4() for _ in range(TENANTS)))

    async def empty_and_fill(connection: Connection) -> None:
        for table in ("data_key", "credential", "deployment_key", "process", "tenant"):
            await connection.execute(f"DELETE FROM control.{table}".encode())  # noqa: S608  our own names
        await connection.execute(
            b"""INSERT INTO control.tenant (tenant_id, name, schema_name, url, every_seconds)
                SELECT id, 't' || n, 'tenant_t' || n, 'https://x.service-now.com', 3600
                FROM unnest(%s::uuid[]) WITH ORDINALITY AS t (id, n)""",
            [list(fleet.tenants)],
        )

    fleet.ask(empty_and_fill, as_admin=True)
    fleet.store(fleet.ring, *fleet.tenants)
    return fleet


def rewrap_by(ring: Keyring) -> keys.Rewrap:
    """Give what wraps data keys by a keyring's primary."""
    return lambda wrapped, key_id, tenant: rewrap_data_key(ring, wrapped, tenant, key_id=key_id)
