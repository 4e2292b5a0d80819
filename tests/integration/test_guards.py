"""Each guard of the boundary, taken away, is seen by a process that starts, and made again by `migrate`.

The guards are the lines of `schema/*/guards.sql`, so that a new one is tried without an edit here. By kind of guard:
all are broken in a transaction that is undone, and each is missed (in `make soak` each in a transaction of its own);
one is left broken, a start is refused and names it, and `migrate` mends it; then one `migrate` mends them all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
import pytest

from jobs.errors import DatabaseUnsafe
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import PROFILE_VARIABLE, Deployment, deploy
from tests.integration.guard_breaks import (
    BY_HAND,
    PER_GRANT_INHERITANCE,
    Break,
    plan_additions,
    plan_removals,
)
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection, open_connection
from worker.postgres.guards import CONTROL, build_expected, read_deviation
from worker.postgres.migrate import migrate
from worker.postgres.safety import check_database
from worker.postgres.tenants import add_tenant

pytestmark = pytest.mark.anyio

TENANT = "tenant_guarded"
MONTH = datetime.now(UTC).strftime("%Y_%m")
SHUT_OUT = {
    "ALTER ROLE zaptik_app NOLOGIN", "REVOKE SELECT ON TABLE control.schema_version FROM zaptik_app CASCADE",
    "REVOKE USAGE ON SCHEMA control FROM zaptik_app CASCADE", "ALTER ROLE zaptik_app SET row_security = off",
}  # fmt: skip
"""After these a process is refused before it could compare anything."""
OF_ITS_PARENT = (
    psycopg.errors.DependentObjectsStillExist,  # a trigger that a partition has from the whole table
    psycopg.errors.FeatureNotSupported,  # the owner of a column's own sequence, which is the table's
)


def plan_breaks() -> dict[str, list[Break]]:
    """Give every way to break a guard, by kind and, where a guard can be broken in several ways, by way."""
    kinds: dict[str, list[Break]] = {"by hand": BY_HAND}
    for place in (CONTROL, TENANT):
        lines = build_expected(place, database="postgres", months=[MONTH])
        for line in sorted(lines):
            for way, broken in enumerate(plan_removals(line), 1):
                kinds.setdefault(f"{broken.kind}, way {way}", []).append(broken)
        for broken in plan_additions(lines):
            kinds.setdefault(broken.kind, []).append(broken)
    return kinds


BREAKS = plan_breaks()
BODIES = BREAKS.pop("a body, way 1")
ALONE = os.environ.get(PROFILE_VARIABLE) == "soak"


class Tried(NamedTuple):
    """Those that PostgreSQL lets somebody break, and the statements after which nothing was seen."""

    possible: list[Break]
    unseen: list[str]


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    """Give a deployment with one tenant, whose guards these tests break and mend."""
    deployment = deploy(own_server.admin_url())
    asyncio.run(_add_tenant(deployment))
    return deployment


async def _add_tenant(deployment: Deployment) -> None:
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        await add_tenant(admin, "guarded", url="https://guarded.service-now.com", every_seconds=3600)
        await admin.execute("CREATE ROLE stranger LOGIN")


@pytest.fixture
async def own_admin(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.admin_url, purpose="test admin") as connection:
        yield connection


async def check_as_app(deployment: Deployment) -> None:
    async with open_connection(deployment.app_url, purpose="test check") as connection:
        await check_database(connection)


async def is_broken(admin: Connection, broken: Break) -> bool:
    """Break a guard; false where PostgreSQL does not let this one be broken alone."""
    if not broken.is_possible(admin.info.server_version):
        return False
    try:
        async with admin.transaction():
            await admin.execute(broken.statement.encode())
    except OF_ITS_PARENT:
        return False
    return True


async def read_differences(admin: Connection, *places: str) -> tuple[set[str], set[str]]:
    """Give what schemas lack, and what they have beside it."""
    found = [await read_deviation(admin, place) for place in places]
    there = [deviation for deviation in found if deviation is not None]
    return {line for one in there for line in one.lacks}, {line for one in there for line in one.has}


def place_of(broken: Break) -> str:
    return TENANT if "_guarded" in (broken.line or broken.statement) else CONTROL


async def break_alone(admin: Connection, breaks: Sequence[Break]) -> Tried:
    """Break each by itself and undo it."""
    possible, unseen = [], []
    for broken in breaks:
        found = await break_together(admin, [broken])
        possible += found.possible
        unseen += found.unseen
    return Tried(possible, unseen)


async def break_together(admin: Connection, breaks: Sequence[Break]) -> Tried:
    """Break them all, those of partitions before those of whole tables, and undo it."""
    places = {place_of(broken) for broken in breaks}
    async with admin.transaction(force_rollback=True):
        possible = [broken for broken in reversed(breaks) if await is_broken(admin, broken)]
        lacks, has = await read_differences(admin, *places)
    unseen = [broken.statement for broken in possible if broken.line and broken.line not in lacks]
    added = [broken.statement for broken in possible if broken.line is None]
    return Tried(possible, unseen + (added if len(has) < len(added) else []))


async def migrate_again(admin: Connection, deployment: Deployment) -> None:
    report = await migrate(admin, app_url=None, today=datetime.now(UTC).date())
    assert not report.failed
    await check_as_app(deployment)


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_guard_that_is_taken_away_is_seen_refused_and_mended(
    kind: str, own_deployment: Deployment, own_admin: Connection
) -> None:
    possible, unseen = await (break_alone if ALONE else break_together)(own_admin, BREAKS[kind])
    assert unseen == []
    first = next((broken for broken in possible if broken.statement not in SHUT_OUT), None)
    if first is None:
        assert own_admin.info.server_version < PER_GRANT_INHERITANCE
        return
    assert await is_broken(own_admin, first)
    lacks, has = await read_differences(own_admin, place_of(first))
    with pytest.raises(DatabaseUnsafe) as refusal:
        await check_as_app(own_deployment)
    assert any(
        line in refusal.value.message for line in (*lacks, *has, "zaptik_app is ", "trigger:drop_owned")
    )
    await migrate_again(own_admin, own_deployment)
    for broken in possible:
        await is_broken(own_admin, broken)
    await migrate_again(own_admin, own_deployment)


async def test_what_an_administrator_might_do_by_hand_is_seen_each_by_itself(own_admin: Connection) -> None:
    assert (await break_alone(own_admin, BREAKS["by hand"])).unseen == []


async def test_a_body_that_was_changed_is_told_and_left_to_a_person(
    own_deployment: Deployment, own_admin: Connection
) -> None:
    """`migrate` writes no function of a migration again."""
    assert (await break_together(own_admin, BODIES)).unseen == []
    name = "control.count_runs()"
    [kept] = await read_own(own_admin, "SELECT pg_get_functiondef(%s::regprocedure) AS text", name)
    [broken] = [broken for broken in BODIES if name in (broken.line or "")]
    assert await is_broken(own_admin, broken)
    for refused in (check_as_app(own_deployment), migrate_again(own_admin, own_deployment)):
        with pytest.raises(DatabaseUnsafe, match=r"lacks `-- FUNCTION control.count_runs\(\) has the body"):
            await refused
    await own_admin.execute(kept["text"].encode())
    await migrate_again(own_admin, own_deployment)
