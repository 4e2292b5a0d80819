"""Where a name may lead: to public addresses, to ranges that are allowed, and to nothing that is hidden in either."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from jobs.errors import HostNotAllowed
from worker.servicenow.lookup import Lookup, Network, is_reachable

PUBLIC = ["8.8.8.8", "149.96.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1", "127.255.0.9", "0.1.2.3", "10.0.0.1", "172.16.9.9", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2606:4700::1111%eth0",
    "no address", "", "127.1", "0x7f.1", "017700000001",
]  # fmt: skip


class Resolver:
    """Answers what a test says, look-up by look-up, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def look_up(host: str, resolver: Resolver, *ranges: str) -> Lookup:
    networks: list[Network] = [ip_network(text) for text in ranges]
    return Lookup(host, 443, private_ranges=networks, resolve=resolver.resolve)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert is_reachable(address, private_ranges=())


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_may_not_however_it_is_wrapped(address: str) -> None:
    assert not is_reachable(address, private_ranges=())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
        ("64:ff9b::a01:203", "10.1.0.0/16"),
        ("fd12::7", "fd12::/48"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("169.254.169.254", "169.254.169.254/32"),
    ],
)
def test_a_range_allows_what_is_in_it_and_nothing_beside(address: str, network: str) -> None:
    assert is_reachable(address, private_ranges=[ip_network(network)])
    assert not is_reachable("192.168.0.1", private_ranges=[ip_network(network)])


@pytest.mark.parametrize("found", [["169.254.169.254"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_of_which_any_address_is_private_is_refused_and_said(found: list[str]) -> None:
    lookup = look_up("acme.service-now.com", Resolver(found))
    with pytest.raises(HostNotAllowed, match=r"acme\.service-now\.com leads to .*ZAPTIK_PRIVATE_RANGES"):
        asyncio.run(lookup.fetch_addresses())


def test_a_name_is_looked_up_once_so_that_a_second_answer_changes_nothing() -> None:
    async def main() -> None:
        resolver = Resolver(["8.8.8.8"], ["169.254.169.254"])
        lookup = look_up("acme.service-now.com", resolver)
        assert [await lookup.fetch_addresses() for _ in range(3)] == [("8.8.8.8",)] * 3
        assert resolver.asked == [("acme.service-now.com", 443)]
        lookup.forget()
        with pytest.raises(HostNotAllowed):
            await lookup.fetch_addresses()

    asyncio.run(main())


def test_the_address_that_answered_comes_first_and_their_number_is_bounded() -> None:
    async def main() -> None:
        found = [f"8.8.8.{number}" for number in range(9)]
        lookup = look_up("acme.service-now.com", Resolver(found))
        assert list(await lookup.fetch_addresses()) == found[:4]
        lookup.prefer("8.8.8.2")
        assert list(await lookup.fetch_addresses()) == ["8.8.8.2", "8.8.8.0", "8.8.8.1", "8.8.8.3"]

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_loopback_address_that_was_named_itself_needs_no_range(host: str) -> None:
    resolver = Resolver(["8.8.8.8"])
    assert asyncio.run(look_up(host, resolver).fetch_addresses()) == (host,)
    assert resolver.asked == []


@pytest.mark.parametrize(
    ("host", "found"), [("10.0.0.1", ""), ("169.254.169.254", ""), ("localhost", "127.0.0.1")]
)
def test_another_private_address_or_a_name_of_the_loopback_needs_one(host: str, found: str) -> None:
    with pytest.raises(HostNotAllowed):
        asyncio.run(look_up(host, Resolver([found])).fetch_addresses())
    assert asyncio.run(look_up(host, Resolver([found]), "0.0.0.0/0").fetch_addresses()) == (found or host,)
