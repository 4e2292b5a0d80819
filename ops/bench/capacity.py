"""`python -m ops.bench.capacity`: a small real fleet at some latencies, beside what the model `ops.capacity` says.

Real tenants, scheduler, workers, PostgreSQL and Valkey; a simulated instance on loopback that answers as late as it is
told. First an idle run alone, from which the model takes what it cannot know; then all tenants at their cadence. All of
it shares this machine's processors. docs/explanation/capacity.md has a run of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ops.bench.many import add_tenants
from ops.capacity import Fleet, Load, Run, count_connections, plan_fleet
from ops.local.instance import Tenant
from ops.local.processes import wait_until
from ops.local.report import print_rows, print_title
from ops.local.stack import DATABASE, ZAPTIK, Stack

_NAME = "busy"
_PROCESSES = ("scheduler", "worker-1", "worker-2")
_THREADS = 4
_CADENCE_SECONDS = 60  # the least that a tenant may have
_FIRST_SECONDS, _SYNC_SECONDS = 300, 120
_ALONE = 3
_LOOK_SECONDS = 0.1
_CONNECTIONS = """SELECT count(*) FILTER (WHERE application_name ~ '(slice|lease)$') AS of_runs, count(*) AS of_all
                  FROM pg_stat_activity WHERE usename = 'zaptik_app'"""
_ENDED = """SELECT count(*) AS runs, coalesce(sum(requests), 0) AS requests,
                   avg(extract(epoch FROM ended_at - started_at)) AS seconds
            FROM control.run WHERE ended_at BETWEEN %s AND clock_timestamp()"""
_SPREAD = """UPDATE control.tenant SET every_seconds = %s, next_due_at = now() + random() * %s * interval '1 second'
             RETURNING 1"""
_REST = "UPDATE control.tenant SET every_seconds = 86400, next_due_at = now() + interval '1 day' RETURNING 1"
_LIVE = "SELECT count(*) AS live FROM control.run WHERE state IN ('requested', 'running')"
_SERVED = "SELECT count(*) AS served FROM control.tenant WHERE revision IS NOT NULL"


class Measured:
    """A stack with some tenants at one cadence."""

    def __init__(self, stack: Stack, asked: argparse.Namespace) -> None:
        self._stack = stack
        self._asked = asked

    def __repr__(self) -> str:
        return f"<Measured {self._stack}>"

    def begin(self) -> None:
        """Start the processes, and let every tenant have its first revision."""
        names = [f"{_NAME}-{number}" for number in range(2, self._asked.tenants + 1)]
        add_tenants(self._stack, _NAME, names, every_seconds=86_400)
        for name in _PROCESSES:
            kind = name.partition("-")[0]
            self._stack.start_process(name, ZAPTIK, kind, environment=self._stack.settings())
        if not wait_until(self._are_all_served, deadline_seconds=_FIRST_SECONDS):
            sys.exit(f"after {_FIRST_SECONDS} s not every tenant had its first revision")

    def measure_alone(self, latency_ms: int) -> Run:
        """Do idle runs one at a time while nobody else is due; give the quickest."""
        self._stack.instances[_NAME].set_latency(latency_ms)
        sync = ("sync", _NAME, "--wait")
        runs = [self._stack.run_zaptik(*sync, deadline_seconds=_SYNC_SECONDS) for _ in range(_ALONE)]
        best = min(runs, key=lambda run: float(run["seconds"]))
        return Run(seconds=best["seconds"], requests=best["requests"])

    def measure_cadence(self) -> dict[str, float]:
        """Let all have their turns for a while; give what came of it."""
        self._ask(_SPREAD, _CADENCE_SECONDS, _CADENCE_SECONDS)
        time.sleep(_CADENCE_SECONDS / 6)  # until turns are under way
        began = self._ask("SELECT clock_timestamp() AS at")["at"]
        seconds, looks = self._asked.seconds, []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            looks.append(self._ask(_CONNECTIONS))
            time.sleep(_LOOK_SECONDS)
        ended = self._ask(_ENDED, began)
        self._ask(_REST)
        wait_until(lambda: not self._ask(_LIVE)["live"], deadline_seconds=_SYNC_SECONDS)
        return {
            "runs/s": ended["runs"] / seconds,
            "seconds a run": float(ended["seconds"] or 0),
            "requests an hour": float(ended["requests"]) * 3600 / seconds,
            "connections of runs": sum(look["of_runs"] for look in looks) / len(looks),
            "most connections": max(look["of_all"] for look in looks),
        }

    def _are_all_served(self) -> bool:
        return bool(self._ask(_SERVED)["served"] == self._asked.tenants)

    def _ask(self, query: str, *values: object) -> dict[str, Any]:
        url = self._stack.admin_database_url(DATABASE)
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), values or None).fetchone() or {}


def measure(asked: argparse.Namespace, logs: Path) -> Iterator[tuple[str, list[list[object]]]]:
    """Measure at each latency; give a title, and lines of what | model | measured."""
    tenant = Tenant(_NAME, groups=asked.rows, items=asked.rows, seed=1)
    overrides = {"ZAPTIK_WORKER_THREADS": str(_THREADS)}
    with Stack(logs=logs, tenants=[tenant], processes=(), overrides=overrides) as stack:
        measured = Measured(stack, asked)
        measured.begin()
        for latency_ms in asked.latencies:
            run = measured.measure_alone(latency_ms)
            seen = measured.measure_cadence()
            load = Load(asked.tenants, _CADENCE_SECONDS, run, threads=_THREADS, schedulers=1)
            title = f"{asked.tenants} tenants every {_CADENCE_SECONDS} s at {latency_ms} ms"
            alone = f"an idle run alone: {run.seconds:.1f} s, {run.requests} requests"
            yield f"{title}; {alone}", _compare(load, plan_fleet(load), seen)


def _compare(load: Load, plan: Fleet, seen: dict[str, float]) -> list[list[object]]:
    pairs = {
        "runs/s": plan.runs_per_second,
        "seconds a run": load.run.seconds,
        "requests an hour": plan.requests_an_hour,
        "connections of runs": 2 * plan.busy_slots,
        "most connections": count_connections(workers=2, threads=load.threads, schedulers=1),
    }
    return [[name, f"{value:.5g}", f"{seen[name]:.5g}"] for name, value in pairs.items()]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.capacity", description=__doc__)
    parser.add_argument("--tenants", type=int, default=60)
    parser.add_argument("--latencies", type=int, nargs="+", default=[50, 200], help="of one request, in ms")
    parser.add_argument("--rows", type=int, default=20, help="groups and items of the instance")
    parser.add_argument("--seconds", type=float, default=30, help="that each measurement takes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zaptik-bench-") as folder:
        for title, lines in measure(asked, Path(folder)):
            print_title(title)
            print_rows([["", "model", "measured"], *lines])
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
