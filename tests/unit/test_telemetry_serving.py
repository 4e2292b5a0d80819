"""`/metrics`, `/livez`, `/readyz`, and what makes them say no."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from jobs.errors import InvalidSetting
from worker.telemetry import Health, Metrics, MetricsServer


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[MetricsServer]:
    metrics = Metrics(version="1", process="worker")
    with MetricsServer(metrics.registry, health, host="127.0.0.1", port=0) as started:
        yield started


def fetch(server: MetricsServer, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{server.port}{path}", trust_env=False)


def test_metrics_are_prometheus_text(server: MetricsServer) -> None:
    answer = fetch(server, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert 'zaptik_build_info{process="worker",version="1"} 1.0' in answer.text


def test_a_process_is_ready_when_it_says_so(server: MetricsServer, health: Health) -> None:
    assert (fetch(server, "/readyz").status_code, fetch(server, "/readyz").text) == (503, "starting\n")
    health.become_ready()
    assert (fetch(server, "/readyz").status_code, fetch(server, "/readyz").text) == (200, "ok\n")
    health.become_unready("stopping")
    assert fetch(server, "/readyz").text == "stopping\n"
    assert fetch(server, "/livez").status_code == 200


def test_a_part_that_fell_silent_fails_livez_by_name(server: MetricsServer, health: Health) -> None:
    health.beat("round", within_seconds=60)
    assert fetch(server, "/livez").status_code == 200
    health.beat("thread 7", within_seconds=-1)  # promised for a time that is over
    answer = fetch(server, "/livez")
    assert (answer.status_code, answer.text) == (503, "thread 7 is stuck\n")
    health.end("thread 7")
    assert fetch(server, "/livez").status_code == 200


def test_other_paths_and_methods_are_refused(server: MetricsServer) -> None:
    assert fetch(server, "/").status_code == 404
    assert fetch(server, "/metrics/../etc").status_code == 404
    assert fetch(server, "/metrics", "POST").status_code == 501


def test_a_port_that_is_taken_names_the_setting(health: Health) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidSetting, match="ZAPTIK_METRICS_PORT"):
            MetricsServer(
                Metrics(version="1", process="worker").registry,
                health,
                host="127.0.0.1",
                port=taken.getsockname()[1],
            )
