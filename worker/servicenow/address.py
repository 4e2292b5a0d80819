"""Which addresses an instance may have: https, and a host that is ServiceNow's or that the deployment allows.

A URL comes from a person and decides where credentials are sent. So it is read by one strict pattern, in which
no other parser can see another host, and what does not fit is refused rather than mended. No name is looked
up here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import httpx

from jobs.errors import HostNotAllowed, InvalidAddress, PlainHttp
from worker.settings.addresses import MAX_PORT

_FORM: Final = "https://NAME.service-now.com"
DEFAULT_PORT: Final = 443
_MAX_HOST: Final = 253  # RFC 1035, without the root's dot

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = rf"(?:{_LABEL}\.)*{_LABEL}|\[[0-9a-f:.]+\]"
_URL: Final = re.compile(rf"https://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?\Z")
_SERVICE_NOW: Final = "*.service-now.com"


def check_instance_url(url: str, *, allowed_hosts: Sequence[str]) -> str:
    """Give `https://host` or `https://host:port` if an instance may be there.

    `allowed_hosts` are patterns beside `*.service-now.com`: `host` and `*.example.com` (any name below it) on
    the default port, `host:port` and `*.example.com:port` on that one. Raises PlainHttp, HostNotAllowed, or
    InvalidAddress where it is no plain address; no message repeats what was given but for a host that was read.
    """
    if url.lower().startswith("http://"):
        raise PlainHttp(
            f"An instance is reached by https alone, since credentials are sent to it: write {_FORM}."
        )
    match = _URL.match(url)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not _is_host(match["host"]) or not 0 < port <= MAX_PORT:
        raise InvalidAddress(
            f"That is no instance's address: write {_FORM}, in lower case, with a port if it is not 443, and "
            "without user, path, query, fragment, or a dot at the end."
        )
    host = match["host"]
    if not any(_admits(pattern.lower(), host, port) for pattern in (_SERVICE_NOW, *allowed_hosts)):
        raise HostNotAllowed(
            f"{host} on port {port} is not a host that instances may have: check the spelling, or name it in "
            "ZAPTIK_INSTANCE_HOSTS, as host, host:port or *.example.com."
        )
    return f"https://{host}" if port == DEFAULT_PORT else f"https://{host}:{port}"


def _is_host(host: str) -> bool:
    """Say whether the client, too, reads this very host, and an address of digits is one."""
    try:
        read = httpx.URL(f"https://{host}").raw_host
    except httpx.InvalidURL:
        return False
    return len(host) <= _MAX_HOST and read == host.strip("[]").encode()


def _admits(pattern: str, host: str, port: int) -> bool:
    name, mark, number = pattern.rpartition(":")
    if not mark or not number.isdecimal():  # the last colon may be one inside [::1]
        name, number = pattern, str(DEFAULT_PORT)
    if int(number) != port:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) > len(name[1:])
    return host == name
