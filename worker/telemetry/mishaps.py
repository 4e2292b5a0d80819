"""Metrics of what goes wrong around the work: what does not answer, what nobody foresaw, what cannot be read.

Each series is there from the start, with nothing in it: of a counter that begins with its first mishap, Prometheus
sees no increase, and an alert on it comes one mishap late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from jobs import events
from jobs.errors import CredentialsMissing, CredentialsRejected, Failure, UsageFailure
from jobs.events import Event, EventKind

On = Callable[[EventKind, Callable[[Event], None]], None]

_DEPENDENCIES: Final = ("PostgreSQL", "Redis")
_LOST: Final = ("partial", "hidden", "denied", "absent", "failed", "unknown")


def add_mishaps(registry: CollectorRegistry, on: On) -> None:
    """Add what every process counts of its troubles; `on` subscribes to an event."""
    up = Gauge(
        "zaptik_dependency_up",
        "Whether PostgreSQL and Redis answer this process; 0 while it waits for one.",
        ("dependency",),
        registry=registry,
    )
    unforeseen = Counter(
        "zaptik_unforeseen_failures", "Exceptions that nobody planned for.", registry=registry
    )

    def started(_: Event) -> None:
        for dependency in _DEPENDENCIES:
            up.labels(dependency).set(1)

    on(events.PROCESS_STARTED, started)
    on(events.DEPENDENCY_AWAY, lambda event: up.labels(str(event.fields.get("dependency"))).set(0))
    on(events.DEPENDENCY_BACK, lambda event: up.labels(str(event.fields.get("dependency"))).set(1))
    on(events.FAILURE_UNFORESEEN, lambda _: unforeseen.inc())


def add_keyring_failures(registry: CollectorRegistry, on: On) -> None:
    """Add what a worker counts of a keyring that it cannot read."""
    failures = Counter(
        "zaptik_keyring_failures",
        "Times that the keyring was to be read again and gave none.",
        registry=registry,
    )
    on(events.KEYRING_UNREADABLE, lambda _: failures.inc())


def begin_series(*, runs: Counter, pauses: Counter, coverage: Counter) -> None:
    """Let the series of what may go wrong with a run begin with nothing."""
    for outcome in ("published", "unchanged", "quarantined"):
        runs.labels(outcome, "")
    for failure in sorted(_failures(Failure), key=lambda kind: kind.code):
        runs.labels("failed", failure.code)
        if failure.retry != "never":
            runs.labels("retried", failure.code)
    for refusal in (CredentialsMissing, CredentialsRejected):
        pauses.labels(refusal.code)
    for verdict in _LOST:
        coverage.labels("complete", verdict)


def _failures(kind: type[Failure]) -> Iterator[type[Failure]]:
    """Give every failure that a run can have; a wrong call is a command's alone."""
    yield kind
    for below in kind.__subclasses__():
        if below is not UsageFailure:
            yield from _failures(below)
