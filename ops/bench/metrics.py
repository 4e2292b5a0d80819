"""`python -m ops.bench.metrics`: what a scrape of `/metrics` costs, and the round that reads its figures.

Tenants are rows alone, on a server of its own: the scheduler's figures look at nothing else. Under a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from jobs.events import SCHEDULER_TICKED, Event
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.report import print_rows
from worker.fleet.scheduler import read_figures
from worker.postgres.connection import open_connection
from worker.postgres.migrate import migrate
from worker.telemetry import FleetFigures, Health, Metrics, MetricsServer

_SCRAPES = 50
_ROUNDS = 5
_TENANTS = """INSERT INTO control.tenant (name, schema_name, url, every_seconds, state, next_due_at, as_of)
    SELECT 'row-' || n, 'tenant_row_' || n, 'https://row.service-now.com', 3600, 'active', now(),
           now() - n * interval '1 second'
    FROM generate_series(1, %s) n"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.metrics", description=__doc__)
    parser.add_argument("--tenants", type=int, nargs="+", default=[10, 10_000])
    rows: list[list[object]] = [
        ["tenants", "figures, median ms", "scrape, median ms", "scrape, longest ms", "bytes"]
    ]
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
        app_url = f"postgresql://zaptik_app:{secrets.token_urlsafe(24)}@127.0.0.1:{server.port}/postgres"
        asyncio.run(_migrate(server.admin_url(), app_url))
        for tenants in parser.parse_args().tenants:
            asyncio.run(_fill(server.admin_url(), tenants))
            figures, read_ms = asyncio.run(_read(app_url))
            rows.append([tenants, read_ms, *_scrape(figures)])
    print_rows(rows)
    return 0


async def _migrate(admin_url: str, app_url: str) -> None:
    async with open_connection(admin_url, purpose="bench migrate") as admin:
        await migrate(
            admin,
            app_url=app_url,
            today=datetime.now(UTC).date(),
            opening=lambda: open_connection(admin_url, purpose="bench migrate"),
        )


async def _fill(admin_url: str, tenants: int) -> None:
    async with open_connection(admin_url, purpose="bench") as admin:
        await admin.execute("DELETE FROM control.tenant")
        await admin.execute(_TENANTS, (tenants,))
        await admin.execute("ANALYZE control.tenant")


async def _read(app_url: str) -> tuple[FleetFigures, float]:
    """Read the figures as a scheduler does, the connection included."""
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        async with open_connection(app_url, purpose="bench") as app:
            figures = await read_figures(app)
        took.append(time.perf_counter() - began)
    return figures, _milliseconds(statistics.median(took))


def _scrape(figures: FleetFigures) -> tuple[float, float, int]:
    metrics = Metrics(version="0", process="scheduler")
    metrics.set_fleet(figures)
    metrics.observe(Event(SCHEDULER_TICKED))
    with MetricsServer(metrics.registry, Health(), host="127.0.0.1", port=0) as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        took = [_time(lambda: _fetch(url)) for _ in range(_SCRAPES)]
        return _milliseconds(statistics.median(took)), _milliseconds(max(took)), len(_fetch(url))


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # noqa: S310  our own, on loopback
        body: bytes = answer.read()
        return body


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
