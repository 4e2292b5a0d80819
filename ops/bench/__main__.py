"""`make bench`: a first crawl beside its parts alone, at two latencies. Ratios and counts, never a threshold.

The instance, the database and the measured process share this machine's processors: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.local.commands import run_command
from ops.local.failure import StepFailure
from ops.local.instance import Instance, Tenant
from ops.local.processes import build_minimal_environment
from ops.local.report import print_rows, print_title
from ops.local.stack import DATABASE, ROOT, Stack

MEASURE_SECONDS = 1_800
LATENCIES_MS = (0, 50)
# As the simulator makes them, second readings by subclass included: an item with its links, variables and
# audiences, and a group with its roles, rules, lookups, queues and properties.
ROWS_AN_ITEM, ROWS_A_GROUP = 6.82, 4.8
Measured = dict[str, Any]


def main() -> int:
    """Measure and print; 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("--records", type=int, default=50_000, help="about how many records to crawl")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    asked = parser.parse_args()
    try:
        figures = measure(asked.records)
    except StepFailure as failure:
        print(f"\nmake bench failed: {failure}", file=sys.stderr)
        return 1
    print_figures(figures)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(records: int) -> list[Measured]:
    """Measure a first run and its parts at each latency, on a tenant of its own."""
    tenants = [plan_tenant(f"bench-{ms}ms", records) for ms in LATENCIES_MS]
    with (
        tempfile.TemporaryDirectory(prefix="zaptik-bench-") as logs,
        Stack(logs=Path(logs), tenants=tenants, processes=(), say=_say) as stack,
    ):
        return [
            _measure_tenant(stack, tenant, latency_ms=ms)
            for tenant, ms in zip(tenants, LATENCIES_MS, strict=True)
        ]


def plan_tenant(name: str, records: int) -> Tenant:
    """Plan a tenant whose instance has about so many records."""
    groups = records // 25
    items = round((records - ROWS_A_GROUP * groups) / ROWS_AN_ITEM)
    return Tenant(name, groups=groups, items=items, seed=1)


def measure_process(stack: Stack, instance: Instance, what: str, *more: str) -> Measured:
    """Measure a part of the work in a process of its own; see `measured`, which takes `more` arguments."""
    name = instance.tenant.name
    finished = run_command(
        f"measuring {what}",
        [sys.executable, "-m", "ops.bench.measured", what, "--tenant", name, *more],
        log_file=stack.logs / "bench.log",
        environment=build_minimal_environment(
            **stack.settings(),
            BENCH_DATABASE_URL=stack.admin_database_url(DATABASE),
            BENCH_INSTANCE_URL=instance.url,
            BENCH_CLIENT_ID=stack.client_id(name),
            BENCH_CLIENT_SECRET=stack.client_secrets[name],
        ),
        folder=ROOT,
        deadline_seconds=MEASURE_SECONDS,
    )
    measured: Measured = json.loads(finished.output)
    return measured


def print_figures(figures: list[Measured]) -> None:
    """Print the figures of each latency, and the ratios that matter."""
    for figure in figures:
        run, parts = figure["run"], figure["parts"]
        thousands = run["records"] / 1_000
        download, copy = parts["download"], parts["copy"]
        print_title(
            f"{run['records']} records, {run['requests']} requests, {figure['latency_ms']} ms latency"
        )
        lines: list[list[object]] = [["", "wall s", "records/s", "CPU s", "CPU ms for 1,000 records"]]
        for name, spent in (
            ("first run, published", run),
            ("download alone", download),
            ("COPY alone", copy),
        ):
            wall, cpu = spent["wall_seconds"], spent["cpu_seconds"]
            rate, each = round(run["records"] / wall), f"{cpu * 1_000 / thousands:.1f}"
            lines.append([name, f"{wall:.2f}", rate, f"{cpu:.2f}", each])
        print_rows(lines)
        ratio = run["wall_seconds"] / (download["wall_seconds"] + copy["wall_seconds"])
        print(
            f"  first run = {ratio:.2f} x (download + COPY); of it publishing {run['publish_all_seconds']} s;",
            end=" ",
        )
        print(f"peak memory {run['peak_mb']} MB")


def _measure_tenant(stack: Stack, tenant: Tenant, *, latency_ms: int) -> Measured:
    instance = stack.instances[tenant.name]
    instance.set_latency(latency_ms)
    measured: Measured = {"latency_ms": latency_ms}
    for what in ("run", "parts"):
        _say(f"measuring at {latency_ms} ms: {what}")
        measured[what] = measure_process(stack, instance, what)
    return measured


def _say(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
