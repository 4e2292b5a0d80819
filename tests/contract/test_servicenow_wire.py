"""What travels to an instance, and what never leaves the room again: secrets, tokens, queries, rows."""

from __future__ import annotations

import asyncio
import json
import pickle
import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Failure, HostNotAllowed, InstanceUnreachable, PlainHttp
from jobs.events import Event
from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from tests.contract.scripted_instance import (
    GROUPS,
    HTML,
    LIMITS,
    Play,
    ScriptedInstance,
    error,
    grant,
    open_reader,
    page,
    reply,
)
from tests.serving import serving
from worker import __version__
from worker.servicenow import Client, TokenStore, build_trust, open_client

ID = "a" * 32
CANARIES = ("secret-canary", "token-canary", "row-canary", "sysparm", "simulator-client")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


async def fetch(client: Client, told: list[Event]) -> None:
    await client.fetch_page(GROUPS, Position(ID), emit=told.append)


def chain(raised: BaseException | None) -> list[BaseException]:
    """Give an exception with all it hangs on to, suppressed or not."""
    if raised is None:
        return []
    return [raised, *chain(raised.__cause__), *chain(raised.__context__)]


def test_a_request_says_who_asks_and_what_it_takes(certificates: Certificates) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            await fetch(client, [])
            for heard in instance.heard:
                assert heard.headers["user-agent"] == f"zaptik-sync/{__version__}"
                assert heard.headers["accept"] == "application/json"
                assert heard.headers["accept-encoding"] == "gzip"
                assert heard.headers["host"] == instance.url.removeprefix("https://")

    asyncio.run(main())


def test_no_cookie_is_kept(certificates: Certificates) -> None:
    cookies = [("Set-Cookie", f"{name}=x; Path=/; Secure") for name in ("JSESSIONID", "glide_user_session")]
    baked = reply(200, '{"result":[]}', headers=cookies)

    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [baked]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            for _ in range(3):
                await fetch(client, [])
            assert not any("cookie" in heard.headers for heard in instance.heard)

    asyncio.run(main())


def test_neither_a_proxy_nor_a_netrc_of_the_environment_is_used(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def main() -> None:
        async with (
            ScriptedInstance(certificates) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            await fetch(client, [])
            assert [heard.bearer for heard in instance.asked] == ["token-canary-1"]

    asyncio.run(main())


def test_a_connection_is_used_again(certificates: Certificates) -> None:
    async def main() -> None:
        ports = set()

        async def note(writer: asyncio.StreamWriter) -> None:
            ports.add(writer.get_extra_info("peername"))
            writer.write(page())

        async with (
            ScriptedInstance(certificates, [note]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            for _ in range(5):
                await fetch(client, [])
        assert len(ports) == 1

    asyncio.run(main())


def test_a_connection_that_is_cut_off_in_its_handshake_is_closed_at_once(certificates: Certificates) -> None:
    async def main() -> None:
        greeted, closed = asyncio.Event(), asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read(1)
            greeted.set()
            while await reader.read(65_536):
                pass
            closed.set()

        async with (
            serving(say_nothing) as port,
            open_reader(f"https://127.0.0.1:{port}", certificates) as client,
        ):
            asking = asyncio.create_task(fetch(client, []))
            await greeted.wait()
            asking.cancel()
            async with asyncio.timeout(20):
                await closed.wait()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())


@pytest.mark.parametrize("whose", ["nobody's", "another authority's"])
def test_a_certificate_of_an_unknown_authority_ends_it_before_a_secret_is_sent(
    certificates: Certificates, tmp_path: Path, whose: str
) -> None:
    trust = build_trust(None if whose == "nobody's" else write_certificates(tmp_path).ca_file)

    async def main() -> None:
        async with (
            ScriptedInstance(certificates) as instance,
            open_reader(instance.url, certificates, trust=trust) as client,
        ):
            with pytest.raises(
                InstanceUnreachable, match=r"certificate could not be verified.*ZAPTIK_CA_FILE"
            ):
                await fetch(client, [])
            assert instance.heard == []

    asyncio.run(main())


def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert_file, certificates.key_file)

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with (
            serving(hang_up, host="127.0.0.2", tls=context) as port,
            open_reader(f"https://127.0.0.2:{port}", certificates) as client,
        ):
            with pytest.raises(InstanceUnreachable, match="certificate could not be verified"):
                await fetch(client, [])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "kind"),
    [("http://acme.service-now.com", PlainHttp), ("https://acme.example.com", HostNotAllowed)],
)
def test_an_address_that_is_not_allowed_gets_no_client(url: str, kind: type[Failure]) -> None:
    async def main() -> None:
        with pytest.raises(kind):
            async with open_client(
                url,
                client_id="id",
                client_secret="secret",
                allowed_hosts=(),
                trust=build_trust(None),
                tokens=TokenStore(),
                token_key=("tenant-1", 1),
                limits=LIMITS,
            ):
                raise AssertionError("a client was opened")

    asyncio.run(main())


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.write(page(ID)[:-10])
    await writer.drain()
    writer.transport.abort()


async def stall(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


ROW = '{"result":[{"sys_id":"bad","name":"row-canary"}]}'
LEAKS: list[tuple[Play, Play]] = [
    (grant(), cut),
    (grant(), stall),
    (grant(), reply(200, ROW)),
    (grant(), reply(200, '{"result":[{"name":{"row-canary":1}}]}')),
    (grant(), reply(200, "row-canary", kind="text/plain")),
    (grant(), reply(200, "<p>row-canary</p>", kind=HTML)),
    (grant(), error(500, "row-canary", "row-canary")),
    (grant(), error(404, "row-canary", "row-canary")),
    (grant(), error(401, "row-canary")),
    (grant(), error(429, "row-canary")),
    (grant(), error(503, "row-canary")),
    (grant(), error(403, "Operation Failed")),
    (grant(), error(400, "Invalid table sys_user_group")),
    (reply(401, '{"error":"secret-canary"}'), page()),
    (reply(400, '{"error":"secret-canary","error_description":"secret-canary"}'), page()),
    (reply(200, '{"access_token":"token-canary\\n","expires_in":10}'), page()),
    (cut, page()),
    (stall, page()),
]


@pytest.mark.parametrize(("token_play", "play"), LEAKS, ids=map(str, range(len(LEAKS))))
def test_no_failure_event_or_repr_holds_a_secret_a_query_or_a_row(
    certificates: Certificates, token_play: Play, play: Play
) -> None:
    told: list[Event] = []
    tokens = TokenStore()

    async def main() -> Failure:
        async with (
            ScriptedInstance(certificates, [play], [token_play]) as instance,
            open_reader(
                instance.url,
                certificates,
                client_secret="secret-canary",
                tokens=tokens,
                tries=2,
                request_timeout_seconds=0.2 if stall in (play, token_play) else 20,
            ) as client,
        ):
            with pytest.raises(Failure) as caught:
                await fetch(client, told)
            shown = [repr(client), str(client), repr(tokens), repr(vars(client).keys())]
            assert not any(canary in text for canary in CANARIES for text in shown)
            return caught.value

    failure = asyncio.run(main())
    hung_on = chain(failure)
    texts = [f"{one!r} {one}" for one in hung_on]
    texts += ["".join(traceback.format_exception(failure)), json.dumps(failure.document())]
    texts += [repr(event) for event in told]
    assert not any(canary in text for canary in CANARIES for text in texts)
    assert {type(one).__module__.partition(".")[0] for one in hung_on} <= {"jobs", "worker", "msgspec"}


def test_what_holds_credentials_is_not_pickled(certificates: Certificates) -> None:
    async def main() -> None:
        async with open_reader("https://127.0.0.1:9", certificates) as client:
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(client)

    asyncio.run(main())


def test_a_client_can_do_nothing_but_read() -> None:
    offered: set[Any] = {name for name in vars(Client) if not name.startswith("_")}
    assert offered == {
        "fetch_page", "fetch_count", "fetch_aggregates", "fetch_changed", "fetch_keys", "fetch_records", "fetch_given",
        "fetch_count_of", "fetch_signs", "fetch_scope", "cooldown_seconds", "rate_window", "pace", "wait_for_pause",
        "requests_under_way", "stop_asking",
    }  # fmt: skip
