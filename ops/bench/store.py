"""`python -m ops.bench.store`: what a revision costs to publish, to keep, to read and to let go.

On a PostgreSQL of its own, with its usual durability. The pages are made by SQL (`made_pages`), so what is measured
is the store alone. Compare the ratios: the server shares this machine's processors with whatever else runs.
docs/explanation/store.md has a run of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg

from jobs.surface import read_surface
from ops.bench.made_pages import TABLES
from ops.bench.made_store import Store, as_mega, opened_store
from ops.bench.year import measure_year
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.report import print_rows, print_title
from worker.postgres import reading
from worker.postgres.connection import Connection, as_tenant, fetch_rows

_TRIES = 3
_REVISIONS = 10


async def measure_publishing(store: Store, nodes: int) -> list[dict[str, Any]]:
    """Publish at first, unchanged, and one percent changed, whole and as a delta, beside a COPY of the same rows."""
    steps = (
        ("initial", "", 1), ("unchanged", "", 1), ("1 % changed", " b", 1), ("1 %, staged as a delta", " c", 100),
        ("unchanged, staged as a delta", " c", 100),
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    for name, version, step in steps:
        found.append({"what": name, **await store.measure(nodes=nodes, version=version, step=step)})
        if len(found) == 1:
            found.append({"what": "findings alone, without statistics", **await _measure_findings(store)})
            await store.admin.execute("VACUUM ANALYZE")
            found.insert(0, {"what": "binary COPY of the same rows", **await _measure_copy(store)})
    found.append({"what": "findings alone", **await _measure_findings(store)})
    return found


async def _measure_copy(store: Store) -> dict[str, Any]:
    schema_name, rows = store.tenant.schema_name, 0
    await store.admin.execute("CREATE SCHEMA copied")
    seconds, wal, size = 0.0, 0, 0
    for table in ("node", "edge"):
        await store.admin.execute(
            f"CREATE TABLE copied.{table} (LIKE {schema_name}.{table} INCLUDING ALL)".encode()
        )
        chunks = [bytes(chunk) async for chunk in _copy_out(store.admin, f"{schema_name}.{table}")]
        before = await store.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal")
        began = time.perf_counter()
        cursor = store.admin.cursor()
        async with cursor.copy(f"COPY copied.{table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
            for chunk in chunks:
                await copy.write(chunk)
        seconds += time.perf_counter() - began
        after = await store.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal")
        wal, rows = wal + after["wal"] - before["wal"], rows + cursor.rowcount
        size += (await store.ask(f"SELECT pg_total_relation_size('copied.{table}') AS bytes"))["bytes"]
    await store.admin.execute("DROP SCHEMA copied CASCADE")
    return {
        "outcome": "", "rows changed": rows, "seconds": round(seconds, 2), "WAL MB": as_mega(wal),
        "growth MB": as_mega(size), "HOT": "-",
    }  # fmt: skip


async def _copy_out(admin: Connection, table: str) -> AsyncIterator[memoryview]:
    async with admin.cursor().copy(f"COPY {table} TO STDOUT (FORMAT BINARY)".encode()) as copy:
        async for chunk in copy:
            yield memoryview(chunk)


async def _measure_findings(store: Store) -> dict[str, Any]:
    """Compute and write all findings into an empty table, and undo it."""
    within = store.tenant.schema_name
    unfiltered = [name for name in read_surface().bases if name in TABLES]
    async with as_tenant(store.app, within), store.app.transaction() as tried:
        await store.app.execute(f"DELETE FROM {within}.finding".encode())  # noqa: S608
        await store.app.execute("SET LOCAL enable_nestloop = off")  # as publishing does
        began = time.perf_counter()
        [row] = await fetch_rows(
            store.app, "tenant", "publish_findings", within=within, revision=10**9, unfiltered=unfiltered
        )
        seconds = time.perf_counter() - began
        raise psycopg.Rollback(tried)
    return {"outcome": "", "rows changed": row["differing"], "seconds": round(seconds, 2), "WAL MB": "",
            "growth MB": "", "HOT": "-"}  # fmt: skip


async def measure_reading(store: Store, nodes: int) -> list[dict[str, Any]]:
    """Read whole graphs, after some more revisions of one percent each, as an export does."""
    for number in range(_REVISIONS - 3):
        await store.measure(nodes=nodes, version=f" {number}", step=100)
    async with as_tenant(store.app, store.tenant.schema_name):
        current = (await reading.read_head(store.app, store.tenant, None)).revision
    await store.admin.execute("VACUUM ANALYZE")
    asked = sorted({1, current // 2, current - 1, current})
    # in turns, so that what else the machine does falls on all of them
    tries = [{revision: await _read_whole(store, revision) for revision in asked} for _ in range(_TRIES)]
    least = {revision: min(seconds[revision] for seconds in tries) for revision in asked}
    return [
        {
            "revision": revision,
            "seconds, least of 3": round(seconds, 2),
            "to the current one": round(seconds / least[current], 2),
        }
        for revision, seconds in least.items()
    ]


async def measure_diffs(store: Store) -> list[dict[str, Any]]:
    """Ask how two revisions differ, beside the same rows from a table that holds nothing else."""
    async with as_tenant(store.app, store.tenant.schema_name):
        current = (await reading.read_head(store.app, store.tenant, None)).revision
    pairs = {
        "adjacent, the newest": (current - 1, current),
        "adjacent, in the middle": (current // 2 - 1, current // 2),
        "adjacent, the oldest": (1, 2),
        "the other way round": (current, current - 1),
        "a revision with itself": (current, current),
        "from the first to the current one": (1, current),
    }
    found = []
    for what, (before, after) in pairs.items():
        diff = f"SELECT * FROM {store.tenant.schema_name}.graph_v1_diff({before}, {after})"  # noqa: S608
        await store.admin.execute(f"CREATE TEMPORARY TABLE same AS {diff}".encode())
        rows, milliseconds = await _time_query(store, diff)
        _, floor = await _time_query(store, "SELECT * FROM same")
        await store.admin.execute("DROP TABLE same")
        found.append(
            {
                "difference": what,
                "rows": rows,
                "ms, least of 3": milliseconds,
                "ms, the same rows stored": floor,
            }
        )
    return found


async def _time_query(store: Store, query: str) -> tuple[int, float]:
    seconds, rows = [], 0
    for _ in range(_TRIES):
        began = time.perf_counter()
        rows = len(await (await store.admin.execute(query.encode())).fetchall())
        seconds.append(time.perf_counter() - began)
    return rows, round(min(seconds) * 1000, 1)


async def _read_whole(store: Store, revision: int) -> float:
    began = time.perf_counter()
    async with reading.at_one_moment(store.app, store.tenant):
        # While this process decodes.
        await store.app.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        for query in ("read_nodes_at", "read_edges_at"):
            await fetch_rows(store.app, "tenant", query, within=store.tenant.schema_name, revision=revision)
    return time.perf_counter() - began


async def measure(asked: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure all that is asked for."""
    figures: dict[str, list[dict[str, Any]]] = {}
    if asked.nodes:
        with EmbeddedPostgres() as server:
            async with opened_store(server) as store:
                title = f"Publishing {asked.nodes} nodes and {2 * asked.nodes} edges"
                figures[title] = await measure_publishing(store, asked.nodes)
                figures["Reading a whole revision"] = await measure_reading(store, asked.nodes)
                figures["How two revisions differ"] = await measure_diffs(store)
    if asked.hours:
        with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
            async with opened_store(server) as store:
                title = f"{asked.hours} hourly revisions of {asked.hourly_nodes} nodes, 1 % changed in each"
                figures[title] = await measure_year(store, nodes=asked.hourly_nodes, hours=asked.hours)
    return figures


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.store", description=__doc__)
    parser.add_argument(
        "--nodes", type=int, default=200_000, help="twice as many edges; 0 leaves this part out"
    )
    parser.add_argument("--hours", type=int, default=9_480, help="13 months; 0 leaves this part out")
    parser.add_argument("--hourly-nodes", type=int, default=2_000, help="the size of that graph")
    parser.add_argument("--json", action="store_true")
    figures = asyncio.run(measure(parser.parse_args()))
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=1))
        return 0
    for title, rows in figures.items():
        print_title(title)
        print_rows([list(rows[0]), *(list(row.values()) for row in rows)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
