"""A scheduler tells until when certificates are valid: at its start, and when it is another one."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jobs.events import CERTIFICATE_SEEN, CERTIFICATE_UNSEEN, Event
from ops.local.certificates import Certificates, write_certificates
from tests.serving import serving_in_a_thread
from worker.fleet.certificates import CertificateTurns, Peer, find_peers
from worker.fleet.process import Process
from worker.settings import Settings, read_settings

GAUGE = "zaptik_certificate_expiry_timestamp_seconds"


def make_settings(port: int = 6379, **further: str) -> Settings:
    return read_settings(
        {
            "ZAPTIK_DATABASE_URL": "postgresql://zaptik_app@127.0.0.1:1/none",
            "ZAPTIK_REDIS_URL": f"rediss://localhost:{port}/0",
            **further,
        }
    )


@pytest.mark.parametrize(
    ("url", "peers"),
    [
        ("postgresql://127.0.0.1/db", []),
        ("postgresql:///db?host=/run/postgresql&sslmode=verify-full", []),
        ("postgresql://db.example.com/db?sslmode=verify-full", [("db.example.com", 5432)]),
        ("postgresql://db.example.com/db?sslmode=verify-full&hostaddr=10.0.0.7", [("10.0.0.7", 5432)]),
        ("postgresql://a:1,b:2/db?sslmode=verify-full", [("a", 1), ("b", 2)]),
        ("postgresql://a,b/db?sslmode=verify-full&port=7", [("a", 7), ("b", 7)]),
    ],
)
def test_the_servers_that_are_spoken_to_over_tls_are_looked_at(
    url: str, peers: list[tuple[str, int]]
) -> None:
    found = list(find_peers(make_settings(ZAPTIK_DATABASE_URL=url)))
    assert [(peer.host, peer.port) for peer in found if peer.name == "PostgreSQL"] == peers
    assert found[-1] == Peer("Redis", "localhost", 6379, is_postgresql=False)


def test_a_way_past_the_pooler_is_a_server_of_its_own() -> None:
    past = "postgresql://db.example.com/db?sslmode=verify-full"
    names = [peer.name for peer in find_peers(make_settings(ZAPTIK_LISTEN_DATABASE_URL=past))]
    assert names == ["PostgreSQL past the pooler", "Redis"]


class _Scheduler(Process):
    """Keeps what it emits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("scheduler", settings, threads=1)
        self.emitted: list[Event] = []

    def emit(self, event: Event) -> None:
        self.emitted.append(event)
        super().emit(event)


def test_a_renewed_certificate_is_told_and_one_that_is_as_before_is_not(tmp_path: Path) -> None:
    renewed = [
        _write(tmp_path / name, age=timedelta(hours=hours)) for name, hours in (("old", 30), ("new", 0))
    ]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(renewed[0].cert_file, renewed[0].key_file)
    with serving_in_a_thread(_hang_up, host="127.0.0.1", tls=context) as port:
        scheduler = _Scheduler(make_settings(port))
        turns = CertificateTurns(scheduler, look_seconds=0)
        for shown in renewed:
            context.load_cert_chain(shown.cert_file, shown.key_file)
            for _ in range(2):
                turns.take()
            assert _read_gauge(scheduler) == _read_expiry(shown).timestamp()
    turns.take()
    assert _read_gauge(scheduler) == _read_expiry(renewed[-1]).timestamp(), (
        "it stays while the server is away"
    )
    told = [(event.kind, event.fields.get("expires_at")) for event in scheduler.emitted]
    assert told == [
        *((CERTIFICATE_SEEN, _read_expiry(shown).isoformat()) for shown in renewed),
        (CERTIFICATE_UNSEEN, None),
    ]


def test_a_look_an_hour_is_enough() -> None:
    scheduler = _Scheduler(make_settings(1))
    turns = CertificateTurns(scheduler)
    turns.take()
    turns.take()
    assert [event.kind for event in scheduler.emitted] == [CERTIFICATE_UNSEEN]


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _write(folder: Path, *, age: timedelta) -> Certificates:
    folder.mkdir()
    return write_certificates(folder, age=age)


def _read_expiry(certificates: Certificates) -> datetime:
    return x509.load_pem_x509_certificate(certificates.cert_file.read_bytes()).not_valid_after_utc


def _read_gauge(scheduler: Process) -> float | None:
    return scheduler.metrics.registry.get_sample_value(GAUGE, {"peer": "Redis"})
