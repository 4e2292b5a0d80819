"""The token: asked for once by however many, renewed before it dies and after a 401, and never in a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from jobs.errors import CredentialsRejected, InstanceAsleep, InstanceUnreachable, ResponseInvalid
from jobs.events import REQUEST_ANSWERED, REQUEST_FAILED, TOKEN_FETCHED, TOKEN_REFUSED, Event
from jobs.page import Position
from ops.local.certificates import Certificates, write_certificates
from ops.simulator import Simulator, made_store
from tests.contract.scripted_instance import (
    CLIENT_ID,
    CLIENT_SECRET,
    GROUPS,
    HTML,
    Play,
    ScriptedInstance,
    error,
    grant,
    open_reader,
    page,
    reply,
)
from worker.servicenow import REQUEST_KINDS, Client, TokenStore

ID = "a" * 32
REFUSED = error(401, "User Not Authenticated", "Required to provide Auth information")
DENIED = reply(401, '{"error_description":"access_denied","error":"server_error"}')


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    tls = (certificates.cert_file, certificates.key_file)
    with Simulator(made_store(groups=10, items=2), tls=tls) as running:
        yield running


@pytest.fixture
def told() -> list[Event]:
    return []


async def fetch(client: Client, told: list[Event]) -> int:
    return len((await client.fetch_page(GROUPS, Position(), emit=told.append)).page.rows)


def kinds(told: list[Event]) -> list[str]:
    return [event.kind.name for event in told]


def test_the_credentials_go_by_a_form_and_the_token_by_a_header(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            await fetch(client, told)
            (post,), (get,) = instance.token_posts, instance.asked
            assert (post.method, post.target) == ("POST", "/oauth_token.do")
            assert post.headers["content-type"] == "application/x-www-form-urlencoded"
            assert dict(parse_qsl(post.body.decode())) == {
                "grant_type": "client_credentials",
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
            }
            assert "authorization" not in post.headers
            assert (get.method, get.bearer) == ("GET", "token-canary-1")

    asyncio.run(main())
    assert told[0].kind is TOKEN_FETCHED
    assert told[0].fields["expires_in_seconds"] == 1799


def test_many_tasks_and_many_clients_share_one_token(
    simulator: Simulator, certificates: Certificates
) -> None:
    tokens = TokenStore()

    async def main() -> None:
        for _ in range(2):
            async with open_reader(simulator.url, certificates, tokens=tokens) as client:
                assert set(await asyncio.gather(*(fetch(client, []) for _ in range(20)))) == {10}

    asyncio.run(main())
    assert [request["method"] for request in simulator.requests].count("POST") == 1


def test_another_version_of_the_credentials_has_its_own_token(
    simulator: Simulator, certificates: Certificates
) -> None:
    tokens = TokenStore()

    async def main() -> None:
        for version in (1, 2):
            key = ("tenant-1", version)
            async with open_reader(simulator.url, certificates, tokens=tokens, token_key=key) as client:
                await fetch(client, [])

    asyncio.run(main())
    assert [request["method"] for request in simulator.requests].count("POST") == 2


def test_a_tenant_that_moved_does_not_show_its_token_to_the_new_host(certificates: Certificates) -> None:
    tokens = TokenStore()

    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)], [grant("token-of-old")]) as old,
            ScriptedInstance(certificates, [page(ID)], [grant("token-of-new")]) as new,
        ):
            for instance in (old, new):
                async with open_reader(instance.url, certificates, tokens=tokens) as client:
                    await fetch(client, [])
            assert [heard.bearer for heard in new.asked] == ["token-of-new"]

    asyncio.run(main())


def test_a_token_revoked_in_mid_crawl_is_replaced_once(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            await fetch(client, told)
            simulator.instance.oauth.revoke()
            assert set(await asyncio.gather(*(fetch(client, told) for _ in range(8)))) == {10}

    asyncio.run(main())
    assert [request["method"] for request in simulator.requests].count("POST") == 2
    assert kinds(told).count("token.fetched") == 2
    assert {event.fields["status"] for event in told if event.kind is REQUEST_FAILED} == {401}


def test_a_second_401_with_a_fresh_token_is_a_rejection(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [REFUSED], [grant("token-1"), grant("token-2")]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            with pytest.raises(CredentialsRejected, match="locked out"):
                await fetch(client, told)
            assert [heard.bearer for heard in instance.asked] == ["token-1", "token-2"]

    asyncio.run(main())
    assert kinds(told) == ["token.fetched", "request.failed"] * 2
    assert told[-1].fields["code"] == "credentials_rejected"


def test_many_tasks_that_are_refused_together_ask_for_one_token_more(
    certificates: Certificates, told: list[Event]
) -> None:
    """The instance gives the same text again while a token lives, and refuses it to all."""

    async def main() -> None:
        together = asyncio.Barrier(4)

        async def refuse(writer: asyncio.StreamWriter) -> None:
            await together.wait()
            writer.write(REFUSED)

        async with (
            ScriptedInstance(certificates, [refuse]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            outcomes = await asyncio.gather(*(fetch(client, told) for _ in range(4)), return_exceptions=True)
            assert [isinstance(one, CredentialsRejected) for one in outcomes] == [True] * 4
            assert (len(instance.token_posts), len(instance.asked)) == (2, 8)

    asyncio.run(main())


def test_a_crawl_longer_than_a_tokens_life_goes_from_token_to_token(
    certificates: Certificates, told: list[Event]
) -> None:
    """With a lifetime of a second each is used to its end: what is left shrinks, and nothing loops."""
    lives: list[Play] = [grant(f"token-{number}", expires_in=1) for number in range(1, 4)]

    async def main() -> None:
        clock = [0.0]
        tokens = TokenStore(clock=lambda: clock[0])
        async with (
            ScriptedInstance(certificates, [page(ID)], lives) as instance,
            open_reader(instance.url, certificates, tokens=tokens) as client,
        ):
            for _ in range(9):
                await fetch(client, told)
                clock[0] += 0.4
            used = [heard.bearer for heard in instance.asked]
            assert used == [f"token-{number}" for number in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
            assert len(instance.token_posts) == 3

    asyncio.run(main())


def test_a_token_that_came_dying_and_is_refused_rejects_no_credentials(
    certificates: Certificates, told: list[Event]
) -> None:
    dying = grant("token-1", expires_in=1)

    async def main() -> None:
        async with (
            ScriptedInstance(
                certificates, [REFUSED, REFUSED, page(ID)], [dying, dying, grant("token-2")]
            ) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            assert await fetch(client, told) == 1
            assert [heard.bearer for heard in instance.asked] == ["token-1", "token-1", "token-2"]

    asyncio.run(main())


def test_the_same_token_with_little_left_is_used_and_not_asked_for_again(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)], [grant(expires_in=45)]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            for _ in range(5):
                await fetch(client, told)
            assert len(instance.token_posts) == 1

    asyncio.run(main())


def test_a_token_with_nothing_left_is_tried_and_not_looped_on(
    certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)], [grant(expires_in=0)]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            assert await fetch(client, told) == 1
            assert len(instance.token_posts) == 1

    asyncio.run(main())


def test_a_wrong_secret_is_said_once_with_what_to_check(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    async def main() -> None:
        async with open_reader(simulator.url, certificates, client_secret="secret-canary") as client:
            outcomes = await asyncio.gather(*(fetch(client, told) for _ in range(6)), return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {CredentialsRejected}
            for said in (
                "credential set",
                "client.credential.grant_type.enabled",
                "application user",
            ):
                assert said in str(outcomes[0])

    asyncio.run(main())
    assert [(event.kind, event.fields["status"]) for event in told] == [(TOKEN_REFUSED, 401)]
    assert len(simulator.requests) == 1


def test_a_client_without_an_application_user_is_rejected(
    simulator: Simulator, certificates: Certificates, told: list[Event]
) -> None:
    simulator.instance.oauth.has_application_user = False

    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            with pytest.raises(
                CredentialsRejected, match=r"status 400 unauthorized_client.*application user"
            ):
                await fetch(client, told)

    asyncio.run(main())
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("play", "kind", "posts"),
    [
        (reply(200, "<html>Your instance is hibernating</html>", kind=HTML), InstanceAsleep, 1),
        (reply(302, "", headers=[("Location", "https://developer.servicenow.com/")]), InstanceAsleep, 1),
        (reply(200, '{"error":"server_error","error_description":"access_denied"}'), CredentialsRejected, 1),
        (DENIED, CredentialsRejected, 1),
        (error(500, "x"), ResponseInvalid, 3),
        (reply(503, "{}"), InstanceUnreachable, 3),
        (reply(200, "{}"), ResponseInvalid, 3),
        (reply(200, "null"), ResponseInvalid, 3),
        (reply(200, '{"access_token":"","expires_in":10}'), ResponseInvalid, 3),
        (reply(200, '{"access_token":"a b","expires_in":10}'), ResponseInvalid, 3),
        (reply(200, '{"access_token":"a\\r\\nX: y","expires_in":10}'), ResponseInvalid, 3),
        (reply(200, '{"access_token":"a","expires_in":10,"token_type":"mac"}'), ResponseInvalid, 3),
        (reply(200, '{"access_token":"a"}'), ResponseInvalid, 3),
    ],
)
def test_what_the_token_endpoint_answers_instead_is_named(
    certificates: Certificates, told: list[Event], play: Play, kind: type[Exception], posts: int
) -> None:
    async def main() -> None:
        async with (
            ScriptedInstance(certificates, [page(ID)], [play]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            with pytest.raises(kind) as caught:
                await fetch(client, told)
            assert type(caught.value) is kind
            assert (len(instance.token_posts), len(instance.asked)) == (posts, 0)

    asyncio.run(main())
    expected = TOKEN_REFUSED if kind is CredentialsRejected else REQUEST_FAILED
    assert [event.kind for event in told if event.kind in REQUEST_KINDS] == [expected] * posts


def test_a_quoted_lifetime_is_a_lifetime(certificates: Certificates, told: list[Event]) -> None:
    async def main() -> None:
        quoted = reply(200, '{"access_token":"a","token_type":"bearer","expires_in":"1799"}')
        async with (
            ScriptedInstance(certificates, [page(ID)], [quoted]) as instance,
            open_reader(instance.url, certificates) as client,
        ):
            await fetch(client, told)

    asyncio.run(main())
    assert [event.kind for event in told] == [TOKEN_FETCHED, REQUEST_ANSWERED]
