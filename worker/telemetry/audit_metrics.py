"""The audit trail's metrics, of the scheduler: what is not sealed, since when, and the months made ahead."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from jobs.events import AUDIT_BROKEN, AUDIT_CHECKED, AUDIT_SEALED, Event
from worker.telemetry.mishaps import On


def add_audit_metrics(registry: CollectorRegistry, on: On) -> Callable[[int, float, int], None]:
    """Add them; gives what shows the figures of a round: events not sealed, seconds of the oldest, months ahead."""
    unsealed = Gauge(
        "zaptik_audit_unsealed_events",
        "Events of the audit trail under no checkpoint yet; at most 100,000 of a month are counted.",
        registry=registry,
    )
    oldest = Gauge(
        "zaptik_audit_oldest_unsealed_seconds",
        "For how long the oldest of them has waited.",
        registry=registry,
    )
    ahead = Gauge(
        "zaptik_audit_months_ahead",
        "Months in a row after this one that have a partition for their events; -1 where this one has none.",
        registry=registry,
    )
    sealed = Counter(
        "zaptik_audit_sealed_events",
        "Events of the audit trail that this scheduler sealed.",
        registry=registry,
    )

    broken = Counter(
        "zaptik_audit_faults",
        "Segments of the audit trail that were found changed; each again when it is come by again.",
        registry=registry,
    )
    checked = Gauge(
        "zaptik_audit_last_checked_timestamp_seconds",
        "When this scheduler last came to the end of the audit trail, checking it; 0 before.",
        registry=registry,
    )

    def count(event: Event) -> None:
        events = event.fields.get("events")
        sealed.inc(events if isinstance(events, int) else 0)

    def show(events: int, seconds: float, months: int) -> None:
        unsealed.set(events)
        oldest.set(seconds)
        ahead.set(months)

    on(AUDIT_SEALED, count)
    on(AUDIT_BROKEN, lambda _: broken.inc())
    on(AUDIT_CHECKED, lambda _: checked.set_to_current_time())
    return show
