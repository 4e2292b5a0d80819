"""What goes wrong around the work is a series from the start, so that an alert sees the first mishap."""

from __future__ import annotations

from typing import Literal, get_args

import pytest

from jobs import events
from jobs.errors import Failure, InstanceThrottled, KeyMissing, UnknownTenant
from jobs.events import Event
from jobs.verdict import VerdictName
from worker.telemetry import Metrics

Kind = Literal["worker", "scheduler"]


def make(process: Kind) -> Metrics:
    return Metrics(version="1.2.3", process=process)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("process", get_args(Kind))
def test_what_a_process_depends_on_is_up_once_it_has_started_and_down_while_it_is_away(process: Kind) -> None:
    metrics = make(process)
    metrics.observe(Event(events.PROCESS_STARTED, {"process": process}))
    assert value(metrics, "zaptik_dependency_up", dependency="Redis") == 1
    metrics.observe(Event(events.DEPENDENCY_AWAY, {"dependency": "Redis", "error": "no answer"}))
    assert value(metrics, "zaptik_dependency_up", dependency="Redis") == 0
    assert value(metrics, "zaptik_dependency_up", dependency="PostgreSQL") == 1
    metrics.observe(Event(events.DEPENDENCY_BACK, {"dependency": "Redis"}))
    assert value(metrics, "zaptik_dependency_up", dependency="Redis") == 1


def test_a_process_that_waits_for_its_start_shows_what_it_waits_for() -> None:
    metrics = make("worker")
    metrics.observe(Event(events.DEPENDENCY_AWAY, {"dependency": "PostgreSQL", "error": "no answer"}))
    assert value(metrics, "zaptik_dependency_up", dependency="PostgreSQL") == 0


@pytest.mark.parametrize("process", get_args(Kind))
def test_what_nobody_foresaw_is_counted_from_zero(process: Kind) -> None:
    metrics = make(process)
    assert value(metrics, "zaptik_unforeseen_failures_total") == 0
    metrics.observe(Event(events.FAILURE_UNFORESEEN, {"where": "slice", "error": "KeyError", "frames": []}))
    assert value(metrics, "zaptik_unforeseen_failures_total") == 1


def test_a_keyring_that_cannot_be_read_is_counted() -> None:
    metrics = make("worker")
    assert value(metrics, "zaptik_keyring_failures_total") == 0
    metrics.observe(Event(events.KEYRING_UNREADABLE, {"error": "no file"}))
    assert value(metrics, "zaptik_keyring_failures_total") == 1


def test_a_run_that_is_offered_again_is_counted() -> None:
    metrics = make("scheduler")
    assert value(metrics, "zaptik_runs_rescued_total") == 0
    metrics.observe(Event(events.RUN_RESCUED, {"worker": "node-1/7"}))
    assert value(metrics, "zaptik_runs_rescued_total") == 1


def test_every_way_a_run_may_fail_is_a_series_before_one_has() -> None:
    metrics = make("worker")
    for failure in (Failure, KeyMissing, InstanceThrottled):
        assert value(metrics, "zaptik_runs_total", outcome="failed", code=failure.code) == 0
        assert value(metrics, "zaptik_runs_total", outcome="retried", code=failure.code) == 0
    assert value(metrics, "zaptik_runs_total", outcome="retried", code="gave_up") is None
    assert value(metrics, "zaptik_runs_total", outcome="failed", code=UnknownTenant.code) is None
    for code in ("credentials_missing", "credentials_rejected"):
        assert value(metrics, "zaptik_tenant_pauses_total", reason=code) == 0
    lost = set(get_args(VerdictName)) - {"complete"}
    assert {
        verdict: value(metrics, "zaptik_coverage_changes_total", **{"from": "complete", "to": verdict})
        for verdict in lost
    } == dict.fromkeys(lost, 0)
