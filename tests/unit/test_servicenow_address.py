"""Credentials go to a host that is ServiceNow's or that the deployment names, however its address is written."""

import contextlib
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.errors import HostNotAllowed, InvalidAddress, PlainHttp, UsageFailure
from worker.servicenow import check_instance_url

ALLOWED = ("snow.example.org", "127.0.0.1:8443", "[::1]:8443", "*.corp.example.com", "*.lab.example.com:444")
ACCEPTED = {
    "https://acme.service-now.com": "https://acme.service-now.com",
    "https://acme.service-now.com/": "https://acme.service-now.com",
    "https://acme.service-now.com:443": "https://acme.service-now.com",
    "https://acme.service-now.com:0443/": "https://acme.service-now.com",
    "https://acme-dev.emea.service-now.com": "https://acme-dev.emea.service-now.com",
    "https://snow.example.org": "https://snow.example.org",
    "https://127.0.0.1:8443": "https://127.0.0.1:8443",
    "https://[::1]:8443": "https://[::1]:8443",
    "https://it.corp.example.com": "https://it.corp.example.com",
    "https://a.b.corp.example.com": "https://a.b.corp.example.com",
    "https://a.lab.example.com:444": "https://a.lab.example.com:444",
}
NOT_ALLOWED = [
    "https://service-now.com",
    "https://acme.service-now.com:8443",
    "https://acmeservice-now.com",
    "https://acme.service-now.com.evil.example",
    "https://evil.example",
    "https://snow.example.org:8443",
    "https://a.snow.example.org",
    "https://127.0.0.1",
    "https://127.0.0.1:8444",
    "https://127.1:8443",
    "https://2130706433:8443",
    "https://[::1]",
    "https://[::2]:8443",
    "https://corp.example.com",
    "https://evilcorp.example.com",
    "https://a.lab.example.com",
]
MALFORMED = [
    "",
    "acme.service-now.com",
    "//acme.service-now.com",
    "ftp://acme.service-now.com",
    "https:acme.service-now.com",
    "https:///acme.service-now.com",
    "https://",
    "https://user@acme.service-now.com",
    "https://user:pw-canary@acme.service-now.com",
    "https://evil.example@acme.service-now.com",
    "https://evil.example\\@acme.service-now.com",
    "https://acme.service-now.com\\.evil.example",
    "https://acme.service-now.com/api",
    "https://acme.service-now.com//",
    "https://acme.service-now.com/..",
    "https://acme.service-now.com?x=canary",
    "https://acme.service-now.com/?",
    "https://acme.service-now.com#",
    "https://acme.service-now.com.",
    "https://acme..service-now.com",
    "https://.service-now.com",
    "https://*.service-now.com",
    "https://-acme.service-now.com",
    "https://ACME.service-now.com",
    "HTTPS://acme.service-now.com",
    "https://acme.service-now.com:",
    "https://acme.service-now.com:0",
    "https://acme.service-now.com:65536",
    "https://acme.service-now.com:999999",
    "https://acme.service-now.com:443:443",
    "https://acme.service-now.com:-443",
    "https://acme.service-now.com:\u0664\u0664\u0663",
    "https://acme。service-now.com",
    "https://acme.service-n\u043ew.com",
    "https://ⓐcme.service-now.com",
    "https://acme%2eservice-now.com",
    "https://acme.service-now.com%00.evil.example",
    "https://acme.service-now.com\n",
    "https://acme.service-now.com\n.evil.example",
    " https://acme.service-now.com",
    "https://acme.service-now.com\t",
    "https://acme\u200b.service-now.com",
    "https://[::1%25eth0]:8443",
    "https://[::g]:8443",
    "https://[127.0.0.1]:8443",
    "https://[acme.service-now.com]",
    "https://300.300.300.300:8443",
    f"https://{'a' * 64}.service-now.com",
    f"https://{'a.' * 130}service-now.com",
]


@pytest.mark.parametrize(("url", "expected"), ACCEPTED.items())
def test_an_allowed_address_is_given_in_its_one_form(url: str, expected: str) -> None:
    assert check_instance_url(url, allowed_hosts=ALLOWED) == expected
    assert check_instance_url(expected, allowed_hosts=ALLOWED) == expected


@pytest.mark.parametrize("url", NOT_ALLOWED)
def test_another_host_or_port_is_refused_and_named(url: str) -> None:
    with pytest.raises(HostNotAllowed, match="ZAPTIK_INSTANCE_HOSTS") as caught:
        check_instance_url(url, allowed_hosts=ALLOWED)
    assert str(urlsplit(url).hostname) in caught.value.message


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_plain_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(
        InvalidAddress, match=r"write https://NAME\.service-now\.com, in lower case"
    ) as caught:
        check_instance_url(url, allowed_hosts=(*ALLOWED, "*.example", "300.300.300.300:8443"))
    assert type(caught.value) is InvalidAddress
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("url", ["http://acme.service-now.com", "HTTP://127.0.0.1:8443", "http://u:canary@x"])
def test_plain_http_is_refused_even_on_the_loopback(url: str) -> None:
    with pytest.raises(PlainHttp, match="write https://") as caught:
        check_instance_url(url, allowed_hosts=ALLOWED)
    assert "canary" not in caught.value.message


def test_a_pattern_may_be_written_in_upper_case() -> None:
    url = "https://snow.example.org"
    assert check_instance_url(url, allowed_hosts=["SNOW.Example.ORG:443"]) == url


PIECES = [
    "acme",
    "evil",
    ".",
    ".service-now.com",
    ".example",
    "127.0.0.1",
    "[::1]",
    ":",
    "443",
    "8443",
    "@",
    "/",
]
PIECES += ["?", "#", "\\", "%2e", "%", "..", "xn--", "-", "_", "1", "0x7f", "\n", "\t", " ", "。", "ß", "A"]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("acme.service-now.com:443/")
def test_whatever_is_accepted_the_client_reads_as_an_allowed_host_too(tail: str) -> None:
    with contextlib.suppress(UsageFailure):
        origin = check_instance_url(f"https://{tail}", allowed_hosts=ALLOWED)
        read = httpx.URL(origin + "/oauth_token.do")
        host = read.raw_host.decode()
        port = read.port or 443
        assert (read.scheme, read.userinfo, read.raw_path) == ("https", b"", b"/oauth_token.do")
        assert host == urlsplit(origin).hostname
        is_service_now = host.endswith(".service-now.com") and port == 443
        assert is_service_now or (host, port) in {("127.0.0.1", 8443), ("::1", 8443)}
