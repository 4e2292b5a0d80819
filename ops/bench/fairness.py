"""`python -m ops.bench.fairness`: small tenants beside a large one, with slices and without.

A real scheduler and worker, PostgreSQL and Valkey; simulated instances on loopback, read in pages of ten rows. None has
a revision yet; the small ones become due when the run of the large one has begun. Without slices is with slices that
never end.
docs/explanation/fleet.md has a run of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ops.bench.many import add_tenants
from ops.local.instance import Tenant
from ops.local.processes import wait_until
from ops.local.report import print_rows, print_title
from ops.local.stack import DATABASE, ZAPTIK, Stack

_LARGE, _SMALL = "large", "small"
_PAGE_ROWS = 10
_ENDLESS_SECONDS = 86_400
_BEGIN_SECONDS = 120
_PAUSE = "UPDATE control.tenant SET next_due_at = 'infinity' RETURNING 1"
_DUE = "UPDATE control.tenant SET next_due_at = now() WHERE name ~ %s RETURNING clock_timestamp() AS at"
_BEGUN = "SELECT count(*) AS runs FROM control.run WHERE state = 'running'"
_LEFT = "SELECT count(*) AS tenants FROM control.tenant WHERE name ~ %s AND revision IS NULL"
_TOOK = """SELECT t.name, extract(epoch FROM t.published_at - %s)::float8 AS seconds, r.requests, r.fence AS slices
           FROM control.tenant t JOIN control.run r USING (tenant_id) WHERE t.name ~ %s"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.fairness", description=__doc__)
    parser.add_argument("--small", type=int, default=500, help="tenants")
    parser.add_argument("--large-rows", type=int, default=50_000, help="records of the large instance, about")
    parser.add_argument("--small-rows", type=int, default=100, help="records of the small instance, about")
    parser.add_argument("--slots", type=int, default=1, help="threads of the one worker")
    parser.add_argument("--slice", type=float, default=120, metavar="SECONDS")
    parser.add_argument("--at-most", type=float, default=3_600, metavar="SECONDS", help="for each of the two")
    asked = parser.parse_args()
    tenants = [_plan(_LARGE, asked.large_rows), _plan(_SMALL, asked.small_rows)]
    overrides = {"ZAPTIK_PAGE_ROWS": str(_PAGE_ROWS), "ZAPTIK_WORKER_THREADS": str(asked.slots)}
    with (
        tempfile.TemporaryDirectory(prefix="zaptik-bench-") as logs,
        Stack(logs=Path(logs), tenants=tenants, processes=(), overrides=overrides) as stack,
    ):
        found = [
            _measure(stack, asked, "sliced", slice_seconds=asked.slice),
            _measure(stack, asked, "unsliced", slice_seconds=_ENDLESS_SECONDS),
        ]
    print_title(f"{asked.small} small tenants beside a large one, {asked.slots} slots")
    print_rows([[name, *(one[name] for one in found)] for name in found[0]])
    return 0


def _plan(name: str, rows: int) -> Tenant:
    return Tenant(name, groups=max(4, rows // 25), items=max(4, rows // 9), seed=1)


def _measure(stack: Stack, asked: argparse.Namespace, kind: str, *, slice_seconds: float) -> dict[str, Any]:
    """Let the tenants of this kind have their first revisions; give how long the small ones waited for theirs."""
    add_tenants(stack, _LARGE, [f"{kind}-{_LARGE}"], every_seconds=86_400)
    names = [f"{kind}-{_SMALL}-{number}" for number in range(asked.small)]
    add_tenants(stack, _SMALL, names, every_seconds=86_400)
    _ask(stack, _PAUSE)
    environment = stack.settings() | {"ZAPTIK_SLICE_SECONDS": str(slice_seconds)}
    children = [
        stack.start_process(f"{kind}-{process}", ZAPTIK, process, environment=environment)
        for process in ("scheduler", "worker")
    ]
    _ask(stack, _DUE, f"^{kind}-{_LARGE}$")
    wait_until(lambda: bool(_ask(stack, _BEGUN)[0]["runs"]), deadline_seconds=_BEGIN_SECONDS)
    began = _ask(stack, _DUE, f"^{kind}-{_SMALL}-")[0]["at"]
    is_over = wait_until(
        lambda: not _ask(stack, _LEFT, f"^{kind}-")[0]["tenants"], deadline_seconds=asked.at_most
    )
    for child in children:
        child.stop()
    if not is_over:
        sys.exit(f"after {asked.at_most:g} s not every tenant had its first revision")
    rows = _ask(stack, _TOOK, began, f"^{kind}-")
    [large] = [row for row in rows if row["name"].endswith(_LARGE)]
    small = [row for row in rows if row is not large]
    cuts = statistics.quantiles([row["seconds"] for row in small], n=20)
    return {
        "": kind,
        "slice seconds": slice_seconds,
        "small: first revision p50 s": round(cuts[9], 1),
        "small: p95 s": round(cuts[18], 1),
        "small: requests each": round(statistics.mean(row["requests"] for row in small)),
        "large: first revision s": round(large["seconds"], 1),
        "large: requests": large["requests"],
        "large: slices": large["slices"],
    }


def _ask(stack: Stack, query: str, *values: object) -> list[dict[str, Any]]:
    url = stack.admin_database_url(DATABASE)
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


if __name__ == "__main__":
    sys.exit(main())
