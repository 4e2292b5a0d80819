"""Throw-away certificates: a client that trusts the authority, and only such a one, accepts the server."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from ops.local.certificates import Certificates, write_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return write_certificates(tmp_path, hosts=("acme.example", "192.0.2.7"))


@pytest.fixture
def port(certificates: Certificates) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_once, args=(listener, context))
        server.start()
        yield listener.getsockname()[1]
        server.join()


def serve_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return


def connect(port: int, name: str, *, trusted: Path | None) -> None:
    context = ssl.create_default_context(cafile=trusted)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    with socket.create_connection(("127.0.0.1", port)) as plain:
        context.wrap_socket(plain, server_hostname=name).close()


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "localhost", "acme.example", "192.0.2.7"])
def test_the_server_is_who_it_says(certificates: Certificates, port: int, name: str) -> None:
    connect(port, name, trusted=certificates.ca_file)


def test_another_name_is_refused(certificates: Certificates, port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        connect(port, "globex.example", trusted=certificates.ca_file)


@pytest.mark.usefixtures("certificates")
def test_who_does_not_trust_the_authority_refuses_it(port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        connect(port, "localhost", trusted=None)


def test_the_key_is_private(certificates: Certificates) -> None:
    assert certificates.key_file.stat().st_mode & 0o777 == 0o600
