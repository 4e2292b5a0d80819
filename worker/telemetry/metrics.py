"""Prometheus metrics, driven by events or read at a scrape, and the figures of the fleet that the scheduler has by SQL.

No label names a tenant, nor a table that an instance names itself: ten thousand of them make a scrape of seconds, and
such names are a customer's. Worker and scheduler have one registry each; a name that only the other can know is not in
it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from jobs import events
from jobs.events import Event
from worker.telemetry.audit_metrics import add_audit_metrics
from worker.telemetry.certificate_metrics import add_certificate_metrics
from worker.telemetry.leaving_metrics import add_leaving_metrics
from worker.telemetry.mishaps import add_keyring_failures, add_mishaps, begin_series

_RUN_SECONDS: Final = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
_REQUEST_SECONDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PUBLISH_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_CONCURRENCY: Final = (1, 2, 3, 4, 6, 8, 16, 32, 64)
_STALENESS: Final = (0.5, 1, 1.25, 1.5, 2, 3, 5, 10, 24, 100)
_FATES: Final = ("deleted", "hidden", "unknown")
_CHANGES: Final = ("added", "changed", "removed")
_RUN_STATES: Final = ("requested", "running")
_BREAKERS: Final = ("closed", "open", "half_open")
_TENANT_STATES: Final = ("awaiting_credentials", "active", "paused", "offboarding")
_ISOLATION_OUTCOMES: Final = ("held", "reached", "failed")


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """What one round of the scheduler saw: runs and tenants by state, how late each tenant is.

    `runs` live; `quarantined` counts tenants whose newest run was held back. `staleness_ratios` is each active
    tenant's age of its graph over its cadence; `waiting` counts the tenants that wait now, for their turn to be taken
    up or for a worker, and `oldest_due_seconds` is how long the longest waiting one has waited.
    `keys_in_use` are the deployment's keys that wrap some data key, `oldest_key_seconds` for how long the oldest of
    them has. `retention_overdue_seconds` is by subject for how long something that should have gone has not;
    `offboardings` counts tenants that leave, by how near the date is by which they must be deleted.
    `audit_unsealed` events of the audit trail are under no checkpoint, the oldest for
    `audit_oldest_seconds`; `audit_months_ahead` have a partition, in a row after this month.
    `isolation_checked_at` is when the tenants' boundary was last tried, `isolation_reached_at` when a tenant
    was last read as another; None for never.
    """

    runs: Mapping[str, int]
    tenants: Mapping[str, int]
    staleness_ratios: Sequence[float]
    oldest_due_seconds: float
    processes: Mapping[str, int]
    breakers: Mapping[str, int]
    quarantined: int
    waiting: int = 0
    keys_in_use: int = 0
    oldest_key_seconds: float = 0.0
    retention_overdue_seconds: Mapping[str, float] = field(default_factory=dict)
    offboardings: Mapping[str, int] = field(default_factory=dict)
    audit_unsealed: int = 0
    audit_oldest_seconds: float = 0.0
    audit_months_ahead: int = 0
    isolation_checked_at: datetime | None = None
    isolation_reached_at: datetime | None = None


class Metrics:
    """The metrics of one process; `observe` takes every event."""

    def __init__(self, *, version: str, process: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of no use to Prometheus
        self.registry = registry = CollectorRegistry()
        self._fleet: FleetFigures | None = None
        info = Gauge(
            "zaptik_build_info", "The release that runs, always 1.", ("version", "process"), registry=registry
        )
        info.labels(version, process).set(1)
        self._handlers: dict[str, Callable[[Event], None]] = {}
        add_mishaps(registry, self._on)
        if process == "worker":
            add_keyring_failures(registry, self._on)
            self._add_run_metrics()
            self._add_request_metrics()
        else:
            self._add_fleet_metrics()
            add_certificate_metrics(registry, self._on)

    def observe(self, event: Event) -> None:
        """Count an event, where a metric follows from it."""
        handler = self._handlers.get(event.kind.name)
        if handler is not None:
            handler(event)

    def set_fleet(self, figures: FleetFigures) -> None:
        """Take the figures of a round; they are shown until the next."""
        self._fleet = figures

    def _add_run_metrics(self) -> None:
        runs = Counter(
            "zaptik_runs",
            "Runs that ended or go to another try.",
            ("outcome", "code"),
            registry=self.registry,
        )
        seconds = Histogram(
            "zaptik_run_duration_seconds",
            "From a run's start to its end.",
            buckets=_RUN_SECONDS,
            registry=self.registry,
        )
        changes = Counter(
            "zaptik_revision_changes", "Nodes and edges by what a revision did to them.", ("change",),
            registry=self.registry,
        )  # fmt: skip
        publish = Histogram(
            "zaptik_publish_duration_seconds", "Publishing, by phase.", ("phase",), buckets=_PUBLISH_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        fenced = Counter(
            "zaptik_publish_fenced", "Workers that came too late and wrote nothing.", registry=self.registry
        )
        slices = Counter(
            "zaptik_slices", "Slices that gave their run back unfinished, by why.", ("reason",),
            registry=self.registry,
        )  # fmt: skip
        opened = Counter(
            "zaptik_breaker_opened", "Instances left alone for a while, by what they did.", ("code",),
            registry=self.registry,
        )  # fmt: skip
        for reason in ("slice over", "stopping", "no progress"):
            slices.labels(reason)
        quarantines = Counter(
            "zaptik_quarantines", "Revisions held back for a person to look at.", registry=self.registry
        )
        looked_up = Counter(
            "zaptik_gone_records", "Records a complete read no longer gave, by what looking them up told.",
            ("fate",), registry=self.registry,
        )  # fmt: skip
        coverage = Counter(
            "zaptik_coverage_changes", "Tables whose verdict is another than in the run before.", ("from", "to"),
            registry=self.registry,
        )  # fmt: skip
        pauses = Counter(
            "zaptik_tenant_pauses", "Tenants held for a person, by the failure's code.", ("reason",),
            registry=self.registry,
        )  # fmt: skip
        begin_series(runs=runs, pauses=pauses, coverage=coverage)
        for change in _CHANGES:
            changes.labels(change)
        for fate in _FATES:
            looked_up.labels(fate)

        def settled(event: Event) -> None:
            for fate in _FATES:
                looked_up.labels(fate).inc(_number(event, fate))

        def ended(event: Event) -> None:
            runs.labels(_text(event, "outcome"), _text(event, "code")).inc()
            seconds.observe(_number(event, "seconds"))
            if _text(event, "outcome") == "published":
                for change in _CHANGES:
                    changes.labels(change).inc(_number(event, change))

        self._on(events.RUN_ENDED, ended)
        self._on(events.TENANT_PAUSED, lambda event: pauses.labels(_text(event, "reason")).inc())
        self._on(events.REVISION_QUARANTINED, lambda _: quarantines.inc())
        self._on(events.GONE_LOOKED_UP, settled)
        self._on(
            events.COVERAGE_CHANGED,
            lambda event: coverage.labels(_text(event, "from"), _text(event, "to")).inc(),
        )
        self._on(events.RUN_RETRIED, lambda event: runs.labels("retried", _text(event, "code")).inc())
        self._on(events.RUN_CANCELLED, lambda _: runs.labels("cancelled", "cancelled").inc())
        self._on(events.BREAKER_OPENED, lambda event: opened.labels(_text(event, "code")).inc())
        self._on(events.RUN_YIELDED, lambda event: slices.labels(_text(event, "reason")).inc())
        self._on(events.RUN_FENCED, lambda _: fenced.inc())
        self._on(
            events.PUBLISHED,
            lambda event: publish.labels(_text(event, "phase")).observe(_number(event, "seconds")),
        )

    def _add_request_metrics(self) -> None:
        requests = Counter(
            "zaptik_requests", "Requests to instances by endpoint and status (0: no answer).", ("endpoint", "status"),
            registry=self.registry,
        )  # fmt: skip
        seconds = Histogram(
            "zaptik_request_duration_seconds", "One request, all in all.", ("endpoint",), buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        records = Counter("zaptik_records", "Records read from instances.", registry=self.registry)
        waits = Counter(
            "zaptik_throttle_wait_seconds",
            "Time waited because instances asked for it.",
            registry=self.registry,
        )
        concurrency = Histogram(
            "zaptik_concurrency_limit", "How many requests at once an instance is asked, each time that this changes.",
            buckets=_CONCURRENCY, registry=self.registry,
        )  # fmt: skip
        tokens = Counter(
            "zaptik_token_requests", "Requests for a token.", ("outcome",), registry=self.registry
        )
        for outcome in ("given", "refused"):
            tokens.labels(outcome)

        def asked(event: Event) -> None:
            endpoint = _text(event, "endpoint")
            requests.labels(endpoint, str(event.fields.get("status") or 0)).inc()
            seconds.labels(endpoint).observe(_number(event, "seconds"))
            records.inc(_number(event, "rows"))

        def token(outcome: str, event: Event) -> None:
            tokens.labels(outcome).inc()
            requests.labels("token", str(event.fields.get("status") or 0)).inc()
            seconds.labels("token").observe(_number(event, "seconds"))

        self._on(events.REQUEST_ANSWERED, asked)
        self._on(events.REQUEST_FAILED, asked)
        self._on(events.THROTTLE_WAITED, lambda event: waits.inc(_number(event, "seconds")))
        self._on(events.CONCURRENCY_CHANGED, lambda event: concurrency.observe(_number(event, "limit")))
        self._on(events.TOKEN_FETCHED, partial(token, "given"))
        self._on(events.TOKEN_REFUSED, partial(token, "refused"))

    def _add_fleet_metrics(self) -> None:
        tick = Gauge(
            "zaptik_scheduler_last_tick_timestamp_seconds",
            "When the scheduler last ended a round.",
            registry=self.registry,
        )
        given_up = Counter(
            "zaptik_runs_given_up",
            "Runs claimed too often whose last worker fell silent.",
            registry=self.registry,
        )
        rescued = Counter(
            "zaptik_runs_rescued",
            "Runs whose worker fell silent and that were offered again.",
            registry=self.registry,
        )
        checks = Counter(
            "zaptik_isolation_checks", "Tenants that were tried to be read as another, by what came of it.",
            ("outcome",), registry=self.registry,
        )  # fmt: skip
        for outcome in _ISOLATION_OUTCOMES:
            checks.labels(outcome)
        show, show_isolation = self._add_fleet_gauges(), self._add_isolation_gauges()

        def checked(event: Event) -> None:
            for outcome in _ISOLATION_OUTCOMES:
                checks.labels(outcome).inc(_number(event, outcome))

        def ticked(_: Event) -> None:
            tick.set_to_current_time()
            if self._fleet is not None:
                show(self._fleet)
                show_isolation(self._fleet)

        self._on(events.SCHEDULER_TICKED, ticked)
        self._on(events.ISOLATION_CHECKED, checked)
        self._on(events.RUN_RESCUED, lambda _: rescued.inc())
        self._on(events.RUN_ENDED, lambda _: given_up.inc())  # a scheduler ends a run for this reason alone
        self.registry.register(_Staleness(lambda: self._fleet.staleness_ratios if self._fleet else ()))

    def _add_fleet_gauges(self) -> Callable[[FleetFigures], None]:
        runs = Gauge(
            "zaptik_runs",
            "Runs that wait or are under way, of the whole fleet.",
            ("state",),
            registry=self.registry,
        )
        breakers = Gauge(
            "zaptik_breakers", "Instances by the state of their breaker.", ("state",), registry=self.registry
        )
        held = Gauge(
            "zaptik_tenants_quarantined",
            "Tenants whose newest revision waits for a person.",
            registry=self.registry,
        )
        tenants = Gauge("zaptik_tenants", "Tenants by state.", ("state",), registry=self.registry)
        processes = Gauge(
            "zaptik_processes",
            "Workers and schedulers that reported lately.",
            ("kind",),
            registry=self.registry,
        )
        waiting = Gauge(
            "zaptik_tenants_waiting",
            "Tenants that could be served now and are not: their turn has come, or their run waits for a worker.",
            registry=self.registry,
        )
        due = Gauge(
            "zaptik_oldest_due_seconds",
            "How long the tenant that waits longest has waited for its turn, or for a worker.",
            registry=self.registry,
        )

        keys = Gauge(
            "zaptik_keys_in_use",
            "Keys that wrap some tenant's data key; more than one while a rotation is not over.",
            registry=self.registry,
        )
        key_age = Gauge(
            "zaptik_oldest_key_age_seconds",
            "For how long the oldest key in use has been wrapping data keys.",
            registry=self.registry,
        )
        show_leaving = add_leaving_metrics(self.registry)

        show_audit = add_audit_metrics(self.registry, self._on)

        def show(figures: FleetFigures) -> None:
            # Also what nobody is in: a series that comes and goes cannot be alerted on.
            for state in _RUN_STATES:
                runs.labels(state).set(figures.runs.get(state, 0))
            for state in _TENANT_STATES:
                tenants.labels(state).set(figures.tenants.get(state, 0))
            for kind in ("worker", "scheduler"):
                processes.labels(kind).set(figures.processes.get(kind, 0))
            for state in _BREAKERS:
                breakers.labels(state).set(figures.breakers.get(state, 0))
            held.set(figures.quarantined)
            waiting.set(figures.waiting)
            due.set(figures.oldest_due_seconds)
            keys.set(figures.keys_in_use)
            key_age.set(figures.oldest_key_seconds)
            show_leaving(figures.retention_overdue_seconds, figures.offboardings)
            show_audit(figures.audit_unsealed, figures.audit_oldest_seconds, figures.audit_months_ahead)

        return show

    def _add_isolation_gauges(self) -> Callable[[FleetFigures], None]:
        checked = Gauge(
            "zaptik_isolation_last_check_timestamp_seconds",
            "When the tenants' boundary was last tried by any scheduler; 0 for never.",
            registry=self.registry,
        )
        reached = Gauge(
            "zaptik_isolation_last_reached_timestamp_seconds",
            "When a tenant was last read as another; 0 for never.",
            registry=self.registry,
        )

        def show(figures: FleetFigures) -> None:
            for gauge, moment in (
                (checked, figures.isolation_checked_at),
                (reached, figures.isolation_reached_at),
            ):
                gauge.set(moment.timestamp() if moment else 0)

        return show

    def _on(self, kind: events.EventKind, handler: Callable[[Event], None]) -> None:
        self._handlers[kind.name] = handler


class _Staleness(Collector):
    """A histogram of how things stand now, not of observations added up: made anew for each scrape."""

    def __init__(self, read: Callable[[], Sequence[float]]) -> None:
        self._read = read

    def collect(self) -> list[HistogramMetricFamily]:
        ratios = sorted(self._read())
        bounds = [*_STALENESS, float("inf")]
        family = HistogramMetricFamily(
            "zaptik_tenant_staleness_ratio",
            "Age of each active tenant's graph over its cadence, as it is now.",
        )
        buckets = [
            ("+Inf" if bound == bounds[-1] else str(float(bound)), bisect_right(ratios, bound))
            for bound in bounds
        ]
        family.add_metric([], buckets, sum_value=sum(ratios))
        return [family]


def _text(event: Event, name: str) -> str:
    return str(event.fields.get(name) or "")


def _number(event: Event, name: str) -> float:
    value: Any = event.fields.get(name)
    return float(value or 0)
