"""The series that the processes show, read off the code: each process's metrics after one event of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import Metric

import worker
from jobs.events import KINDS, SCHEDULER_TICKED, Event
from worker.telemetry import FleetFigures, Metrics

PROCESSES: tuple[Literal["worker", "scheduler"], ...] = ("worker", "scheduler")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as it is scraped: `name` with its `_total` where it counts, `suffixes` those of a histogram."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> Iterable[str]:
        """Name each series of it."""
        if self.kind == "histogram":
            return [f"{self.name}_{part}" for part in ("bucket", "sum", "count")]
        return [self.name]


def read_families(process: Literal["worker", "scheduler"]) -> list[Family]:
    """Read a process's metrics, in the order in which it shows them."""
    metrics = Metrics(version=worker.__version__, process=process)
    nothing = FleetFigures(
        runs={},
        tenants={},
        staleness_ratios=(),
        oldest_due_seconds=0,
        processes={},
        breakers={},
        quarantined=0,
    )
    metrics.set_fleet(nothing)
    for kind in KINDS.values():
        metrics.observe(Event(kind))
    metrics.observe(Event(SCHEDULER_TICKED))
    return list(_describe(metrics.registry.collect()))


def _describe(collected: Iterable[Metric]) -> Iterator[Family]:
    for family in collected:
        labels = dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le")
        suffix = "_total" if family.type == "counter" else ""
        yield Family(f"{family.name}{suffix}", family.type, tuple(labels), family.documentation)
