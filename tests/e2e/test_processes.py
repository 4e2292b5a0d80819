"""The processes as their orchestrator sees them: health, metrics, signals, and nothing secret in what they say."""

from __future__ import annotations

import base64
import re
import signal
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from ops.local.processes import build_minimal_environment, wait_until
from ops.local.stack import ZAPTIK
from tests.e2e.conftest import Deployed

WORKER_METRICS = (
    "zaptik_runs_total",
    "zaptik_run_duration_seconds",
    "zaptik_requests_total",
    "zaptik_request_duration_seconds",
    "zaptik_throttle_wait_seconds_total",
    "zaptik_records_total",
    "zaptik_token_requests_total",
    "zaptik_revision_changes_total",
    "zaptik_publish_duration_seconds",
    "zaptik_publish_fenced_total",
    "zaptik_build_info",
)
FLEET_METRICS = (
    "zaptik_runs",
    "zaptik_tenants",
    "zaptik_tenant_staleness_ratio",
    "zaptik_oldest_due_seconds",
    "zaptik_scheduler_last_tick_timestamp_seconds",
    "zaptik_build_info",
)


def fetch(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=10)


@pytest.mark.parametrize("process", ["scheduler", "worker-1", "worker-2"])
def test_every_process_lives_and_is_ready(deployed: Deployed, process: str) -> None:
    port = deployed.stack.metrics_ports[process]
    assert wait_until(lambda: fetch(port, "/readyz").status_code == 200, deadline_seconds=20)
    assert fetch(port, "/livez").status_code == 200
    assert fetch(port, "/").status_code == 404


def test_the_promised_metrics_are_there_and_none_names_a_tenant(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    texts = {name: fetch(port, "/metrics").text for name, port in deployed.stack.metrics_ports.items()}
    workers = texts["worker-1"] + texts["worker-2"]
    for name in WORKER_METRICS:
        assert re.search(rf"^{name}(_bucket)?[ {{]", workers, re.MULTILINE), name
    for name in FLEET_METRICS:
        assert re.search(rf"^{name}(_bucket)?[ {{]", texts["scheduler"], re.MULTILINE), name
    assert re.search(r'^zaptik_requests_total{endpoint="table",status="200"} [1-9]', workers, re.MULTILINE)
    for tenant in deployed.stack.instances:
        assert tenant not in "".join(texts.values())


def test_a_worker_drains_on_sigterm_and_leaves_the_list(deployed: Deployed) -> None:
    stack = deployed.stack
    third = stack.start_process("worker-3", ZAPTIK, "worker", environment=stack.settings())
    third.wait_for_event("process.started")
    assert len(deployed.call("status", "--json").document["workers"]) == 3
    third.send(signal.SIGTERM)
    assert third.wait(deadline_seconds=30) == 0
    third.wait_for_event("process.stopped")
    assert len(deployed.call("status", "--json").document["workers"]) == 2


def test_a_process_waits_for_a_database_that_is_away(deployed: Deployed) -> None:
    stack = deployed.stack
    away = {**stack.settings(), "ZAPTIK_DATABASE_URL": "postgresql://zaptik_app:x@127.0.0.1:1/zaptik"}
    waiting = stack.start_process("worker-away", ZAPTIK, "worker", environment=away)
    waiting.wait_for_event("dependency.away")
    port = waiting.wait_for_event("metrics.listening")["port"]
    ready = fetch(port, "/readyz")
    assert ready.status_code == 503
    assert "PostgreSQL is away" in ready.text
    assert fetch(port, "/livez").status_code == 200
    waiting.send(signal.SIGTERM)
    assert waiting.wait(deadline_seconds=30) == 0


def test_a_taken_metrics_port_is_told(deployed: Deployed) -> None:
    taken = deployed.stack.metrics_ports["scheduler"]
    called = deployed.call("scheduler", ZAPTIK_METRICS_PORT=str(taken))
    assert called.exit_code == 2
    assert "ZAPTIK_METRICS_PORT" in called.stderr


def spelled(secret: str) -> tuple[str, ...]:
    """Give a secret as it may be written: plain, in base64, in a URL."""
    return secret, base64.b64encode(secret.encode()).decode().rstrip("="), quote(secret, safe="")


def test_no_secret_stands_in_any_log(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    stack = deployed.stack
    environment = build_minimal_environment(**stack.admin_settings())
    password: Callable[[str], str] = lambda url: url.split("@")[0].rpartition(":")[2]  # noqa: E731
    secrets = [
        *stack.client_secrets.values(),
        password(environment["ZAPTIK_DATABASE_URL"]),
        password(environment["ZAPTIK_ADMIN_DATABASE_URL"]),
        password(environment["ZAPTIK_REDIS_URL"]),
    ]
    logs = {file.name: file.read_text() for file in stack.logs.iterdir()}
    assert any("run.ended" in text for text in logs.values())
    for secret in secrets:
        for form in spelled(secret):
            assert not [name for name, text in logs.items() if form in text]
    assert not [name for name, text in logs.items() if "Bearer" in text]
