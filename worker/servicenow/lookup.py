"""Where an instance's name leads: looked up once for a client, checked, and then connected to by number.

A name is somebody else's to point where they like. If it leads into a private network, our credentials and
requests would go to whoever answers there: a metadata service of the cloud, say. So every address that a name has
must be public, or in a range that the deployment allows, and the connection goes to the very address that was
checked: a second look-up could give another one (DNS rebinding). The certificate is still the name's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from jobs.errors import HostNotAllowed

Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

_MOST_ADDRESSES: Final = 4
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address stands in the last 32 bits
# Azure's, the one outside every private range.
_PUBLIC_METADATA: Final = frozenset({IPv4Address("168.63.129.16")})


async def resolve_name(host: str, port: int) -> list[str]:
    """Look a name up as the machine does; gives each address once, in the machine's order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class Lookup:
    """The checked addresses of one host, for one client."""

    def __init__(self, host: str, port: int, *, private_ranges: Sequence[Network], resolve: Resolve) -> None:
        self.host = host
        self.port = port
        self.is_name = not _is_address(host)
        self._private_ranges = private_ranges
        self._resolve = resolve
        self._addresses: list[str] = []

    def __repr__(self) -> str:
        return f"<Lookup host={self.host} addresses={self._addresses}>"

    async def fetch_addresses(self) -> Sequence[str]:
        """Give the addresses to try, in order; raises HostNotAllowed if any of them may not be, or OSError."""
        if not self._addresses:
            found = await self._resolve(self.host, self.port) if self.is_name else [self.host.strip("[]")]
            # All of them before any is kept: a name with one address that may not be is somebody's trick or mistake.
            for address in found:
                self._check(address)
            self._addresses = list(found[:_MOST_ADDRESSES])
        return tuple(self._addresses)

    def prefer(self, address: str) -> None:
        """Try an address that answered before the others from now on."""
        self._addresses.sort(key=lambda other: other != address)

    def forget(self) -> None:
        """Look the name up anew next time: none of its addresses could be connected to."""
        self._addresses = []

    def _check(self, address: str) -> None:
        is_named = not self.is_name and is_loopback(address)  # ZAPTIK_INSTANCE_HOSTS holds this very address
        if not is_named and not is_reachable(address, private_ranges=self._private_ranges):
            raise HostNotAllowed(
                f"{self.host} leads to {address}, which is no public address: nothing was sent there. Check the "
                "address and the DNS of this machine; if the instance is there, name its range in "
                "ZAPTIK_PRIVATE_RANGES."
            )


def is_reachable(address: str, *, private_ranges: Sequence[Network]) -> bool:
    """Say whether an address may be connected to: it is public, or in a range that is allowed."""
    try:
        number = ip_address(address)
    except ValueError:
        return False
    if number.version == 6 and number.scope_id:  # noqa: PLR2004  an address on one link alone
        return False
    meant = _unwrap(number)
    if any(one in network for network in private_ranges for one in {number, meant}):
        return True
    is_special = meant.is_multicast or meant.is_reserved or meant.is_unspecified
    return meant.is_global and not is_special and meant not in _PUBLIC_METADATA


def is_loopback(address: str) -> bool:
    """Say whether an address is this machine's own."""
    return _unwrap(ip_address(address)).is_loopback


def _unwrap(number: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(number, IPv4Address):
        return number
    if number in _NAT64:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour or number


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
