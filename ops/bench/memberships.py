"""`python -m ops.bench.memberships`: what it costs to be a member of thousands of tenants' roles, and to become one.

On a server of its own, whose tenants are roles alone: making them takes seconds, not minutes. Each sample connects
anew, as a slice does, since what a session knows of memberships it has to read first. Compare the lines of one run: the
server shares this machine's processors with whatever else runs. docs/explanation/sizing.md has a run of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ops.bench.crowd import Figures, read_processor_seconds
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.report import print_rows, print_title
from worker.postgres.connection import as_tenant, open_connection
from worker.postgres.migrate import migrate

_ROLES = """DO $$ BEGIN
    FOR number IN {first}..{last} LOOP
        EXECUTE format('CREATE ROLE tenant_bare_%s', number);
        EXECUTE format('GRANT tenant_bare_%s TO zaptik_app', number);
    END LOOP;
END $$"""


async def measure(server: EmbeddedPostgres, marks: list[int], samples: int) -> Figures:
    """Measure at each number of memberships."""
    url = server.admin_url()
    app_url = f"postgresql://zaptik_app:{secrets.token_urlsafe(24)}@127.0.0.1:{server.port}/postgres"
    found, there = [], 0
    async with open_connection(url, purpose="bench") as admin:
        await migrate(admin, app_url=app_url, today=datetime.now(UTC).date())
        for mark in marks:
            await admin.execute(_ROLES.format(first=there + 1, last=mark).encode())
            there = mark
            await admin.execute("VACUUM ANALYZE pg_auth_members")
            found.append({"memberships": mark, **await _sample(app_url, mark, samples)})
            print(f"  {found[-1]}", file=sys.stderr, flush=True)
    return found


async def _sample(app_url: str, memberships: int, samples: int) -> dict[str, float]:
    connecting, becoming, processor = [], [], []
    for sample in range(samples):
        began = time.perf_counter()
        async with open_connection(app_url, purpose="bench") as app:
            connected = time.perf_counter()
            before = read_processor_seconds(app.info.backend_pid)
            async with as_tenant(app, f"tenant_bare_{sample % memberships + 1}"):
                becoming.append(time.perf_counter() - connected)
            processor.append(read_processor_seconds(app.info.backend_pid) - before)
            connecting.append(connected - began)
    return {
        **_spread("connect", connecting),
        **_spread("first SET LOCAL ROLE", becoming),
        "of it CPU, mean ms": round(statistics.fmean(processor) * 1000, 1),
    }


def _spread(what: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{what} p50 ms": round(cuts[49] * 1000, 1), f"p99 of {what}, ms": round(cuts[98] * 1000, 1)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.memberships", description=__doc__)
    parser.add_argument("--marks", type=int, nargs="+", default=[1, 2_000, 10_000])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--postgres", type=Path, metavar="FOLDER", help="of another PostgreSQL's programs")
    asked = parser.parse_args()
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY, binaries=asked.postgres) as server:
        rows = asyncio.run(measure(server, asked.marks, asked.samples))
    print_title("Memberships")
    print_rows([list(rows[0]), *(list(row.values()) for row in rows)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
