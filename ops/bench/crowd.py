"""A server with many empty tenants; what they take, and what it costs to reach, dump and drop them."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schema
from ops.local.commands import run_command
from ops.local.postgres import EmbeddedPostgres
from worker.postgres.connection import Connection, as_tenant, fetch_rows, open_connection
from worker.postgres.tenants import add_tenant

Figures = list[dict[str, Any]]

_SAMPLES = 200
_WATCHED_EVERY_SECONDS = 0.05
_DUMP_SECONDS = 900
_LOCKS = """SELECT coalesce(max(held), 0)::bigint AS one, coalesce(sum(held), 0)::bigint AS all FROM (
                SELECT count(*) AS held FROM pg_locks WHERE NOT fastpath AND pid <> pg_backend_pid() GROUP BY pid
            ) each"""
_SIZES = """SELECT count(*)::bigint AS relations, (SELECT count(*) FROM pg_attribute)::bigint AS attributes,
                   (SELECT count(*) FROM pg_proc)::bigint AS functions,
                   (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
                    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r')::bigint AS catalogue,
                   pg_database_size(current_database()) AS database
            FROM pg_class"""
_QUERIES = ("read_table_states", "read_current_revision", "has_rows_of")


@dataclass(slots=True)
class Locks:
    """The most locks seen that one session held in the shared table, and all together."""

    one: int = 0
    all: int = 0

    def document(self) -> dict[str, int]:
        """Give them as columns."""
        return {"locks of one session": self.one, "locks of all": self.all}


class Crowd:
    """A migrated server and its tenants, `crowd-00001` and so on."""

    def __init__(self, server: EmbeddedPostgres, app_url: str) -> None:
        self.server = server
        self.app_url = app_url
        self.tenants = 0

    def __repr__(self) -> str:
        return f"<Crowd of {self.tenants} on {self.server}>"

    async def add(self, count: int) -> dict[str, float]:
        """Add some more tenants, one after the other on one connection; gives what one of them took."""
        async with (
            open_connection(self.server.admin_url(), purpose="bench") as admin,
            _spent_each(admin, count) as spent,
        ):
            for _ in range(count):
                name = f"crowd-{self.tenants + 1:05d}"
                await add_tenant(admin, name, url=f"https://{name}.service-now.com", every_seconds=3600)
                self.tenants += 1
        return spent

    async def read_sizes(self) -> dict[str, Any]:
        """Give what the catalogue and the files come to for each tenant."""
        async with open_connection(self.server.admin_url(), purpose="bench") as admin:
            await admin.execute("VACUUM ANALYZE")
            row = (await (await admin.execute(_SIZES)).fetchall())[0]
        each = {
            f"{name} each": round(row[name] / self.tenants)
            for name in ("relations", "attributes", "functions")
        }
        sizes = {
            f"{name} KB each": round(row[name] / self.tenants / 1000) for name in ("catalogue", "database")
        }
        return {"tenants": self.tenants, **each, **sizes, "database MB": round(row["database"] / 1_000_000)}

    async def measure_connecting(self) -> dict[str, Any]:
        """Connect as the app and become a tenant, many times, each time another one."""
        connecting, becoming = [], []
        for sample in range(_SAMPLES):
            began = time.perf_counter()
            async with open_connection(self.app_url, purpose="bench") as app:
                connected = time.perf_counter()
                async with as_tenant(app, self._schema(sample)):
                    becoming.append(time.perf_counter() - connected)
                connecting.append(connected - began)
        return {
            "tenants": self.tenants,
            **_spread("connect", connecting),
            **_spread("first SET LOCAL ROLE", becoming),
        }

    async def measure_memory(self) -> Figures:
        """Touch every tenant by one connection, then by one each as the fleet does; what the processes hold after."""
        async with open_connection(self.app_url, purpose="bench") as app:
            for number in range(self.tenants):
                await self._touch(app, number)
            pid = app.info.backend_pid
            found = [{"touched": "all by one connection", "its backend, MB": _private_mb(pid)}]
        before, most = _private_mb(os.getpid()), 0.0
        for number in range(self.tenants):
            async with open_connection(self.app_url, purpose="bench") as app:
                await self._touch(app, number)
                most = max(most, _private_mb(app.info.backend_pid))
        process = f"{before} before, {_private_mb(os.getpid())} after"
        return [
            {**found[0], "this process, MB": f"{before}"},
            {"touched": "all, a connection each", "its backend, MB": most, "this process, MB": process},
        ]

    async def measure_dump(self) -> dict[str, Any]:
        """Dump the schemas of all as `pg_dump` does."""
        server = self.server
        began = time.perf_counter()
        async with watched_locks(server) as locks:
            await asyncio.to_thread(
                run_command,
                "pg_dump",
                [server.binaries / "pg_dump", "--schema-only", "--file=/dev/null",
                 server.admin_url().replace(f":{server.password}@", "@")],
                log_file=server.log_file,
                environment={"PATH": "", "LC_ALL": "C", "PGPASSWORD": server.password},
                folder=server.folder,
                deadline_seconds=_DUMP_SECONDS,
            )  # fmt: skip
        return {"tenants": self.tenants, "seconds": round(time.perf_counter() - began, 1), **locks.document()}

    async def measure_dropping(self, count: int) -> dict[str, Any]:
        """Drop schemas and roles of the last ones, each in a transaction."""
        last = range(self.tenants - min(count, self.tenants), self.tenants)
        async with (
            watched_locks(self.server) as locks,
            open_connection(self.server.admin_url(), purpose="bench") as admin,
            _spent_each(admin, len(last)) as spent,
        ):
            for number in last:
                name = self._schema(number)
                roles = f"{name}, reader_{name.removeprefix('tenant_')}"
                async with admin.transaction():
                    for statement in (
                        f"DROP SCHEMA {name} CASCADE",
                        f"DROP OWNED BY {roles}",
                        f"DROP ROLE {roles}",
                    ):
                        await admin.execute(statement.encode())
        return {"tenants": self.tenants, "dropped": len(last), **spent, **locks.document()}

    def _schema(self, number: int) -> str:
        return f"tenant_crowd_{number % self.tenants + 1:05d}"

    async def _touch(self, app: Connection, number: int) -> None:
        name = self._schema(number)
        async with as_tenant(app, name):
            for query in _QUERIES:
                values = {"tables": ["sys_user_group"]} if query == "has_rows_of" else {}
                await fetch_rows(app, "tenant", query, within=name, **values)


@asynccontextmanager
async def watched_locks(server: EmbeddedPostgres) -> AsyncIterator[Locks]:
    """Look at the locks while the block goes on, and keep the most."""
    locks, is_over = Locks(), asyncio.Event()
    watching = asyncio.create_task(_watch(server, locks, is_over))
    try:
        yield locks
    finally:
        is_over.set()
        await watching


async def _watch(server: EmbeddedPostgres, locks: Locks, is_over: asyncio.Event) -> None:
    async with open_connection(server.admin_url(), purpose="bench") as admin:
        while not is_over.is_set():
            row = (await (await admin.execute(_LOCKS)).fetchall())[0]
            locks.one, locks.all = max(locks.one, row["one"]), max(locks.all, row["all"])
            try:
                await asyncio.wait_for(is_over.wait(), _WATCHED_EVERY_SECONDS)
            except TimeoutError:
                continue


@contextmanager
def grown_migrations(*texts: str) -> Iterator[None]:
    """Have some migrations more of the tenants' schemas for a while."""
    real = schema.read_migrations

    def grown(area: schema.Area) -> tuple[schema.Migration, ...]:
        found = real(area)
        more = enumerate(texts, len(found) + 1) if area == "tenant" else ()
        return (*found, *(schema.Migration(version, "grown", text) for version, text in more))

    schema.read_migrations = grown  # type: ignore[assignment]
    try:
        yield
    finally:
        schema.read_migrations = real


@asynccontextmanager
async def _spent_each(connection: Connection, count: int) -> AsyncIterator[dict[str, float]]:
    """Give, after the block, what one of so many took: by the clock, and of the server process's processor time."""
    spent: dict[str, float] = {}
    pid = connection.info.backend_pid
    began, before = time.perf_counter(), read_processor_seconds(pid)
    yield spent
    spent["ms each"] = round((time.perf_counter() - began) / count * 1000, 1)
    spent["CPU ms each"] = round((read_processor_seconds(pid) - before) / count * 1000, 1)


def read_processor_seconds(pid: int) -> float:
    """Give the processor time that a process of one thread has taken; the kernel counts it in nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _spread(what: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{what} p50 ms": round(cuts[49] * 1000, 1), f"{what} p99 ms": round(cuts[98] * 1000, 1)}


def _private_mb(pid: int) -> float:
    """Give a process's own memory, without what it shares with others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(round(int(line.split()[1]) / 1000, 1) for line in lines if line.startswith("RssAnon"))
