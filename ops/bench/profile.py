"""`python -m ops.bench.profile`: where a first run and an idle run spend processor time, in the worker and PostgreSQL.

The worker is looked at in ticks of its processor time, by whose Python code runs or waits for C; PostgreSQL counts by
the clock with pg_stat_statements, so that its times want a machine that has nothing else to do.
docs/explanation/performance.md has a run of it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg

import schema
from ops.bench.__main__ import measure_process, plan_tenant
from ops.local.failure import StepFailure
from ops.local.report import print_rows, print_title
from ops.local.stack import DATABASE, Stack

_PRELOADED = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_planning": "on"}
_STATEMENTS = """SELECT query, total_exec_time + total_plan_time AS ms FROM pg_stat_statements
                 WHERE query !~ 'pg_stat_statements' ORDER BY ms DESC"""
_MOST_LINES = 12

# What a file of the profile belongs to: the first that stands in its path.
_ROOMS = (
    ("/jobs/graph", "rows to nodes and edges, and their hashes"),
    ("/jobs/keys", "the keys of what was read"),
    ("/jobs/", "checking and parsing answers"),
    ("/worker/servicenow/", "our client of the instance"),
    ("/httpx/", "HTTP"),
    ("/httpcore/", "HTTP"),
    ("/h11/", "HTTP"),
    ("/anyio/", "HTTP"),
    ("/zlib", "HTTP"),
    ("/psycopg", "psycopg"),
    ("/worker/postgres/", "our statements to PostgreSQL"),
    ("/worker/", "the run itself"),
    ("/asyncio/", "asyncio"),
)
_ELSEWHERE = "Python, elsewhere"


def main() -> int:
    """Measure and print; 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.profile", description=__doc__)
    parser.add_argument("--records", type=int, default=50_000, help="about how many records to crawl")
    asked = parser.parse_args()
    try:
        measure(asked.records)
    except StepFailure as failure:
        print(f"\nthe measurement failed: {failure}", file=sys.stderr)
        return 1
    return 0


def measure(records: int) -> None:
    """Do a first run and one that finds nothing changed, and print where each spent its time."""
    tenant = plan_tenant("profiled", records)
    with (
        tempfile.TemporaryDirectory(prefix="zaptik-bench-") as folder,
        Stack(
            logs=Path(folder), tenants=[tenant], processes=(), say=_say, server_settings=_PRELOADED
        ) as stack,
        psycopg.connect(stack.admin_database_url(DATABASE), autocommit=True) as connection,
    ):
        connection.execute("CREATE EXTENSION pg_stat_statements")
        for name, mode in (("a first run", "full"), ("an idle run", "delta")):
            _say(f"profiling {name}")
            connection.execute("SELECT pg_stat_statements_reset()")
            file = f"{folder}/{mode}.profile"
            run = measure_process(
                stack, stack.instances[tenant.name], "run", "--mode", mode, "--profile", file
            )
            print_title(f"{name}: {run['records']} records, {run['requests']} requests")
            _print_shares("the worker", _share_rooms(file, seconds=run["cpu_seconds"]))
            _print_shares("PostgreSQL", _share_statements(connection.execute(_STATEMENTS).fetchall()))


def _share_rooms(file: str, *, seconds: float) -> dict[str, float]:
    """Share the time of a run among the rooms, by how often the ticks of `measured` met each."""
    ticks = json.loads(Path(file).read_text())
    shares: defaultdict[str, float] = defaultdict(float)
    for path, met in ticks.items():
        shares[_find_room(path)] += seconds * met / sum(ticks.values())
    return shares


def _find_room(path: str) -> str:
    return next((room for part, room in _ROOMS if part in path), _ELSEWHERE)


def _share_statements(rows: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Add up each statement's time, by the name that it has in our files."""
    areas: tuple[schema.Area, ...] = ("control", "tenant")
    named = {
        _strip(query.sql): f"{area}.{query.name}"
        for area in areas
        for query in schema.read_queries(area).values()
    }
    shares: defaultdict[str, float] = defaultdict(float)
    for text, milliseconds in rows:
        stripped = _strip(text)
        shares[named.get(stripped, "transactions and the rest")] += milliseconds / 1_000
    return shares


def _strip(text: str) -> str:
    """Take from a statement what the server writes otherwise: values, lists, names of schemas, and space."""
    text = re.sub(r"--[^\n]*", "", text)
    text = re.sub(r"\{tenant\}|\"tenant_\w+\"|\{reader\}|\"reader_\w+\"", "", text)
    text = re.sub(r"%\(\w+\)s|\$\d+|'[^']*'|\b\d+\b|/\*.*?\*/", "", text)
    return re.sub(r"\b(true|false|null)\b|[^a-z_]", "", text.lower())


def _print_shares(what: str, shares: Mapping[str, float]) -> None:
    total = sum(shares.values())
    rows: list[list[object]] = [[what, "s", "%"]]
    first = sorted(shares.items(), key=lambda share: share[1], reverse=True)[:_MOST_LINES]
    for name, seconds in first:
        rows.append([name, f"{seconds:.3f}", round(100 * seconds / total)])
    rest = total - sum(seconds for _, seconds in first)
    rows.append(["all others", f"{rest:.3f}", round(100 * rest / total)])
    print_rows(rows)
    print()


def _say(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
