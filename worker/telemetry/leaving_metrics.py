"""Metrics of what must go: what is older than is kept, and tenants that leave. The scheduler's alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

_SUBJECTS: Final = ("tenants", "audit")
_STANDINGS: Final = ("waiting", "ready", "near", "overdue")


def add_leaving_metrics(
    registry: CollectorRegistry,
) -> Callable[[Mapping[str, float], Mapping[str, int]], None]:
    """Add them; gives what shows the figures of a round."""
    overdue = Gauge(
        "zaptik_retention_overdue_seconds",
        "For how long something that is older than is kept should have gone and has not.",
        ("subject",),
        registry=registry,
    )
    offboardings = Gauge(
        "zaptik_offboardings",
        "Tenants that leave, by how near the date is by which they must be deleted.",
        ("standing",),
        registry=registry,
    )

    def show(overdue_seconds: Mapping[str, float], standings: Mapping[str, int]) -> None:
        for subject in _SUBJECTS:
            overdue.labels(subject).set(overdue_seconds.get(subject, 0))
        for standing in _STANDINGS:
            offboardings.labels(standing).set(standings.get(standing, 0))

    return show
