"""Whoever waits for a run hears why it does not begin, and is told by which run its length is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from jobs.errors import InstanceUnreachable
from jobs.retry import Fate
from tests.integration.postgres_steps import GROUP, claim_fresh_run, node, publish_tables
from worker.command.following import Follower
from worker.postgres.connection import Connection
from worker.postgres.runs import plan_round, release_failed, request_sync
from worker.postgres.tenants import Tenant
from worker.settings import Settings

pytestmark = pytest.mark.anyio


class Heard:
    """Keeps what was told, and says when the first of it came."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.before: Mapping[str, Any] | None = None
        self.came = asyncio.Event()

    def say(self, news: str) -> None:
        self.said.append(news)
        self.came.set()

    def expect(self, before: Mapping[str, Any] | None) -> None:
        self.before = before

    def show(self, _run: Mapping[str, Any]) -> None:
        self.came.set()


async def listen(follower: Follower, number: int, heard: Heard) -> None:
    """Follow until the first word."""
    following = asyncio.create_task(follower.follow(number))
    await asyncio.wait_for(heard.came.wait(), 60)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_a_request_behind_a_run_that_was_put_off_says_so_and_until_when(
    app: Connection, tenant: Tenant, instance_settings: Settings
) -> None:
    run = await claim_fresh_run(app, tenant)
    await release_failed(app, run, Fate("retried", 3600.0, InstanceUnreachable("it sleeps").document()))
    number = await request_sync(app, tenant.name, mode="full")
    heard = Heard()
    await listen(Follower(app, tenant, instance_settings, heard), number, heard)
    [news] = heard.said
    assert news.startswith(
        f"{tenant.name}: an earlier run is requested, this one follows it; it is tried again after 2"
    )
    assert news.endswith("Z: it sleeps")


async def test_the_length_of_a_run_is_guessed_from_one_of_the_same_mode(
    app: Connection, tenant: Tenant, instance_settings: Settings
) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    number = await request_sync(app, tenant.name, mode="full")
    await plan_round(app, max_attempts=5, again_after_seconds=0)
    heard = Heard()
    await listen(Follower(app, tenant, instance_settings, heard), number, heard)
    assert heard.said == []
    assert heard.before is not None
    assert (heard.before["state"], heard.before["mode"]) == ("published", "full")
