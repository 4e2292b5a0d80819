"""Until when certificates are valid, as the scheduler saw them."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from jobs.events import CERTIFICATE_SEEN, Event
from worker.telemetry.mishaps import On


def add_certificate_metrics(registry: CollectorRegistry, on: On) -> None:
    """Add the metric; a server that has shown no certificate has no series."""
    expiry = Gauge(
        "zaptik_certificate_expiry_timestamp_seconds",
        "Until when the certificate of PostgreSQL or Redis is valid, as this scheduler last saw it.",
        ("peer",),
        registry=registry,
    )

    def saw(event: Event) -> None:
        expires_at = event.fields.get("expires_at")
        seconds = datetime.fromisoformat(str(expires_at)).timestamp() if expires_at else 0
        expiry.labels(str(event.fields.get("peer") or "")).set(seconds)

    on(CERTIFICATE_SEEN, saw)
