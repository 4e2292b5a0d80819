"""A client of a running simulator that has a token: for tests, and to try things by hand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.server import Simulator

TOKEN_PATH = "/oauth_token.do"  # noqa: S105  a path
WAIT_SECONDS = 30


@contextmanager
def open_client(simulator: Simulator) -> Iterator[httpx.Client]:
    """Open a client of the simulator's APIs, the control API's token included; the log starts empty.

    No proxy and no netrc of the caller's environment has a part in it.
    """
    oauth = simulator.instance.oauth
    asked = {
        "grant_type": "client_credentials",
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret,
    }
    with httpx.Client(base_url=simulator.url, timeout=WAIT_SECONDS, trust_env=False) as client:
        token = client.post(TOKEN_PATH, data=asked).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.headers["X-Simulator-Token"] = simulator.instance.control_token
        simulator.clear_requests()
        yield client
