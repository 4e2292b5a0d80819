"""The examples of autoscaling parse, ask for metrics that there are, and agree with each other and the settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from jobs.events import SCHEDULER_TICKED, Event
from tests.house.sources import ROOT
from worker.settings import Settings
from worker.telemetry import FleetFigures, Metrics

FOLDER = ROOT / "ops" / "kubernetes"
THREADS = str(Settings.model_fields["worker_threads"].default)
BY_KEDA, BY_HPA, ADAPTER = "workers-keda.yaml", "workers-hpa.yaml", "prometheus-adapter-values.yaml"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def read_queries(document: Any) -> list[str]:
    """Give every expression that Prometheus is asked."""
    if isinstance(document, dict):
        asked = [document[key] for key in ("query", "metricsQuery", "seriesQuery") if key in document]
        return asked + [query for value in document.values() for query in read_queries(value)]
    if isinstance(document, list):
        return [query for value in document for query in read_queries(value)]
    return []


def read_series() -> set[tuple[str, str]]:
    """Give the series of a scheduler that are there from its first round on: names with their labels."""
    metrics = Metrics(version="0", process="scheduler")
    metrics.set_fleet(FleetFigures({}, {}, [], 0, {}, {}, 0))
    metrics.observe(Event(SCHEDULER_TICKED))
    return {
        (sample.name, ",".join(f'{name}="{value}"' for name, value in sample.labels.items()))
        for family in metrics.registry.collect()
        for sample in family.samples
    }


@pytest.mark.parametrize("name", [BY_KEDA, ADAPTER])
def test_what_is_asked_of_prometheus_is_there_from_the_first_round_on(name: str) -> None:
    asked = {
        (series, labels)
        for query in read_queries(read(name))
        for series, labels in re.findall(r"(zaptik_\w+)(?:\{([^}]*)\})?", query)
    }
    assert asked
    assert asked <= read_series()


def test_both_ways_scale_the_same_deployment_by_the_same_figure_between_the_same_bounds() -> None:
    keda, hpa, adapter = read(BY_KEDA), read(BY_HPA), read(ADAPTER)
    [trigger], [metric], [rule] = (
        keda["spec"]["triggers"],
        hpa["spec"]["metrics"],
        adapter["rules"]["external"],
    )
    assert metric["external"]["metric"]["name"] == rule["name"]["as"]
    assert trigger["metadata"]["query"] == rule["metricsQuery"]
    assert keda["spec"]["scaleTargetRef"]["name"] == hpa["spec"]["scaleTargetRef"]["name"] == "zaptik-worker"
    bounds = ("minReplicaCount", "maxReplicaCount")
    assert [keda["spec"][name] for name in bounds] == [
        hpa["spec"][name] for name in ("minReplicas", "maxReplicas")
    ]
    behaviour = keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour == hpa["spec"]["behavior"]


def test_a_worker_is_asked_for_as_many_runs_as_it_has_threads() -> None:
    [trigger], [metric] = read(BY_KEDA)["spec"]["triggers"], read(BY_HPA)["spec"]["metrics"]
    target = metric["external"]["target"]
    assert (trigger["metricType"], target["type"]) == ("AverageValue", "AverageValue")
    assert trigger["metadata"]["threshold"] == target["averageValue"] == THREADS


def test_the_page_on_scaling_names_every_example() -> None:
    text = (ROOT / "docs" / "how-to" / "scale-workers.md").read_text("utf-8")
    for name in (BY_KEDA, BY_HPA, ADAPTER):
        assert f"ops/kubernetes/{name}" in text
    assert read_queries(read(BY_KEDA))[0] in text
