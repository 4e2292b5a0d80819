"""What an address in a setting may be: nothing that leaves the machine in clear, however it is written.

Pure: no name is looked up and nothing is opened. No message repeats an address, since it may hold a password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

DATABASE_FORM: Final = "postgresql://USER:PASSWORD@HOST:5432/NAME?sslmode=verify-full"
REDIS_FORM: Final = "rediss://USER:PASSWORD@HOST:6379/0"
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_REDIS_WEAKENING: Final = frozenset({"ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"})
_TLS_VERSIONS: Final = frozenset({"TLSv1.2", "TLSv1.3"})

_DATABASE_OPTIONS: Final = frozenset({
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version", "channel_binding",
    "host", "hostaddr", "port", "connect_timeout", "target_session_attrs", "load_balance_hosts", "require_auth",
    "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "ssl",
})  # fmt: skip
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST_PATTERN: Final = re.compile(
    rf"(?:(?:{_LABEL}\.)*{_LABEL}|\*\.(?:{_LABEL}\.)+{_LABEL}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)
MAX_PORT: Final = 65535
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<netloc>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)


@dataclass(frozen=True, slots=True)
class _Url:
    scheme: str
    netloc: str
    path: str
    query: str


def _split_url(text: str, *, schemes: frozenset[str], form: str) -> _Url:
    """Split a URL so that no client can read another host in it than we do.

    libpq ends the user part at the first @ before a slash, urllib at the last one before a slash, ? or #; a
    URL in which these differ is refused rather than interpreted. urllib itself is not asked: some releases
    refuse a second host in brackets.
    """
    if any(ord(character) <= 0x20 or character in "#\\" for character in text):  # noqa: PLR2004  space
        raise ValueError(f"write {form}, with spaces, # and \\ percent-encoded")
    match = _URL.fullmatch(text)
    if match is None or match["scheme"].lower() not in schemes:
        raise ValueError(f"write {form}")
    parts = _Url(match["scheme"].lower(), match["netloc"], match["path"], match["query"] or "")
    if parts.netloc.count("@") > 1 or "@" in parts.path or "@" in parts.query:
        raise ValueError(f"write {form}, with @ / ? in the user, password or query percent-encoded")
    return parts


def _read_database_hosts(parts: _Url, options: Mapping[str, str]) -> list[str]:
    """Give every host libpq would try: the query's `host` replaces the one before the path."""
    hosts = options["host"].split(",") if "host" in options else _read_netloc_hosts(parts)
    return hosts + options["hostaddr"].split(",") if "hostaddr" in options else hosts


def _read_netloc_hosts(parts: _Url) -> list[str]:
    hosts = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        host = place[1 : place.find("]")] if place.startswith("[") else place.partition(":")[0]
        hosts.extend(unquote(host).split(","))  # libpq too splits once more, after decoding
    return hosts


def check_database_url(secret: SecretStr) -> SecretStr:
    """Let an address of PostgreSQL pass that is local, or encrypted and verified; ValueError says what to write."""
    schemes = frozenset({"postgresql", "postgres"})
    parts = _split_url(secret.get_secret_value(), schemes=schemes, form=DATABASE_FORM)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _DATABASE_OPTIONS):
        raise ValueError(
            f"leave {' and '.join(unknown)} out: it is none of {', '.join(sorted(_DATABASE_OPTIONS))}"
        )
    if options.get("ssl_min_protocol_version", "TLSv1.2") not in _TLS_VERSIONS:
        raise ValueError(
            "let ssl_min_protocol_version be TLSv1.2 or TLSv1.3, or leave it out: 1.2 is the least"
        )
    # An empty host means PGHOST or a compiled-in folder to libpq: it is not ours to call that local.
    is_local = all(
        host.startswith("/") or _is_loopback(host) for host in _read_database_hosts(parts, options)
    )
    is_verified = options.get("sslmode") == "verify-full" and "ssl" not in options
    if not is_local and not is_verified:
        raise ValueError(
            f"write {DATABASE_FORM} (sslmode=verify-full may be left out only where every host is a "
            "loopback address, or a Unix socket's folder as ?host=/folder)"
        )
    return secret


def _has_good_port(netloc: str) -> bool:
    port = re.search(r":([^:\]]*)\Z", netloc.rpartition("@")[2])
    return port is None or (re.fullmatch("[0-9]{1,5}", port[1]) is not None and 0 < int(port[1]) <= MAX_PORT)


def check_redis_url(secret: SecretStr) -> SecretStr:
    """Let an address of Redis pass that is local, or encrypted and verified; ValueError says what to write."""
    schemes = frozenset({"rediss", "redis", "unix"})
    parts = _split_url(secret.get_secret_value(), schemes=schemes, form=REDIS_FORM)
    if surplus := _REDIS_WEAKENING.intersection(name for name, _ in parse_qsl(parts.query)):
        raise ValueError(
            f"leave {' and '.join(sorted(surplus))} out: TLS is 1.2 or later and the server's certificate always "
            "verified; name its authority in ZAPTIK_REDIS_CA_FILE"
        )
    if not _has_good_port(parts.netloc):
        raise ValueError(f"write {REDIS_FORM}, with a port from 1 to {MAX_PORT}")
    if parts.scheme == "redis" and not all(_is_loopback(host) for host in _read_netloc_hosts(parts)):
        raise ValueError(
            f"write {REDIS_FORM} (redis:// only to a loopback address; unix:///path/redis.sock for a Unix "
            "socket)"
        )
    return secret


def check_host_pattern(pattern: str) -> str:
    """Give a host, host:port or *.example.com in lower case; ValueError where it is none of these."""
    lowered = pattern.lower()
    match = _HOST_PATTERN.fullmatch(lowered)
    if match is None or int(match["port"] or 0) > MAX_PORT:
        raise ValueError("write hosts as host, host:port or *.example.com, separated by commas or spaces")
    return lowered
