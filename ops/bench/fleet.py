"""`python -m ops.bench.fleet`: ten thousand tenants on one machine, with one scheduler and with three.

Real: PostgreSQL, Valkey, the schedulers' processes, every claim, lease, fence and audit event, and as many roles of
which the app's login is a member. Not real: the tenants are rows that share fifty schemas, and have no instance, so a
run is `idle_worker`'s, which waits as long as an idle run takes. Everything shares this machine's processors with
whatever else runs.
docs/explanation/capacity.md has a run of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ops.bench.idle_worker import IDLE_REQUESTS, IDLE_SECONDS
from ops.local.postgres import EmbeddedPostgres
from ops.local.processes import Child, build_minimal_environment
from ops.local.report import print_rows, print_title
from ops.local.stack import ROOT, ZAPTIK
from ops.local.valkey import EmbeddedValkey
from worker.postgres.connection import open_connection
from worker.postgres.migrate import migrate
from worker.postgres.tenants import add_tenant

_SETTINGS = {"max_connections": "300", "max_locks_per_transaction": "256"}
_SCHEMAS = 50
# The tenants' schemas are a few, which many rows name; each has a role of its own beside it, of which the app's login
# is a member: that is what makes a connection slow.
_ADD = """
ALTER TABLE control.tenant DROP CONSTRAINT tenant_schema_once, DROP CONSTRAINT tenant_schema_follows_name;
INSERT INTO control.tenant (name, schema_name, url, every_seconds, state, next_due_at)
SELECT 'row-' || n, 'tenant_real_' || n % {schemas}, 'https://row.service-now.com', {cadence}, 'active', 'infinity'
FROM generate_series(1, {tenants}) n;
DELETE FROM control.tenant WHERE name ~ '^real-';
DO $$
BEGIN
    FOR n IN 1 .. {tenants} LOOP
        EXECUTE format('CREATE ROLE tenant_row_%s NOLOGIN NOINHERIT', n);
        EXECUTE format('GRANT tenant_row_%s TO zaptik_app WITH INHERIT FALSE, SET TRUE', n);
    END LOOP;
END
$$;
CREATE TABLE public.due (tenant_id uuid PRIMARY KEY, due_at timestamptz NOT NULL)
"""
# Turns come spread over the cadence, as jitter leaves them; or all at once, as after an outage.
_DUE = """
WITH due AS (UPDATE control.tenant SET next_due_at = clock_timestamp() + random() * %s * interval '1 second'
             RETURNING tenant_id, next_due_at)
INSERT INTO public.due SELECT tenant_id, next_due_at FROM due
"""
_FIGURES = """
WITH begun AS (
    SELECT extract(epoch FROM r.requested_at - d.due_at) AS planned, extract(epoch FROM r.started_at - d.due_at) AS lag
    FROM control.run r JOIN public.due d USING (tenant_id) WHERE r.requested_at >= d.due_at
), lags AS (
    SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY planned) AS planned,
           percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY lag) AS lag FROM begun
)
SELECT lags.*, r.* FROM lags, (
    SELECT count(*) AS planned_runs, count(*) FILTER (WHERE fence > 0) AS claimed, max(fence) AS most_claims,
           count(*) FILTER (WHERE state = 'unchanged') AS ended FROM control.run) r
"""
_STILL = """UPDATE control.tenant SET next_due_at = 'infinity'"""
_LIVE = "SELECT count(*) AS live FROM control.run WHERE state IN ('requested', 'running')"
_DRAIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Load:
    """How turns come: spread over `spread_seconds`, and at most so many begin in a second."""

    title: str
    spread_seconds: float
    starts_per_second: float


class Machine:
    """The servers and the tenants, and the processes of one measurement."""

    def __init__(self, asked: argparse.Namespace, logs: Path) -> None:
        self._asked = asked
        self._logs = logs
        self.postgres = EmbeddedPostgres(settings=_SETTINGS)
        self.valkey = EmbeddedValkey()
        self._password = secrets.token_urlsafe(24)

    def __repr__(self) -> str:
        return f"<Machine {self.postgres}, {self.valkey}>"

    def ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database as its superuser."""
        url = self.postgres.admin_url()
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """Migrate, and add the tenants: a few real ones, and rows that share their schemas."""
        asyncio.run(self._migrate())
        asked = self._asked
        self.ask(_ADD.format(schemas=_SCHEMAS, cadence=asked.cadence, tenants=asked.tenants))
        self.ask("VACUUM ANALYZE")

    async def _migrate(self) -> None:
        async with open_connection(self.postgres.admin_url(), purpose="bench migrate") as admin:
            await migrate(admin, app_url=self._app_url(), today=datetime.now(UTC).date())
            for number in range(_SCHEMAS):
                name = f"real-{number}"
                await add_tenant(admin, name, url="https://row.service-now.com", every_seconds=3600)

    def _app_url(self) -> str:
        return f"postgresql://zaptik_app:{self._password}@127.0.0.1:{self.postgres.port}/postgres"

    def measure(self, load: Load, *, schedulers: int) -> dict[str, Any]:
        """Let turns come for a while, and give what became of them."""
        self.ask("TRUNCATE control.run, control.sync_request, public.due CASCADE")
        with self._running(load, schedulers=schedulers) as children:
            offsets = {child.name: len(child.read_log()) for child in children}
            self.ask(_DUE, load.spread_seconds)
            time.sleep(self._asked.seconds)
            [figures] = self.ask(_FIGURES)
            [seen] = self.ask(
                "SELECT count(*) AS connections FROM pg_stat_activity WHERE usename = 'zaptik_app'"
            )
            told = [
                child.read_log()[offsets[child.name] :] for child in children if "scheduler" in child.name
            ]
            self._come_to_rest()
        return _describe(load, figures, told, schedulers, self._asked.seconds) | seen

    def _come_to_rest(self) -> None:
        self.ask(_STILL)
        self.ask(
            "UPDATE control.run SET state = 'cancelled', fence = fence + 1, ended_at = now() "
            "WHERE state = 'requested'"
        )
        end = time.monotonic() + _DRAIN_SECONDS
        while self.ask(_LIVE) != [{"live": 0}] and time.monotonic() < end:
            time.sleep(0.2)

    @contextmanager
    def _running(self, load: Load, *, schedulers: int) -> Iterator[list[Child]]:
        asked = self._asked
        variables = {
            "ZAPTIK_DATABASE_URL": self._app_url(),
            "ZAPTIK_REDIS_URL": self.valkey.url(),
            "ZAPTIK_METRICS_PORT": "0",
            "ZAPTIK_LOG_LEVEL": "debug",
            "ZAPTIK_WORKER_THREADS": str(asked.threads),
            "ZAPTIK_STARTS_PER_SECOND": str(load.starts_per_second),
            IDLE_SECONDS: str(asked.idle_seconds),
            IDLE_REQUESTS: str(asked.idle_requests),
        }
        commands: dict[str, list[str | Path]] = {
            f"worker-{number}": [sys.executable, "-m", "ops.bench.idle_worker"]
            for number in range(asked.workers)
        }
        commands |= {f"scheduler-{number}": [ZAPTIK, "scheduler"] for number in range(schedulers)}
        with ExitStack() as started:
            children = []
            for name, command in commands.items():
                child = Child(
                    name, command, log_file=self._logs / f"{load.title}-{schedulers}-{name}.log",
                    environment=build_minimal_environment(**variables), folder=ROOT,
                )  # fmt: skip
                children.append(started.enter_context(child))
            for child in children:
                child.wait_for_event("process.started", deadline_seconds=60)
            yield children


def _describe(
    load: Load, figures: dict[str, Any], told: list[str], schedulers: int, seconds: float
) -> dict[str, Any]:
    ticks = sorted(
        line["seconds"]
        for text in told
        for line in map(json.loads, text.splitlines())
        if line["event"] == "scheduler.ticked"
    )
    (planned_50, planned_99), (lag_50, lag_99) = figures["planned"] or (0, 0), figures["lag"] or (0, 0)
    return {
        "turns": load.title,
        "schedulers": schedulers,
        "rounds": len(ticks),
        "round p50 ms": round(ticks[len(ticks) // 2] * 1000),
        "round max ms": round(ticks[-1] * 1000),
        "planned/s": round(figures["planned_runs"] / seconds, 1),
        "claimed/s": round(figures["claimed"] / seconds, 1),
        "ended/s": round(figures["ended"] / seconds, 1),
        "claims of one": figures["most_claims"],
        "due to planned p50 s": round(planned_50 or 0, 1),
        "p99": round(planned_99 or 0, 1),
        "due to begun p50 s": round(lag_50 or 0, 1),
        "p99 ": round(lag_99 or 0, 1),
    }


def measure(asked: argparse.Namespace, logs: Path) -> list[dict[str, Any]]:
    """Measure each load with one scheduler and with three."""
    machine = Machine(asked, logs)
    loads = (
        Load("spread", asked.cadence, asked.starts),
        Load("all at once", 0, 10_000),
    )
    with machine.postgres, machine.valkey:
        began = time.monotonic()
        machine.prepare()
        _say(f"{asked.tenants} tenants after {time.monotonic() - began:.0f} s")
        found = []
        for load in loads:
            for schedulers in asked.schedulers:
                found.append(machine.measure(load, schedulers=schedulers))
                _say(str(found[-1]))
        return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.fleet", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--cadence", type=int, default=3_600, help="seconds between two turns of a tenant")
    parser.add_argument("--schedulers", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8, help="of each worker")
    parser.add_argument("--idle-seconds", type=float, default=1.0, help="that an idle run takes")
    parser.add_argument("--idle-requests", type=int, default=45, help="that an idle run makes")
    parser.add_argument(
        "--starts", type=float, default=50, help="ZAPTIK_STARTS_PER_SECOND where turns come spread"
    )
    parser.add_argument("--seconds", type=float, default=40, help="that each measurement takes")
    parser.add_argument("--logs", type=Path, help="a folder for the processes' logs, kept")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zaptik-bench-") as folder:
        found = measure(asked, asked.logs or Path(folder))
    print_title(
        f"{asked.tenants} tenants, {asked.workers * asked.threads} slots, runs of {asked.idle_seconds} s"
    )

    print_rows([[name, *(one[name] for one in found)] for name in found[0]])
    return 0


def _say(step: str) -> None:
    print(f"  {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
