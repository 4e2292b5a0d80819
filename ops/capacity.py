"""`python -m ops.capacity`: how many workers, connections and requests a fleet needs; a model, checked in the docs.

Little's law and nothing else: runs that begin in a second, times the seconds that each takes, are the runs under way.
What a run takes is measured (`zaptik runs NAME --json`), or reckoned from its requests; see
docs/explanation/capacity.md for both and for the points at which the model was compared with a real fleet.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict, dataclass

from ops.local.report import print_rows

# Of an instance with a few dozen rows, by `ops.bench.capacity`; a large one has many more keys of links to read.
IDLE_REQUESTS = 60
AT_ONCE = 3.6
OWN_SECONDS = 1.8
_BUSY_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Run:
    """What one run takes: seconds from its claim to its end, and requests to the instance."""

    seconds: float
    requests: float


@dataclass(frozen=True, slots=True)
class Load:
    """So many tenants, each with a turn every `cadence_seconds`; `threads` are those of one worker."""

    tenants: int
    cadence_seconds: float
    run: Run
    threads: int = 4
    schedulers: int = 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the load comes to, and what bears it.

    `busy_slots` are the runs under way on average; `slots` leave room for those that come together. `connections`
    are the most to PostgreSQL: of all slots at once, and of processes that report.
    """

    runs_per_second: float
    busy_slots: float
    slots: int
    workers: int
    connections: int
    requests_an_hour: float
    requests_an_hour_of_one: float


def reckon_run(
    *, latency_seconds: float, changed_share: float = 0.0, changed_requests: float = 0.0,
    idle_requests: float = IDLE_REQUESTS,
) -> Run:  # fmt: skip
    """Reckon an average run: an idle one, and what is asked further in the share of runs that find a change.

    `latency_seconds` is one request's, as the worker sees it.
    """
    requests = idle_requests + changed_share * changed_requests
    return Run(OWN_SECONDS + requests * latency_seconds / AT_ONCE, requests)


def count_connections(*, workers: int, threads: int, schedulers: int) -> int:
    """Count the most connections: of a slice and its lease, of a report, and of a round and an ear."""
    return 2 * workers * threads + workers + 2 * schedulers


def plan_fleet(load: Load) -> Fleet:
    """Plan for a load; a worker that may be lost is not counted in."""
    runs_per_second = load.tenants / load.cadence_seconds
    busy_slots = runs_per_second * load.run.seconds
    slots = math.ceil(busy_slots / _BUSY_SHARE)
    workers = max(1, math.ceil(slots / load.threads))
    requests_an_hour_of_one = load.run.requests * 3600 / load.cadence_seconds
    return Fleet(
        runs_per_second=runs_per_second,
        busy_slots=busy_slots,
        slots=slots,
        workers=workers,
        connections=count_connections(workers=workers, threads=load.threads, schedulers=load.schedulers),
        requests_an_hour=load.tenants * requests_an_hour_of_one,
        requests_an_hour_of_one=requests_an_hour_of_one,
    )


def main() -> int:
    """Print what a fleet needs."""
    parser = argparse.ArgumentParser(prog="python -m ops.capacity", description=__doc__)
    parser.add_argument("--tenants", type=int, required=True)
    parser.add_argument("--every", type=float, default=3_600, metavar="SECONDS", help="a tenant's cadence")
    parser.add_argument("--latency", type=float, default=0.3, metavar="SECONDS", help="of one request")
    parser.add_argument(
        "--changed", type=float, default=0.1, metavar="SHARE", help="of runs that find a change"
    )
    parser.add_argument("--changed-requests", type=float, default=20, help="that such a run makes further")
    parser.add_argument("--threads", type=int, default=4, help="ZAPTIK_WORKER_THREADS")
    asked = parser.parse_args()
    run = reckon_run(
        latency_seconds=asked.latency, changed_share=asked.changed, changed_requests=asked.changed_requests
    )
    fleet = plan_fleet(Load(asked.tenants, asked.every, run, threads=asked.threads))
    rows = [("seconds a run", run.seconds), *asdict(fleet).items()]
    print_rows([["what", "is"], *([name.replace("_", " "), f"{value:.10g}"] for name, value in rows)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
