"""`python -m ops.bench.rotation`: how long the deployment's key takes to be rotated, killed once in the middle.

On a server of its own, with durability, whose tenants are rows alone: each has credentials sealed under a data key of
its own. The command is the real one, in a process of its own. docs/how-to/rotate-keys.md has a run of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from ops.local.postgres import EmbeddedPostgres
from ops.local.processes import Child, build_minimal_environment, wait_until
from ops.local.report import print_rows, print_title
from ops.local.stack import ROOT, ZAPTIK
from worker.postgres.connection import open_connection
from worker.postgres.migrate import migrate
from worker.settings import read_settings
from worker.sync import seal_stored
from worker.vault import (
    ClientCredentials,
    Keyring,
    SealedCredentials,
    generate_keyring,
    open_credentials,
    read_keyring,
)

_ROTATE_SECONDS = 900
_TENANT = "COPY control.tenant (tenant_id, name, schema_name, url, every_seconds) FROM STDIN"
_DATA_KEY = "COPY control.data_key (tenant_id, key_id, wrapped) FROM STDIN"
_CREDENTIAL = "COPY control.credential (tenant_id, version, envelope) FROM STDIN"
_STORED = """SELECT d.tenant_id, d.wrapped, d.key_id, c.envelope, c.version
             FROM control.data_key d JOIN control.credential c USING (tenant_id)"""
_WRAPPED_BY = "SELECT count(*) FROM control.data_key WHERE key_id <> %s"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A migrated server with tenants, and the keyring's file."""

    admin_url: str
    app_url: str
    file: Path
    tenants: int

    @property
    def ring(self) -> Keyring:
        """The keyring as it is in the file now."""
        return read_keyring(read_settings({"ZAPTIK_KEYRING_FILE": str(self.file)}))

    def fill(self) -> None:
        """Store credentials for every tenant, as the superuser, in three copies."""
        ring, made = self.ring, [uuid4() for _ in range(self.tenants)]
        stored = {tenant: seal_stored(ring, build_credentials(tenant), tenant_id=tenant) for tenant in made}
        rows: dict[str, Iterator[tuple[object, ...]]] = {
            _TENANT: (
                (tenant, f"t{n}", f"tenant_t{n}", f"https://t{n}.service-now.com", 3600)
                for n, tenant in enumerate(made)
            ),
            _DATA_KEY: ((tenant, kept.key_id, kept.wrapped_data_key) for tenant, kept in stored.items()),
            _CREDENTIAL: ((tenant, kept.version, kept.envelope) for tenant, kept in stored.items()),
        }
        with psycopg.connect(self.admin_url) as connection, connection.cursor() as cursor:
            for statement, values in rows.items():
                with cursor.copy(statement.encode()) as copy:
                    for row in values:
                        copy.write_row(row)

    def count_rewrapped(self, old: str) -> int:
        """Count the data keys that another key than the old one wraps."""
        with psycopg.connect(self.admin_url) as connection:
            row = connection.execute(_WRAPPED_BY.encode(), [old]).fetchone()
        return int(row[0]) if row else 0

    def check_all_open(self) -> None:
        """Open every tenant's credentials by the keyring as it is, as a worker would at this moment."""
        ring = self.ring
        with psycopg.connect(self.admin_url) as connection:
            rows = connection.execute(_STORED.encode()).fetchall()
        if len(rows) != self.tenants:
            raise SystemExit(f"{len(rows)} of {self.tenants} tenants have credentials")
        for tenant, wrapped, key_id, envelope, version in rows:
            sealed = SealedCredentials(wrapped, key_id, envelope, version)
            if open_credentials(ring, sealed, tenant=str(tenant)) != build_credentials(tenant):
                raise SystemExit(f"the credentials of {tenant} are others now")

    def build_rotation(self, log_file: Path) -> Child:
        """Give the command, not started."""
        variables = {"ZAPTIK_DATABASE_URL": self.app_url, "ZAPTIK_KEYRING_FILE": str(self.file)}
        environment = build_minimal_environment(**variables)
        command = (ZAPTIK, "keys", "rotate", "--json")
        return Child("rotate", command, log_file=log_file, environment=environment, folder=ROOT)


def build_credentials(tenant: UUID) -> ClientCredentials:
    """Give what a tenant's credentials are."""
    return ClientCredentials(f"client of {tenant}", f"secret of {tenant}")


def measure(fleet: Fleet, log_file: Path) -> list[dict[str, object]]:
    """Rotate, killed when half is done, and again to the end; what each call came to."""
    old = fleet.ring.primary
    rotation = fleet.build_rotation(log_file)
    began = time.perf_counter()
    rotation.start()
    half = fleet.tenants // 2
    if not wait_until(lambda: fleet.count_rewrapped(old) >= half, deadline_seconds=_ROTATE_SECONDS):
        raise rotation.fail(f"did not come half way in {_ROTATE_SECONDS} s")
    rotation.kill()
    killed_seconds, done = time.perf_counter() - began, fleet.count_rewrapped(old)
    fleet.check_all_open()
    began = time.perf_counter()
    rotation.start()
    if code := rotation.wait(deadline_seconds=_ROTATE_SECONDS):
        raise rotation.fail(f"ended with exit code {code}")
    seconds = time.perf_counter() - began
    left = json.loads(rotation.read_log()[rotation.read_log().index("{") :])["rewrapped"]
    fleet.check_all_open()
    if (done + left, fleet.count_rewrapped(old)) != (fleet.tenants, fleet.tenants):
        raise SystemExit(f"{done} and {left} data keys were wrapped anew, of {fleet.tenants}")
    return [
        _describe("killed in the middle", done, killed_seconds),
        _describe("called again", left, seconds),
        _describe("both", done + left, killed_seconds + seconds),
    ]


def _describe(call: str, rewrapped: int, seconds: float) -> dict[str, object]:
    rate = round(rewrapped / seconds)
    return {"call": call, "data keys": rewrapped, "seconds": round(seconds, 1), "a second": rate}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.rotation", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    asked = parser.parse_args()
    with EmbeddedPostgres() as server, tempfile.TemporaryDirectory(prefix="zaptik-bench-") as folder:
        app_url = f"postgresql://zaptik_app:{secrets.token_urlsafe(24)}@127.0.0.1:{server.port}/postgres"
        fleet = Fleet(server.admin_url(), app_url, Path(folder) / "keyring.json", asked.tenants)
        generate_keyring(fleet.file)
        asyncio.run(_migrate(fleet))
        fleet.fill()
        rows = measure(fleet, Path(folder) / "rotate.log")
    print_title(f"Rotating the key of {asked.tenants} tenants")
    print_rows([list(rows[0]), *(list(row.values()) for row in rows)])
    return 0


async def _migrate(fleet: Fleet) -> None:
    async with open_connection(fleet.admin_url, purpose="bench") as admin:
        await migrate(admin, app_url=fleet.app_url, today=datetime.now(UTC).date())


if __name__ == "__main__":
    sys.exit(main())
