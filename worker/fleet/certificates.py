"""Until when the certificates of PostgreSQL and Redis are valid: looked at by each scheduler, once an hour.

A connection of its own goes as far as the TLS handshake and no further: nothing is sent, and nothing is verified, since
one that has expired is to be seen too. What connections that carry something verify is told elsewhere. Looked at is
the server's own certificate, not those of the authorities above it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from jobs.events import CERTIFICATE_SEEN, CERTIFICATE_UNSEEN
from worker.fleet.process import Process
from worker.postgres.places import find_tls_places
from worker.settings import Settings
from worker.vault import read_expiry

_LOOK_SECONDS: Final = 3600.0
_ANSWER_SECONDS: Final = 5.0
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats"
_REDIS_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that we speak to over TLS: what it is called, and where it answers."""

    name: str
    host: str
    port: int
    is_postgresql: bool


def find_peers(settings: Settings) -> Iterator[Peer]:
    """Give the servers that the settings name with TLS; a Unix socket and loopback in clear have no certificate."""
    yield from _find_postgresql("PostgreSQL", settings.require_database_url())
    if settings.listening_url() != settings.require_database_url():
        yield from _find_postgresql("PostgreSQL past the pooler", settings.listening_url())
    redis = urlsplit(settings.require_redis_url())
    if redis.scheme == "rediss" and redis.hostname:
        yield Peer("Redis", redis.hostname, redis.port or _REDIS_PORT, is_postgresql=False)


def _find_postgresql(name: str, url: str) -> Iterator[Peer]:
    return (Peer(name, host, port, is_postgresql=True) for host, port in find_tls_places(url))


def fetch_expiry(peer: Peer) -> datetime:
    """Ask a server for its certificate and give until when it is valid; OSError or ValueError where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((peer.host, peer.port), timeout=_ANSWER_SECONDS) as connection:
        if peer.is_postgresql:
            connection.sendall(_SSL_REQUEST)
            if connection.recv(1) != b"S":
                raise ValueError("it offers no TLS")
        with context.wrap_socket(connection, server_hostname=peer.host) as wrapped:
            certificate = wrapped.getpeercert(binary_form=True)
    return read_expiry(certificate or b"")


class CertificateTurns:
    """When this scheduler looks again, and what it told."""

    def __init__(self, process: Process, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._process = process
        self._look_seconds = look_seconds
        self._next_look = time.monotonic()
        self._told: dict[str, datetime] = {}

    def __repr__(self) -> str:
        return f"<CertificateTurns, every {self._look_seconds:.0f} s>"

    def take(self) -> None:
        """Look, where an hour is over, and tell what is another than before; of several hosts the first to expire."""
        if time.monotonic() < self._next_look:
            return
        # Before it is tried, as in the other turns: a server that does not answer costs its seconds once an hour.
        self._next_look = time.monotonic() + self._look_seconds
        earliest: dict[str, datetime] = {}
        for peer in find_peers(self._process.settings):
            try:
                expires_at = fetch_expiry(peer)
            except (OSError, ValueError) as error:
                self._tell_unseen(peer, error)
            else:
                earliest[peer.name] = min(expires_at, earliest.get(peer.name, expires_at))
        for name, expires_at in earliest.items():
            if self._told.get(name) != expires_at:
                self._told[name] = expires_at
                self._process.tell(CERTIFICATE_SEEN, peer=name, expires_at=expires_at.isoformat())

    def _tell_unseen(self, peer: Peer, error: Exception) -> None:
        self._process.tell(
            CERTIFICATE_UNSEEN, peer=peer.name, host=f"{peer.host}:{peer.port}", error=type(error).__name__
        )
