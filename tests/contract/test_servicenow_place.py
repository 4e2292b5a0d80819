"""Where a connection goes: to the very address that was checked, under the instance's name, over verified TLS alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobs.errors import HostNotAllowed, InstanceUnreachable
from jobs.events import Event
from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from tests.contract.scripted_instance import GROUPS, ScriptedInstance, open_reader, page, reply
from tests.serving import connected, serving
from worker.servicenow import Client

NAME = "acme.example.com"
LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
ID = "a" * 32


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"), hosts=[NAME])


@pytest.fixture
def told() -> list[Event]:
    return []


class Resolver:
    """Answers what a test says, look-up by look-up, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def fetch(client: Client, told: list[Event]) -> int:
    return len((await client.fetch_page(GROUPS, Position(), emit=told.append)).page.rows)


def named(instance: ScriptedInstance) -> str:
    """Give the instance's address under a name that only a test's resolver knows."""
    return instance.url.replace("127.0.0.1", NAME)


def test_the_connection_goes_to_the_address_that_was_checked_under_the_instances_name(
    certificates: Certificates, told: list[Event]
) -> None:
    """The second answer would lead elsewhere: nobody asks for it."""

    async def main() -> None:
        resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
        heard_names: list[str | None] = []
        async with ScriptedInstance(certificates, [page(ID)]) as instance:
            instance.tls.sni_callback = lambda _socket, name, _context: heard_names.append(name)
            async with open_reader(
                named(instance), certificates, resolve=resolver.resolve, private_ranges=LOOPBACK
            ) as client:
                assert [await fetch(client, told) for _ in range(3)] == [1, 1, 1]
            assert resolver.asked == [NAME]
            assert {heard.headers["host"] for heard in instance.heard} == {
                named(instance).removeprefix("https://")
            }
            assert heard_names == [NAME]

    asyncio.run(main())


def test_a_certificate_must_be_the_names_and_not_the_addresss(tmp_path: Path, told: list[Event]) -> None:
    certificates = write_certificates(tmp_path)  # it vouches for 127.0.0.1, where the connection goes

    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)]) as instance,
            open_reader(
                named(instance),
                certificates,
                resolve=Resolver(["127.0.0.1"]).resolve,
                private_ranges=LOOPBACK,
            ) as client,
        ):
            with pytest.raises(InstanceUnreachable, match="certificate could not be verified"):
                await fetch(client, told)
            assert instance.heard == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_that_leads_into_a_private_network_is_refused_before_a_byte_is_sent(
    certificates: Certificates, told: list[Event], found: list[str]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)]) as instance,
            open_reader(named(instance), certificates, resolve=Resolver(found).resolve) as client,
        ):
            with pytest.raises(HostNotAllowed, match="ZAPTIK_PRIVATE_RANGES"):
                await fetch(client, told)
            assert instance.heard == []

    asyncio.run(main())
    assert [event.fields["code"] for event in told] == [HostNotAllowed.code], "tried once, and told of"


def test_a_name_of_the_loopback_in_the_hosts_is_not_enough(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with ScriptedInstance(certificates, [page(ID)]) as instance:
            url = instance.url.replace("127.0.0.1", "localhost")
            async with open_reader(url, certificates) as client:
                with pytest.raises(HostNotAllowed):
                    await fetch(client, told)
            async with open_reader(url, certificates, private_ranges=LOOPBACK) as client:
                assert await fetch(client, told) == 1

    asyncio.run(main())


def test_where_the_first_address_does_not_answer_the_next_does_and_is_kept_to(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        resolver = Resolver(["127.0.0.9", "127.0.0.1"])
        closing = reply(200, '{"result":[]}', headers=[("Connection", "close")])
        knocked = []

        async def open_door(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            knocked.append(writer)

        async with (
            ScriptedInstance(certificates, [closing, page(ID)]) as instance,
            open_reader(
                named(instance), certificates, resolve=resolver.resolve, private_ranges=LOOPBACK, tries=1
            ) as client,
        ):
            assert await fetch(client, told) == 0
            port = int(instance.url.rpartition(":")[2])
            async with serving(open_door, host="127.0.0.9", port=port):
                assert await fetch(client, told) == 1, "by a new connection"
            assert knocked == []
            assert len(resolver.asked) == 1

    asyncio.run(main())


def test_where_none_answers_the_name_is_looked_up_anew(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> None:
        resolver = Resolver(["127.0.0.9"], ["127.0.0.1"])
        async with (
            ScriptedInstance(certificates, [page(ID)]) as instance,
            open_reader(
                named(instance), certificates, resolve=resolver.resolve, private_ranges=LOOPBACK
            ) as client,
        ):
            assert await fetch(client, told) == 1
            assert len(resolver.asked) == 2

    asyncio.run(main())


@pytest.mark.parametrize("found", [[], ["::1"]], ids=["no address", "nobody there"])
def test_a_name_without_an_address_that_answers_is_unreachable(
    certificates: Certificates, told: list[Event], found: list[str]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates) as instance,
            open_reader(
                named(instance), certificates, resolve=Resolver(found).resolve, private_ranges=LOOPBACK
            ) as client,
        ):
            with pytest.raises(InstanceUnreachable):
                await fetch(client, told)

    asyncio.run(main())


@asynccontextmanager
async def serve(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve over a TLS of one's own, and give what was heard once it was set up."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1_000))
        writer.close()

    async with serving(answer, tls=context) as port:
        yield f"https://127.0.0.1:{port}", heard


@pytest.fixture
def deprecated() -> Iterator[None]:
    """TLS 1.1 is deprecated, and that is what these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.usefixtures("deprecated")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_a_server_of_tls_1_1_or_older_is_refused_before_a_secret_is_sent(
    certificates: Certificates, told: list[Event], version: ssl.TLSVersion
) -> None:
    """One that speaks 1.2 is not, and the same server hears a client that would take the older: so it does speak it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version

    async def main() -> None:
        async with serve(context) as (url, heard):
            lax = ssl.create_default_context(cafile=certificates.ca_file)
            lax.set_ciphers("ALL:@SECLEVEL=0")
            lax.minimum_version = version
            host, port = url.removeprefix("https://").split(":")
            async with connected(host, int(port), tls=lax) as (reader, writer):
                assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
                writer.write(b"heard")
                assert await reader.read() == b"", "it was heard"
            async with open_reader(url, certificates) as client:
                with pytest.raises(InstanceUnreachable) as caught:
                    await fetch(client, told)
            is_new = version is ssl.TLSVersion.TLSv1_2
            assert ("TLS could not be set up" in caught.value.message) is not is_new
            assert any(b"client_secret" in said or b"POST" in said for said in heard) is is_new

    asyncio.run(main())


def test_a_self_signed_server_is_refused_before_a_secret_is_sent(
    certificates: Certificates, tmp_path: Path, told: list[Event]
) -> None:
    own = write_self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)

    async def main() -> None:
        async with serve(context) as (url, heard), open_reader(url, certificates) as client:
            with pytest.raises(InstanceUnreachable, match="certificate could not be verified"):
                await fetch(client, told)
            assert heard == []

    asyncio.run(main())


def write_self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_network("127.0.0.1/32").network_address)])
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "own.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(encoding)
    )
    return path
