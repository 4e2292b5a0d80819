"""A deployment of its own with a real Redis, a tenant that was read from an instance, and the command to delete it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from psycopg import sql

from jobs.surface import read_surface
from ops.local.valkey import EmbeddedValkey
from tests.conftest import Deployment
from worker.command import main
from worker.postgres import audit, audit_chain, runs
from worker.postgres.connection import Connection, fetch_rows, in_tenant_rows, open_connection
from worker.postgres.tenants import Tenant, add_tenant, find_tenant, store_credentials
from worker.queue import Doorbell
from worker.servicenow import build_trust
from worker.settings import Settings, read_settings
from worker.sync import Parts, run_slice, seal_stored
from worker.vault import ClientCredentials, generate_audit_key, generate_keyring, read_audit_key, read_keyring

CLIENT_ID = "client-c4n4ry-5e1f"
RELATIONS = """SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'pg_toast' ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a call of the command came to."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Leaver:
    """The deployment, its Redis, its files, and the variables of whoever administers it."""

    deployment: Deployment
    valkey: EmbeddedValkey
    folder: Path
    settings: Settings
    variables: dict[str, str]

    @property
    def tombstones(self) -> Path:
        return self.folder / "tombstones.jsonl"

    @contextmanager
    def environment(self, **changed: str) -> Iterator[None]:
        """Be in the administrator's environment, with some of it changed; an empty one is left out."""
        before = {name: text for name, text in os.environ.items() if name.startswith("ZAPTIK_")}
        for name in before:
            if not name.startswith("ZAPTIK_TEST_"):
                del os.environ[name]
        os.environ.update({name: text for name, text in {**self.variables, **changed}.items() if text})
        try:
            yield
        finally:
            for name in [*self.variables, *changed]:
                os.environ.pop(name, None)
            os.environ.update(before)

    async def call(self, capsys: Any, *words: str, **changed: str) -> Ended:
        """Call the command in this process."""
        capsys.readouterr()
        with self.environment(**changed):
            code = await asyncio.to_thread(main, list(words))
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    async def add(self, admin: Connection, app: Connection, name: str, url: str) -> Tenant:
        """Add a tenant with credentials, and let it be read once, by slices in this process."""
        tenant = await add_tenant(admin, name, url=url, every_seconds=3600)
        ring = read_keyring(self.settings)
        async with in_tenant_rows(app, tenant.tenant_id):
            stored = seal_stored(
                ring, ClientCredentials(CLIENT_ID, "slice-secret"), tenant_id=tenant.tenant_id
            )
            await store_credentials(app, tenant.tenant_id, stored)
        return await find_tenant(app, name)

    async def sync(self, app: Connection, tenant: Tenant) -> dict[str, Any]:
        """Ask for a run, ring for it in the real Redis, and do it; gives its row."""
        number = await runs.request_sync(app, tenant.name, mode="delta")
        await fetch_rows(app, "control", "fold_requests", batch=10)
        run_id = await runs.read_request(app, tenant.tenant_id, number)
        assert run_id is not None
        doorbell = Doorbell(self.valkey.url())
        doorbell.ring(run_id)
        doorbell.close()
        parts = Parts(
            settings=self.settings,
            keyring=read_keyring(self.settings),
            trust=build_trust(self.settings.ca_file),
            surface=read_surface(),
            worker="this test",
            emit=lambda _event: None,
        )
        state = "requested"
        while state in {"requested", "running"}:
            await asyncio.to_thread(run_slice, parts, run_id)
            async with in_tenant_rows(app, tenant.tenant_id):
                [row] = await fetch_rows(app, "control", "read_runs", run=run_id, limit=1)
            state = row["state"]
        return row

    async def seal_and_verify(self, app: Connection) -> audit_chain.Verified:
        """Seal what is settled, and check the whole trail by the deployment's key."""
        key = read_audit_key(self.settings)
        assert key is not None
        async for _ in audit.seal(app, key, holder="this test", now=_now):
            pass
        return await audit_chain.verify(app, key.trusted.check, now=_now())


def build_leaver(
    deployment: Deployment, valkey: EmbeddedValkey, folder: Path, *, host: str, ca_file: Path
) -> Leaver:
    """Make the keys, and the settings of workers and of the administrator."""
    generate_keyring(folder / "keyring.json")
    generate_audit_key(folder / "audit.json")
    variables = {
        "ZAPTIK_DATABASE_URL": deployment.app_url,
        "ZAPTIK_ADMIN_DATABASE_URL": deployment.admin_url,
        "ZAPTIK_REDIS_URL": valkey.url(),
        "ZAPTIK_KEYRING_FILE": str(folder / "keyring.json"),
        "ZAPTIK_AUDIT_KEY_FILE": str(folder / "audit.json"),
        "ZAPTIK_TOMBSTONES_FILE": str(folder / "tombstones.jsonl"),
        "ZAPTIK_INSTANCE_HOSTS": host,
        "ZAPTIK_CA_FILE": str(ca_file),
    }
    return Leaver(deployment, valkey, folder, read_settings(variables), variables)


async def find_in_database(admin_url: str, words: list[str]) -> dict[str, list[str]]:
    """Look for words in every row of every table, the server's own and the catalogue's included; gives where."""
    found: dict[str, list[str]] = {}
    async with open_connection(admin_url, purpose="search") as admin:
        cursor = await admin.execute(RELATIONS.encode())
        for row in await cursor.fetchall():
            query = sql.SQL("SELECT t::text AS line FROM {} t").format(sql.SQL(row["name"]))
            rows = await (await admin.execute(query)).fetchall()
            for word in words:
                if any(word.lower() in (line["line"] or "").lower() for line in rows):
                    found.setdefault(word, []).append(row["name"])
    return found


def find_in_redis(url: str, words: list[str]) -> dict[str, list[str]]:
    """Look for words in every key of Redis and all that it holds."""
    found: dict[str, list[str]] = {}
    readers: dict[bytes, Callable[[redis.Redis, bytes], object]] = {
        b"string": lambda client, key: client.get(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1),
    }
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            text = f"{key!r} {readers[client.type(key)](client, key)!r}".lower()
            for word in words:
                if word.lower() in text:
                    found.setdefault(word, []).append(repr(key))
    return found


def _now() -> datetime:
    return datetime.now(UTC)
