"""The token endpoint answers as the instance's does: by form, with one token while it lives, and its errors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.oauth import OAuth

FORM = {
    "grant_type": "client_credentials",
    "client_id": "simulator-client",
    "client_secret": "simulator-secret",
}
ACCESS_DENIED = {"error_description": "access_denied", "error": "server_error"}
NOT_AUTHENTICATED = {
    "error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"},
    "status": "failure",
}
ROWS = "/api/now/table/sys_user_group"


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    store = Store()
    store.declare("sys_user_group")
    with Simulator(store, control_token="control") as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    """Give a client that has no token yet."""
    with httpx.Client(base_url=simulator.url, trust_env=False) as client:
        yield client


def fetch_token(client: httpx.Client) -> str:
    token: str = client.post("/oauth_token.do", data=FORM).raise_for_status().json()["access_token"]
    return token


def fetch_rows(client: httpx.Client, token: str) -> httpx.Response:
    return client.get(ROWS, headers={"Authorization": f"Bearer {token}"})


def test_a_form_with_the_right_secret_gets_a_token_and_no_refresh_token(client: httpx.Client) -> None:
    answer = client.post("/oauth_token.do", data=FORM)
    token = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert set(token) == {"access_token", "scope", "token_type", "expires_in"}
    assert (token["scope"], token["token_type"]) == ("useraccount", "Bearer")
    assert fetch_rows(client, token["access_token"]).json() == {"result": []}


def test_a_token_begins_with_1799_seconds_and_stays_the_same_while_they_run_out() -> None:
    clock = Clock()
    oauth = OAuth(client_id="simulator-client", client_secret="simulator-secret", clock=clock)
    answers = []
    for passed in (0, 700, 1_099.5, 0.5):
        clock.seconds += passed
        answers.append(oauth.issue(FORM, {})[1])
    assert [answer["expires_in"] for answer in answers] == [1799, 1099, 0, 1799]
    first, second, third, fourth = (answer["access_token"] for answer in answers)
    assert first == second == third != fourth


def test_a_token_is_accepted_until_its_last_moment_and_never_after() -> None:
    clock = Clock()
    oauth = OAuth(client_id="simulator-client", client_secret="simulator-secret", clock=clock)
    bearer = f"Bearer {oauth.issue(FORM, {})[1]['access_token']}"
    clock.seconds += 1_799.9
    assert oauth.accepts(bearer)
    clock.seconds += 0.1
    assert not oauth.accepts(bearer)


def test_json_instead_of_a_form_is_an_unspecified_error(client: httpx.Client) -> None:
    answer = client.post("/oauth_token.do", json=FORM)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "unspecified error")
    assert client.post("/oauth_token.do").status_code == 400


def test_credentials_in_the_query_are_refused(client: httpx.Client) -> None:
    secret = {"client_secret": "simulator-secret"}
    answer = client.post("/oauth_token.do", params=secret, data=FORM)
    assert (answer.status_code, answer.json()) == (401, ACCESS_DENIED)


def test_a_wrong_secret_looks_like_a_server_error(client: httpx.Client) -> None:
    answer = client.post("/oauth_token.do", data={**FORM, "client_secret": "simulator-secret "})
    assert (answer.status_code, answer.json()) == (401, ACCESS_DENIED)


def test_an_unknown_client_is_an_invalid_one(client: httpx.Client) -> None:
    answer = client.post("/oauth_token.do", data={**FORM, "client_id": "other"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("grant_type", ["password", "refresh_token", ""])
def test_no_other_grant_is_given(client: httpx.Client, grant_type: str) -> None:
    answer = client.post("/oauth_token.do", data={**FORM, "grant_type": grant_type})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_a_client_without_an_application_user_is_unauthorized(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.oauth.has_application_user = False
    answer = client.post("/oauth_token.do", data=FORM)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "unauthorized_client",
        "error_description": "integration user is not configured for OAuth:simulator-client",
    }


def test_a_body_that_is_not_utf8_is_a_wrong_secret_and_no_crash(client: httpx.Client) -> None:
    answer = client.post(
        "/oauth_token.do",
        content=b"grant_type=client_credentials&client_id=simulator-client&client_secret=\xff",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=no-such"},
    )
    assert (answer.status_code, answer.json()) == (401, ACCESS_DENIED)


def test_the_endpoint_takes_post_alone(client: httpx.Client) -> None:
    assert client.get("/oauth_token.do", params=FORM).status_code == 405


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer other", "Basic c2ltOnNpbQ=="])
def test_without_the_token_a_request_is_not_authenticated(client: httpx.Client, authorization: str) -> None:
    fetch_token(client)
    answer = client.get(ROWS, headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()) == (401, NOT_AUTHENTICATED)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Service-now"'
    assert answer.headers["X-Is-Logged-In"] == "false"


def test_a_revoked_token_is_refused_in_mid_crawl_and_a_new_one_is_another(
    simulator: Simulator, client: httpx.Client
) -> None:
    token = fetch_token(client)
    assert fetch_rows(client, token).status_code == 200
    simulator.instance.oauth.revoke()
    assert fetch_rows(client, token).json() == NOT_AUTHENTICATED
    assert fetch_token(client) != token


def test_a_dead_token_is_refused_like_a_wrong_one(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.oauth.token_seconds = 0
    assert fetch_rows(client, fetch_token(client)).status_code == 401


def test_the_log_holds_each_token_request_and_no_secret(simulator: Simulator, client: httpx.Client) -> None:
    fetch_token(client)
    client.post("/oauth_token.do", data={**FORM, "client_secret": "other"})
    assert [(r["method"], r["path"], r["status"], r["authorized"]) for r in simulator.requests] == [
        ("POST", "/oauth_token.do", 200, True),
        ("POST", "/oauth_token.do", 401, False),
    ]
    assert "simulator-secret" not in repr([simulator.requests, simulator.instance.oauth, simulator])
