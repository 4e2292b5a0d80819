"""No object that holds a secret shows it, in whichever way an object is looked at, and none of them is pickled.

What looks: repr and str, as in messages and logs; the attributes, as in a debugger; the locals of a traceback, as
what reports crashes sends them away.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
import pprint
import secrets
import traceback
from dataclasses import dataclass
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from jobs.surface import read_surface
from tests.leak_search import LeakSearch
from worker.fleet.process import Process
from worker.queue import Doorbell
from worker.queue.doorbell import Answering
from worker.servicenow import Limits, TokenStore, build_trust, open_client
from worker.servicenow.grant import Form
from worker.servicenow.tokens import Token
from worker.settings import read_settings
from worker.sync import Parts
from worker.sync.opening import Opened
from worker.vault import (
    ClientCredentials,
    HeldKeyring,
    find_source,
    format_keyring,
    new_keyring,
    seal_credentials,
)

LIMITS = Limits(page_rows=10, request_timeout_seconds=1, concurrency=1, tries=1, backoff_seconds=0)
LIBRARIES = {"doorbell"}  # its attributes are a client of a library's, which must have the password to use it


@dataclass(frozen=True, slots=True)
class Held:
    """Every object that lives long, or longer than a moment, and the secrets that are in them."""

    secrets: dict[str, str | bytes]
    objects: dict[str, object]


@pytest.fixture(scope="module")
def held() -> Held:
    ring = new_keyring()
    given = {
        name: secrets.token_urlsafe(24)
        for name in (
            "client id",
            "client secret",
            "token",
            "database password",
            "admin password",
            "redis password",
        )
    }
    settings = read_settings(
        {
            "ZAPTIK_DATABASE_URL": f"postgresql://zaptik_app:{given['database password']}@127.0.0.1:1/zaptik",
            "ZAPTIK_ADMIN_DATABASE_URL": f"postgresql://admin:{given['admin password']}@127.0.0.1:1/zaptik",
            "ZAPTIK_REDIS_URL": f"redis://:{given['redis password']}@127.0.0.1:1/0",
            "ZAPTIK_KEYRING": format_keyring(ring),
        }
    )
    source = find_source(settings)
    keyring = HeldKeyring(source)
    credentials = ClientCredentials(given["client id"], given["client secret"])
    token = Token(given["token"], 1_000.0)
    trust, tokens = build_trust(None), TokenStore()

    async def open_all() -> dict[str, object]:
        async def fetch() -> Token:
            return token

        await tokens.obtain(("tenant", 1, "https://acme.service-now.com"), fetch)
        async with open_client(
            "https://acme.service-now.com",
            client_id=given["client id"],
            client_secret=given["client secret"],
            allowed_hosts=(),
            trust=trust,
            tokens=tokens,
            token_key=("tenant", 1),
            limits=LIMITS,
        ) as client:
            return {"client": client, **{f"client.{name}": part for name, part in vars(client).items()}}

    process = Process("worker", settings, threads=1)
    doorbell = Doorbell(settings.require_redis_url())
    parts = Parts(settings, keyring, trust, read_surface(), process.name, process.emit, tokens=tokens)
    objects: dict[str, object] = {
        "settings": settings,
        "source": source,
        "keyring": ring,
        "held keyring": keyring,
        "credentials": credentials,
        "form": Form(given["client id"], given["client secret"]),
        "opened": Opened(credentials, 1),
        "sealed": seal_credentials(ring, credentials, tenant="t-1", version=1),
        "token": token,
        "tokens": tokens,
        "parts": parts,
        "process": process,
        "health": process.health,
        "metrics": process.metrics,
        "doorbell": doorbell,
        "answering": Answering(dramatiq.Worker(StubBroker())),
        **asyncio.run(open_all()),
    }
    process.doorbell.close()
    doorbell.close()
    text = base64.b64encode(ring.primary_key)
    return Held({**given, "key": ring.primary_key, "key as text": text}, objects)


def look_at(name: str, shown: Any) -> str:
    views = [repr(shown), str(shown), f"{shown}", f"{[shown]}", pprint.pformat(shown)]
    if hasattr(shown, "__dict__") and name not in LIBRARIES:
        views += [repr(vars(shown)), pprint.pformat(vars(shown))]
    try:
        fail_beside(shown)
    except ZeroDivisionError as error:
        views += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return "\n".join(views)


def fail_beside(local: object) -> None:
    also = {"in a dictionary": local}
    raise ZeroDivisionError(f"beside {len(also)} object")


def test_nothing_that_holds_a_secret_shows_it(held: Held) -> None:
    search = LeakSearch(held.secrets)
    found = {
        name: leaks
        for name, shown in held.objects.items()
        if (leaks := search.find(look_at(name, shown).encode()))
    }
    assert found == {}


def test_there_is_something_to_find(held: Held) -> None:
    """Were it not hidden, each secret would be found."""
    search = LeakSearch(held.secrets)
    shown = "\n".join(repr(secret) for secret in held.secrets.values())
    shown += repr(list(held.secrets.values()))
    assert {leak.name for leak in search.find(shown.encode())} == held.secrets.keys()


@pytest.mark.parametrize(
    "name",
    [
        "settings", "source", "keyring", "held keyring", "credentials", "form", "opened", "token", "tokens", "parts",
        "process", "doorbell", "client",
    ],
)  # fmt: skip
def test_nothing_that_holds_a_secret_is_pickled(held: Held, name: str) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises((TypeError, AttributeError)):
            pickle.dumps(held.objects[name], protocol)
