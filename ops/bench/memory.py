"""Whether a worker needs more memory for a larger instance: the peak of a first run at two sizes, in fresh processes.

`python -m ops.bench.memory` prints the peaks and their ratio; the goal is that a million records take no more than a
tenth more than 50,000. The simulators and PostgreSQL are other processes, and hold what they hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ops.bench.__main__ import Measured, measure_process, plan_tenant
from ops.local.failure import StepFailure
from ops.local.report import print_rows, print_title
from ops.local.stack import Stack

SIZES = (50_000, 1_000_000)
GOAL = 1.1


def main() -> int:
    """Measure and print; 1 where a step failed, whatever the ratio."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.memory", description=__doc__)
    parser.add_argument("--records", type=int, nargs=2, default=SIZES, help="about how many records to crawl")
    parser.add_argument(
        "--page-rows", type=int, default=1_000, help="pages that are full at both sizes compare best"
    )
    asked = parser.parse_args()
    try:
        figures = [measure(records, page_rows=asked.page_rows) for records in asked.records]
    except StepFailure as failure:
        print(f"\nthe measurement failed: {failure}", file=sys.stderr)
        return 1
    print_figures(figures)
    return 0


def measure(records: int, *, page_rows: int) -> Measured:
    """Do the first run of an instance of about so many records, on a stack of its own."""
    tenant = plan_tenant(f"memory-{records}", records)
    overrides = {"ZAPTIK_PAGE_ROWS": str(page_rows)}
    with (
        tempfile.TemporaryDirectory(prefix="zaptik-bench-") as logs,
        Stack(logs=Path(logs), tenants=[tenant], processes=(), say=_say, overrides=overrides) as stack,
    ):
        _say(f"reading about {records} records")
        measured = measure_process(stack, stack.instances[tenant.name], "run")
    _say(f"{measured['records']} records: peak {measured['peak_mb']} MB")
    return measured


def print_figures(figures: list[Measured]) -> None:
    """Print each size's peak, and how they compare."""
    print_title("peak memory of a worker process in a first run")
    names = ("records", "requests", "nodes", "edges", "wall_seconds", "peak_mb")
    print_rows([list(names), *([figure[name] for name in names] for figure in figures)])
    small, large = (figure["peak_mb"] for figure in figures)
    print(f"  ratio {large / small:.2f}; the goal is at most {GOAL}")


def _say(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
