"""`python -m ops.bench.tenants`: what thousands of tenants ask of one PostgreSQL, and of who connects to it.

On a server of its own, without durability, whose every tenant is empty: what is measured is the catalogue. Compare the
lines: the server shares this machine's processors with whatever else runs. docs/explanation/sizing.md has a run of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.bench.crowd import Crowd, Figures, grown_migrations, watched_locks
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.report import print_rows, print_title
from worker.postgres.connection import open_connection
from worker.postgres.migrate import migrate

_STEP = 100  # tenants
_DROPPED = 50


async def measure(asked: argparse.Namespace) -> AsyncIterator[tuple[str, Figures]]:
    """Measure all of it, a title and its lines at a time."""
    settings = {**WITHOUT_DURABILITY, "max_locks_per_transaction": str(asked.locks)}
    with EmbeddedPostgres(settings=settings, binaries=asked.postgres) as server:
        app_url = f"postgresql://zaptik_app:{secrets.token_urlsafe(24)}@127.0.0.1:{server.port}/postgres"
        crowd = Crowd(server, app_url)
        await _migrate(crowd)
        added, connecting = await _add_all(crowd, sorted({1, asked.tenants // 4, asked.tenants}))
        yield "Adding tenants", added
        yield "Connecting", connecting
        yield "What each tenant takes", [await crowd.read_sizes()]
        yield "Migrating all", await _measure_migrations(crowd)
        yield "Memory", await crowd.measure_memory()
        yield "Dropping", [await crowd.measure_dropping(_DROPPED)]
        yield "pg_dump", [await crowd.measure_dump()]


async def _add_all(crowd: Crowd, marks: list[int]) -> tuple[Figures, Figures]:
    added, connecting = [], []
    while crowd.tenants < marks[-1]:
        upto = min([mark for mark in marks if mark > crowd.tenants] + [crowd.tenants + _STEP])
        first = crowd.tenants
        spent = await crowd.add(upto - first)
        added.append({"tenants": f"{first + 1} to {upto}", **spent})
        _say(f"{upto} tenants: {spent}")
        if upto in marks:
            connecting.append(await crowd.measure_connecting())
    return added, connecting


async def _measure_migrations(crowd: Crowd) -> Figures:
    found = [await _measure_migration(crowd, "nothing to do")]
    with grown_migrations("ALTER TABLE {tenant}.node ADD COLUMN measured text"):
        found.append(await _measure_migration(crowd, "one column more in each"))
    return found


async def _measure_migration(crowd: Crowd, what: str) -> dict[str, Any]:
    async with watched_locks(crowd.server) as locks:
        began = time.perf_counter()
        await _migrate(crowd)
        seconds = time.perf_counter() - began
    each = round(seconds / max(crowd.tenants, 1) * 1000, 1)
    return {"migrate": what, "seconds": round(seconds, 1), "ms each": each, **locks.document()}


async def _migrate(crowd: Crowd) -> None:
    url = crowd.server.admin_url()
    async with open_connection(url, purpose="bench migrate") as admin:
        report = await migrate(
            admin,
            app_url=crowd.app_url,
            today=datetime.now(UTC).date(),
            opening=lambda: open_connection(url, purpose="bench migrate"),
        )
    if report.failed:
        sys.exit(f"{len(report.failed)} tenants were not migrated: {report.failed[0]}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=2_000)
    parser.add_argument("--postgres", type=Path, metavar="FOLDER", help="of another PostgreSQL's programs")
    parser.add_argument("--locks", type=int, default=4_096, help="max_locks_per_transaction of the server")
    asyncio.run(_print(parser.parse_args()))
    return 0


async def _print(asked: argparse.Namespace) -> None:
    async for title, rows in measure(asked):
        print_title(title)
        print_rows([list(rows[0]), *(list(row.values()) for row in rows)])
        sys.stdout.flush()


def _say(step: str) -> None:
    print(f"  {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
