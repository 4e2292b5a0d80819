"""The measured processes: a whole first run, or its parts alone. Each prints one JSON object.

A process of its own for each, so that processor time and memory are those of the work and of nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from uuid import UUID

import psycopg

from jobs.page import Position, next_position
from jobs.surface import Table, read_surface
from worker.postgres import reading, runs, tenants
from worker.postgres.connection import open_connection
from worker.servicenow import Client, Limits, TokenStore, build_trust, open_client
from worker.settings import Settings, read_settings
from worker.sync import Parts, run_slice
from worker.vault import read_keyring

Rows = dict[str, list[dict[str, str]]]
_TICK_SECONDS = 0.001  # the kernel rounds it up to its own tick


@dataclasses.dataclass(slots=True)
class Spent:
    """Wall and processor time of this process, in seconds."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


def main() -> None:
    """Measure what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "parts"])
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--mode", choices=["full", "delta"], default="full", help="of the run")
    parser.add_argument("--profile", metavar="FILE", help="leave whose code ran in FILE")
    asked = parser.parse_args()
    settings = read_settings(os.environ)
    if asked.what == "run":
        measured = measure_run(settings, asked.tenant, mode=asked.mode, profile=asked.profile)
    else:
        measured = measure_parts(settings)
    print(json.dumps(measured))


def measure_run(settings: Settings, tenant: str, *, mode: str, profile: str | None) -> dict[str, object]:
    """Do one run of a tenant in this process, slice after slice, to its end."""
    run_id = asyncio.run(_request(settings, tenant, mode=mode))
    parts = Parts(
        settings=settings,
        keyring=read_keyring(settings),
        trust=build_trust(settings.ca_file),
        surface=read_surface(),
        worker="bench",
        emit=lambda _: None,
    )
    phases: dict[str, float] = {}

    def note(event: object) -> None:
        kind, fields = getattr(event, "kind", None), getattr(event, "fields", {})
        if kind is not None and kind.name == "publish.ended":
            phases[f"publish_{fields['phase']}_seconds"] = round(fields["seconds"], 3)

    parts = dataclasses.replace(parts, emit=note)
    with _spending() as spent, _profiling(profile):
        while (run := asyncio.run(_read_run(settings, tenant, run_id)))["state"] in {"requested", "running"}:
            run_slice(parts, run_id)
    if run["state"] not in {"published", "unchanged"}:
        raise SystemExit(f"the run ended as {run['state']}: {run['error']}")
    return {
        **dataclasses.asdict(spent),
        **{name: run[name] for name in ("records", "requests", "nodes", "edges")},
        **phases,
        "peak_mb": _peak_mb(),
    }


def measure_parts(settings: Settings) -> dict[str, object]:
    """Download and check the same pages alone, then copy the same rows alone, in binary, into plain tables."""
    with _spending() as download:
        rows = asyncio.run(_download(settings))
    with _spending() as copy:
        asyncio.run(_copy(os.environ["BENCH_DATABASE_URL"], rows))
    return {
        "records": sum(map(len, rows.values())),
        "download": dataclasses.asdict(download),
        "copy": dataclasses.asdict(copy),
    }


async def _request(settings: Settings, tenant: str, *, mode: str) -> UUID:
    async with open_connection(settings.require_database_url(), purpose="bench") as connection:
        found = await tenants.find_tenant(connection, tenant)
        number = await runs.request_sync(connection, tenant, mode=mode)
        await runs.plan_round(connection, max_attempts=5, again_after_seconds=30)
        run_id = await runs.read_request(connection, found.tenant_id, number)
        assert run_id is not None
        return run_id


async def _read_run(settings: Settings, tenant: str, run_id: UUID) -> dict[str, object]:
    async with open_connection(settings.require_database_url(), purpose="bench") as connection:
        found = await tenants.find_tenant(connection, tenant)
        return (await reading.read_runs(connection, found, limit=1, run_id=run_id))[0]


async def _download(settings: Settings) -> Rows:
    rows: Rows = {}
    async with _open_client(settings) as client, asyncio.TaskGroup() as group:
        for table in read_surface().tables.values():
            group.create_task(_download_table(client, table, rows))
    return rows


async def _download_table(client: Client, table: Table, rows: Rows) -> None:
    found = rows[table.name] = []
    position = Position()
    while not position.ended:
        fetched = await client.fetch_page(table, position, emit=lambda _: None)
        found.extend(fetched.page.rows)
        position = next_position(position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total)


@asynccontextmanager
async def _open_client(settings: Settings) -> AsyncIterator[Client]:
    limits = Limits(
        page_rows=settings.page_rows,
        request_timeout_seconds=settings.request_timeout_seconds,
        concurrency=settings.instance_concurrency,
    )
    async with open_client(
        os.environ["BENCH_INSTANCE_URL"],
        client_id=os.environ["BENCH_CLIENT_ID"],
        client_secret=os.environ["BENCH_CLIENT_SECRET"],
        allowed_hosts=settings.instance_hosts,
        trust=build_trust(settings.ca_file),
        tokens=TokenStore(),
        token_key=(UUID(int=0), 1),
        limits=limits,
    ) as client:
        yield client


async def _copy(url: str, rows: Rows) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for table in read_surface().tables.values():
            names = [psycopg.sql.Identifier(name) for name in table.fields]
            await _copy_table(connection, table, names, rows[table.name])


async def _copy_table(
    connection: psycopg.AsyncConnection[tuple[object, ...]],
    table: Table,
    names: list[psycopg.sql.Identifier],
    rows: list[dict[str, str]],
) -> None:
    target = psycopg.sql.Identifier(f"bench_{table.name}")
    columns = psycopg.sql.SQL(", ").join(psycopg.sql.SQL("{} text").format(name) for name in names)
    await connection.execute(psycopg.sql.SQL("DROP TABLE IF EXISTS {}").format(target))
    await connection.execute(psycopg.sql.SQL("CREATE TABLE {} ({})").format(target, columns))
    statement = psycopg.sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(target)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["text"] * len(names))
        for row in rows:
            await copy.write_row([row.get(name) for name in table.fields])


@contextmanager
def _profiling(file: str | None) -> Iterator[None]:
    """Count, at ticks of this process's processor time, whose code runs; leave the counts in a named file, as JSON.

    What is written in C counts for the Python code that called it. Ticks cost nearly nothing, unlike a profiler that
    is called at each function.
    """
    if file is None:
        yield
        return
    ticks: Counter[str] = Counter()

    def tick(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            ticks[frame.f_code.co_filename] += 1

    signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, _TICK_SECONDS, _TICK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(json.dumps(ticks))


@contextmanager
def _spending() -> Iterator[Spent]:
    spent = Spent()
    wall, cpu = time.perf_counter(), time.process_time()
    yield spent
    spent.wall_seconds = round(time.perf_counter() - wall, 3)
    spent.cpu_seconds = round(time.process_time() - cpu, 3)


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
