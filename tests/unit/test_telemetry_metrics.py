"""Metrics follow from events, and the fleet's figures from the scheduler's rounds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from jobs import events
from jobs.events import Event
from worker.telemetry import FleetFigures, Metrics


def make(process: Literal["worker", "scheduler"]) -> Metrics:
    return Metrics(version="1.2.3", process=process)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_release_is_told() -> None:
    assert value(make("worker"), "zaptik_build_info", version="1.2.3", process="worker") == 1


def test_a_runs_end_counts_its_outcome_its_time_and_its_changes() -> None:
    metrics = make("worker")
    ended = {"outcome": "published", "code": "", "seconds": 2.0, "added": 5, "changed": 2, "removed": 1}
    metrics.observe(Event(events.RUN_ENDED, ended))
    metrics.observe(Event(events.RUN_ENDED, {"outcome": "failed", "code": "credentials_rejected"}))
    metrics.observe(Event(events.RUN_RETRIED, {"code": "instance_throttled"}))
    assert value(metrics, "zaptik_runs_total", outcome="published", code="") == 1
    assert value(metrics, "zaptik_runs_total", outcome="failed", code="credentials_rejected") == 1
    assert value(metrics, "zaptik_runs_total", outcome="retried", code="instance_throttled") == 1
    assert value(metrics, "zaptik_run_duration_seconds_sum") == 2
    changes = [
        value(metrics, "zaptik_revision_changes_total", change=c) for c in ("added", "changed", "removed")
    ]
    assert changes == [5, 2, 1]


def test_requests_count_by_endpoint_and_status_and_rows_as_records() -> None:
    metrics = make("worker")
    answered = {"endpoint": "table", "status": 200, "rows": 40, "seconds": 0.5}
    metrics.observe(Event(events.REQUEST_ANSWERED, answered))
    metrics.observe(Event(events.REQUEST_FAILED, {"endpoint": "table", "status": None, "seconds": 1}))
    metrics.observe(Event(events.TOKEN_FETCHED, {"status": 200, "seconds": 0.25}))
    metrics.observe(Event(events.TOKEN_REFUSED, {"status": 401, "seconds": 0.25}))
    metrics.observe(Event(events.THROTTLE_WAITED, {"seconds": 7}))
    metrics.observe(Event(events.CONCURRENCY_CHANGED, {"limit": 2, "reason": "instance_throttled"}))
    metrics.observe(Event(events.CONCURRENCY_CHANGED, {"limit": 3, "reason": "answered"}))
    assert value(metrics, "zaptik_requests_total", endpoint="table", status="200") == 1
    assert value(metrics, "zaptik_requests_total", endpoint="table", status="0") == 1
    assert value(metrics, "zaptik_requests_total", endpoint="token", status="401") == 1
    assert value(metrics, "zaptik_request_duration_seconds_sum", endpoint="table") == 1.5
    assert value(metrics, "zaptik_records_total") == 40
    assert value(metrics, "zaptik_token_requests_total", outcome="given") == 1
    assert value(metrics, "zaptik_token_requests_total", outcome="refused") == 1
    assert value(metrics, "zaptik_throttle_wait_seconds_total") == 7
    assert value(metrics, "zaptik_concurrency_limit_bucket", le="2.0") == 1
    assert value(metrics, "zaptik_concurrency_limit_count") == 2


def test_a_fenced_worker_and_the_time_of_publishing_are_counted() -> None:
    metrics = make("worker")
    metrics.observe(Event(events.RUN_FENCED))
    metrics.observe(Event(events.PUBLISHED, {"phase": "all", "seconds": 0.5}))
    assert value(metrics, "zaptik_publish_fenced_total") == 1
    assert value(metrics, "zaptik_publish_duration_seconds_sum", phase="all") == 0.5


def test_a_round_shows_the_fleet_as_it_stands_and_every_state_always() -> None:
    metrics = make("scheduler")
    metrics.observe(Event(events.SCHEDULER_TICKED))
    assert value(metrics, "zaptik_runs", state="running") is None
    figures = FleetFigures(
        runs={"running": 2},
        tenants={"active": 3},
        staleness_ratios=[0.4, 1.1, 30],
        oldest_due_seconds=9,
        processes={"worker": 2},
        breakers={"open": 1, "closed": 2},
        quarantined=1,
        waiting=4,
        keys_in_use=2,
        oldest_key_seconds=86_400,
        isolation_checked_at=datetime(2026, 11, 30, tzinfo=UTC),
    )
    metrics.set_fleet(figures)
    metrics.observe(Event(events.SCHEDULER_TICKED))
    assert value(metrics, "zaptik_runs", state="running") == 2
    assert value(metrics, "zaptik_runs", state="requested") == 0
    assert value(metrics, "zaptik_breakers", state="open") == 1
    assert value(metrics, "zaptik_breakers", state="half_open") == 0
    assert value(metrics, "zaptik_tenants_quarantined") == 1
    assert value(metrics, "zaptik_tenants", state="active") == 3
    assert value(metrics, "zaptik_tenants", state="paused") == 0
    assert value(metrics, "zaptik_tenants_waiting") == 4
    assert value(metrics, "zaptik_oldest_due_seconds") == 9
    assert value(metrics, "zaptik_keys_in_use") == 2
    assert value(metrics, "zaptik_oldest_key_age_seconds") == 86_400
    assert value(metrics, "zaptik_isolation_last_check_timestamp_seconds") == 1_795_996_800
    assert value(metrics, "zaptik_isolation_last_reached_timestamp_seconds") == 0
    assert value(metrics, "zaptik_processes", kind="worker") == 2
    assert value(metrics, "zaptik_processes", kind="scheduler") == 0
    assert value(metrics, "zaptik_tenant_staleness_ratio_count") == 3
    assert value(metrics, "zaptik_tenant_staleness_ratio_bucket", le="1.25") == 2
    assert value(metrics, "zaptik_tenant_staleness_ratio_sum") == pytest.approx(31.5)
    assert (value(metrics, "zaptik_scheduler_last_tick_timestamp_seconds") or 0) > 1_700_000_000
    nothing = FleetFigures(
        runs={},
        tenants={},
        staleness_ratios=[],
        oldest_due_seconds=0,
        processes={},
        breakers={},
        quarantined=0,
    )
    metrics.set_fleet(nothing)
    metrics.observe(Event(events.SCHEDULER_TICKED))
    assert value(metrics, "zaptik_runs", state="running") == 0
    assert value(metrics, "zaptik_tenant_staleness_ratio_count") == 0


def test_tries_of_the_boundary_are_counted_by_what_came_of_them() -> None:
    metrics = make("scheduler")
    outcomes = ("held", "reached", "failed")
    assert [value(metrics, "zaptik_isolation_checks_total", outcome=each) for each in outcomes] == [0, 0, 0]
    metrics.observe(Event(events.ISOLATION_CHECKED, {"held": 48, "reached": 1, "failed": 1, "seconds": 0.5}))
    assert [value(metrics, "zaptik_isolation_checks_total", outcome=each) for each in outcomes] == [48, 1, 1]


@pytest.mark.parametrize("process", ["worker", "scheduler"])
def test_every_kind_of_event_can_be_observed_bare(process: Literal["worker", "scheduler"]) -> None:
    metrics = make(process)
    for kind in events.KINDS.values():
        metrics.observe(Event(kind))
    assert value(metrics, "zaptik_build_info", version="1.2.3", process=process) == 1


@pytest.mark.parametrize("process", ["worker", "scheduler"])
def test_no_label_can_name_a_tenant(process: Literal["worker", "scheduler"]) -> None:
    metrics = make(process)
    for kind in events.KINDS.values():
        metrics.observe(Event(kind, tenant="0a1b-tenant", run="run-id"))
    labels = {
        text
        for family in metrics.registry.collect()
        for sample in family.samples
        for text in sample.labels.values()
    }
    assert not [text for text in labels if "tenant" in text or "run-id" in text]
