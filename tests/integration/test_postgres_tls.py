"""Off the machine, a database is spoken to over verified TLS of at least 1.2, or not at all.

Against Debian's PostgreSQL: the one in the wheel is built without TLS.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jobs.errors import DatabaseAway
from ops.local.account import find_unprivileged_account, make_private_folder
from ops.local.certificates import Certificates, write_certificates
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from worker.fleet.certificates import Peer, fetch_expiry
from worker.postgres.connection import fetch_rows, open_connection
from worker.settings import read_settings

pytestmark = pytest.mark.anyio

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats"
OLD = {
    "ssl_min_protocol_version": "TLSv1",
    "ssl_max_protocol_version": "TLSv1.1",
    "ssl_ciphers": "DEFAULT@SECLEVEL=0",  # else OpenSSL 3 would refuse it for us
}

StartServer = Callable[..., EmbeddedPostgres]


@pytest.fixture(scope="module")
def start_server() -> Iterator[StartServer]:
    """Give a function that starts a server with a certificate."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not installed:
        pytest.skip("needs a PostgreSQL with TLS: apt-get install postgresql")
    with ExitStack() as servers:

        def start(certificates: Certificates, **settings: str) -> EmbeddedPostgres:
            # Of a folder of its own: whoever starts tests beside these closes pytest's to all others.
            account = find_unprivileged_account()
            folder = make_private_folder("zaptik-tls-", account=account)
            servers.callback(shutil.rmtree, folder)
            cert_file, key_file = (
                shutil.copy(file, folder) for file in (certificates.cert_file, certificates.key_file)
            )
            if account is not None:
                for file in (cert_file, key_file):
                    shutil.chown(file, account.uid, account.gid)
            files = {"ssl": "on", "ssl_cert_file": str(cert_file), "ssl_key_file": str(key_file)}
            server = EmbeddedPostgres(
                settings={**WITHOUT_DURABILITY, **files, **settings}, binaries=installed[-1]
            )
            return servers.enter_context(server)

        yield start


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def server(start_server: StartServer, trusted: Certificates) -> EmbeddedPostgres:
    return start_server(trusted)


def build_url(server: EmbeddedPostgres, ca_file: Path, *, host: str = "localhost") -> str:
    """Give the address as a deployment writes it, by a name, which leads to the loopback."""
    verified = f"sslmode=verify-full&sslrootcert={ca_file}&hostaddr=127.0.0.1"
    url = f"postgresql://postgres:{server.password}@{host}:{server.port}/postgres?{verified}"
    return read_settings({"ZAPTIK_DATABASE_URL": url}).require_database_url()


async def test_a_verified_server_is_spoken_to_over_a_present_day_tls(
    server: EmbeddedPostgres, trusted: Certificates
) -> None:
    async with open_connection(build_url(server, trusted.ca_file), purpose="test") as connection:
        answer = await connection.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        row = await answer.fetchone()
        assert await fetch_rows(connection, "control", "read_unsafe_rights"), "parameters and rows pass"
    assert row is not None
    assert row["version"] in {"TLSv1.2", "TLSv1.3"}


async def check_refused(url: str) -> None:
    with pytest.raises(DatabaseAway, match="TLS could not be set up or its certificate not be verified"):
        async with open_connection(url, purpose="test"):
            pass


async def test_a_certificate_of_another_authority_is_refused(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    await check_refused(build_url(server, write_certificates(tmp_path).ca_file))


async def test_a_certificate_of_another_host_is_refused(
    server: EmbeddedPostgres, trusted: Certificates
) -> None:
    await check_refused(build_url(server, trusted.ca_file, host="db.example.com"))


async def test_an_expired_certificate_is_refused(
    start_server: StartServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expired = write_certificates(tmp_path_factory.mktemp("expired"), age=timedelta(days=2))
    await check_refused(build_url(start_server(expired), expired.ca_file))


async def test_tls_1_1_is_refused_though_server_and_environment_would_have_it(
    start_server: StartServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMINPROTOCOLVERSION", "TLSv1")
    certificates = write_certificates(tmp_path_factory.mktemp("old"))
    old = start_server(certificates, **OLD)
    assert speak_old_tls(old.port, certificates.ca_file) == "TLSv1.1", "a client that allows it gets it"
    await check_refused(build_url(old, certificates.ca_file))


def speak_old_tls(port: int, ca_file: Path) -> str | None:
    """Give the version of TLS that a server agrees to with a client of its time."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(_SSL_REQUEST)
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            return wrapped.version()


async def test_a_server_without_tls_is_refused(trusted: Certificates) -> None:
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as plain:
        await check_refused(build_url(plain, trusted.ca_file))


def test_until_when_the_certificate_is_valid_is_seen_and_one_that_has_expired_too(
    server: EmbeddedPostgres, start_server: StartServer, trusted: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    expired = write_certificates(tmp_path_factory.mktemp("expired"), age=timedelta(days=2))
    for shown, port in ((trusted, server.port), (expired, start_server(expired).port)):
        expected = x509.load_pem_x509_certificate(shown.cert_file.read_bytes()).not_valid_after_utc
        assert fetch_expiry(Peer("PostgreSQL", "localhost", port, is_postgresql=True)) == expected
    assert expected < datetime.now(UTC)


def test_a_server_without_tls_shows_no_certificate(own_server: EmbeddedPostgres) -> None:
    with pytest.raises(ValueError, match="offers no TLS"):
        fetch_expiry(Peer("PostgreSQL", "127.0.0.1", own_server.port, is_postgresql=True))
