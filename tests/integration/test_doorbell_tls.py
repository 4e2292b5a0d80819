"""Off the machine, Redis is spoken to over verified TLS of at least 1.2, or not at all.

The server in the wheel is built without TLS, so a gate of ours stands before it and takes the TLS off.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.errors import QueueAway
from ops.local.certificates import Certificates, write_certificates
from ops.local.valkey import EmbeddedValkey
from tests.serving import connected, serving_in_a_thread
from worker.queue import Doorbell
from worker.settings import read_settings


@contextmanager
def open_gate(
    port: int,
    certificates: Certificates,
    *,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    host: str = "127.0.0.1",
) -> Iterator[int]:
    """Serve TLS on a port, which it gives, and hand on what comes to `port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest

    async def hand_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connected("127.0.0.1", port) as (inner_reader, inner_writer):
            await asyncio.gather(hand_over(reader, inner_writer), hand_over(inner_reader, writer))

    with serving_in_a_thread(serve, host=host, tls=context) as gate:
        yield gate


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as started:
        yield started


def check(valkey: EmbeddedValkey, port: int, ca_file: Path, *, host: str = "localhost") -> None:
    """Ring through the gate, as a deployment writes it."""
    url = f"rediss://:{valkey.password}@{host}:{port}/0"
    settings = read_settings({"ZAPTIK_REDIS_URL": url, "ZAPTIK_REDIS_CA_FILE": str(ca_file)})
    doorbell = Doorbell(settings.require_redis_url(), ca_file=settings.redis_ca_file)
    try:
        doorbell.check()
        doorbell.ring(uuid4())
    finally:
        doorbell.close()


def test_a_verified_server_is_rung(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path)
    with open_gate(valkey.port, certificates) as port:
        check(valkey, port, certificates.ca_file)


def test_a_certificate_of_another_authority_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with (
        open_gate(valkey.port, certificates) as port,
        pytest.raises(QueueAway, match="TLS could not be set up or its certificate not be verified"),
    ):
        check(valkey, port, write_certificates(other).ca_file)


def test_an_expired_certificate_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path, age=timedelta(days=2))
    with (
        open_gate(valkey.port, certificates) as port,
        pytest.raises(QueueAway, match="TLS could not be set up or its certificate not be verified"),
    ):
        check(valkey, port, certificates.ca_file)


def test_a_certificate_of_another_host_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path)
    with (
        open_gate(valkey.port, certificates, host="127.0.0.2") as port,
        pytest.raises(QueueAway, match="TLS could not be set up or its certificate not be verified"),
    ):
        check(valkey, port, certificates.ca_file, host="127.0.0.2")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path)
    with (
        open_gate(valkey.port, certificates, newest=ssl.TLSVersion.TLSv1_1) as port,
        pytest.raises(QueueAway, match="TLS could not be set up or its certificate not be verified"),
    ):
        check(valkey, port, certificates.ca_file)
