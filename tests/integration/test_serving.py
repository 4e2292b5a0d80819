"""A test's own server leaves no connection behind, whatever moment its end comes at."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from ops.local.certificates import Certificates, write_certificates
from tests.serving import Handle, connected, serving, serving_in_a_thread


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates.cert_file, certificates.key_file)
    return made


async def never_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def never_look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 10_000_000)  # more than the kernel takes
    await writer.drain()


def is_over(client: socket.socket) -> bool:
    """Say whether the other side ends a connection; what it said before is read away."""
    try:
        while client.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize("said", [b"", b"\x16\x03", b"GET / HTTP/1.1\r\n"], ids=["nothing", "half", "no TLS"])
def test_a_connection_whose_handshake_never_ends_is_ended(context: ssl.SSLContext, said: bytes) -> None:
    with serving_in_a_thread(never_answer, tls=context) as port:
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        client.sendall(said)
    with client:
        assert is_over(client)


@pytest.mark.parametrize("handle", [never_answer, never_look])
def test_a_connection_whose_handler_never_ends_is_ended(
    certificates: Certificates, context: ssl.SSLContext, handle: Handle
) -> None:
    trust = ssl.create_default_context(cafile=certificates.ca_file)
    with serving_in_a_thread(handle, tls=context) as port:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        client = trust.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True)
    with client:
        assert is_over(client)


def test_a_client_that_leaves_in_the_middle_ends_its_handler(context: ssl.SSLContext) -> None:
    with serving_in_a_thread(never_answer, tls=context) as port:
        for said in (b"", b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(said)


def test_what_goes_wrong_in_a_handler_is_told() -> None:
    async def break_down(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            async with serving(break_down) as port, connected("127.0.0.1", port) as (reader, _):
                await reader.read()

    asyncio.run(main())
