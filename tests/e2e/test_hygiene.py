"""The gate: whatever fails, and however loud everything is, no secret stands anywhere but where it belongs.

One stack goes through every failure there is, with the server and all libraries saying as much as they can. Then
every place where anything was written is searched, for each secret in each form. See docs/explanation/credentials.md.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator

import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry, Gauge

from tests.e2e.conftest import Called
from tests.e2e.hygiene_case import Gate, running_gate
from tests.e2e.sinks import write_all_down
from tests.leak_search import LeakSearch
from worker.telemetry import Health, MetricsServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    logs, written, elsewhere = (tmp_path_factory.mktemp(name) for name in ("logs", "written", "elsewhere"))
    with running_gate(logs=logs, folder=written, elsewhere=elsewhere) as went_through:
        yield went_through


def test_after_every_failure_no_secret_is_anywhere(gate: Gate) -> None:
    search = LeakSearch(gate.secrets())
    found = [
        f"{leak.name}, as {leak.form}: {where}"
        for where, text in gate.read_everything()
        for leak in search.find(text)
    ]
    assert not found, "\n".join(found)


def test_every_failure_was_met(gate: Gate) -> None:
    """Were one not, its silence would prove nothing."""
    told = "\n".join(path.read_text() for path in sorted(gate.stack.logs.glob("*.log")))
    events = [json.loads(line) for line in told.splitlines() if line.startswith("{") and '"event"' in line]
    names = {event["event"] for event in events}
    assert names >= {
        "failure.unforeseen",
        "library.logged",
        "request.failed",
        "run.rescued",
        "run.retried",
        "tenant.paused",
        "token.refused",
    }
    assert {event.get("where") for event in events} >= {"slice", "thread", "destructor"}
    assert {event.get("code") for event in events} >= {
        "credentials_rejected",
        "database",
        "instance_slow",
        "instance_unreachable",
    }
    loggers = {str(event.get("logger")).partition(".")[0] for event in events}
    assert loggers >= {"httpcore", "httpx", "dramatiq", "asyncio", "a"}, "libraries said all that they could"
    codes = {code for called in gate.said for code in re.findall(r'"code": "(\w+)"', called.stdout)}
    assert codes >= {
        "credentials_rejected",
        "database",
        "instance_unreachable",
        "key_missing",
        "database_away",
    }
    server = gate.stack.postgres.log_file.read_text(errors="replace")
    assert "violates check constraint" in server
    assert "SCRAM-SHA-256$" in server, "it wrote down the statement that sets a password"
    assert (gate.stack.valkey.folder / "dump.rdb").is_file()
    assert sum("sync_run" in command for command in gate.overheard) > 2, "messages were overheard"


def plant_in_the_database(gate: Gate, text: str) -> None:
    detail = json.dumps({"planted": text})
    gate.ask("INSERT INTO control.audit_events (action, detail) VALUES ('planted', %s)", detail)


def plant_in_the_server_log(gate: Gate, text: str) -> None:
    with pytest.raises(psycopg.Error):
        gate.ask("SELECT %s::text::integer", text)


def plant_in_redis(gate: Gate, text: str) -> None:
    with redis.Redis.from_url(gate.stack.valkey.url(3)) as client:
        client.hset("planted", "field", text)


def plant_in_metrics(gate: Gate, text: str) -> None:
    registry, health = CollectorRegistry(), Health()
    Gauge("planted", "Planted.", ("label",), registry=registry).labels(text).set(1)
    health.become_ready()
    server = gate.stays.enter_context(MetricsServer(registry, health, host="127.0.0.1", port=0))
    gate.stack.metrics_ports["planted"] = server.port


def plant_in_a_log(gate: Gate, text: str) -> None:
    with (gate.stack.logs / "worker-1.log").open("a") as log:
        log.write(f"{text}\n")


def plant_in_what_is_said(gate: Gate, text: str) -> None:
    gate.said.append(Called(1, "", f"zaptik: {text}"))


def plant_in_an_export(gate: Gate, text: str) -> None:
    with (gate.folder / "acme.jsonl").open("a") as exported:
        exported.write(text)


def plant_in_a_file(gate: Gate, text: str) -> None:
    (gate.stack.folder / "left behind").write_text(text)


PLANTS = {
    plant_in_the_database: "the dump",
    plant_in_the_server_log: "postgres.log",
    plant_in_redis: "Redis",
    plant_in_metrics: "/metrics",
    plant_in_a_log: "worker-1.log",
    plant_in_what_is_said: "said",
    plant_in_an_export: "acme.jsonl",
    plant_in_a_file: "left behind",
}


def test_what_is_written_down_in_any_place_is_found(gate: Gate) -> None:
    """One secret for each place, encoded as it may come there: each is found in its place."""
    planted = {plant.__name__: secrets.token_urlsafe(24) for plant in PLANTS}
    for number, plant in enumerate(PLANTS):
        value = planted[plant.__name__].encode()
        plant(
            gate,
            (value.decode(), value.hex(), base64.b64encode(b"x" * number + value).decode())[number % 3],
        )
    write_all_down(gate.stack)
    found: dict[str, set[str]] = {}
    search = LeakSearch(planted)
    for where, text in gate.read_everything():
        for leak in search.find(text):
            found.setdefault(leak.name, set()).add(where)
    for plant, place in PLANTS.items():
        assert any(place in where for where in found.get(plant.__name__, ())), (place, found)
    assert any("dump.rdb" in where for where in found["plant_in_redis"]), "and in the server's file"
    assert any("/data/" in where for where in found["plant_in_the_database"]), "and in the server's files"
