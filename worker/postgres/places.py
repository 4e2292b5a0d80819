"""Where the servers are that an address of PostgreSQL names, as libpq reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg.conninfo import conninfo_to_dict

_PORT: Final = 5432
_WITH_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})


def find_tls_places(url: str) -> Iterator[tuple[str, int]]:
    """Give host and port of each server that is spoken to over TLS; a Unix socket and loopback in clear are none."""
    options = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    if options.get("sslmode") not in _WITH_TLS:
        return
    # Where both are given libpq connects to hostaddr, and host is only the name that it verifies.
    hosts = (options.get("hostaddr") or options.get("host", "")).split(",")
    ports = options.get("port", "").split(",")
    for number, host in enumerate(hosts):
        port = ports[number] if len(ports) == len(hosts) else ports[0]
        if host and not host.startswith("/"):
            yield host, int(port or _PORT)
