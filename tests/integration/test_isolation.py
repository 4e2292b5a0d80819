"""The schedulers try the tenants' boundary: it holds, and a hole made by hand is found, told, audited and counted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.guard_breaks import PER_GRANT_INHERITANCE
from tests.integration.postgres_steps import read_own
from worker.fleet.isolation import IsolationTurns
from worker.fleet.process import Process
from worker.fleet.scheduler import read_figures
from worker.postgres import isolation
from worker.postgres.connection import Connection, open_connection
from worker.postgres.isolation import Turn, check_some, read_check
from worker.postgres.tenants import Tenant, add_tenant
from worker.settings import Settings

pytestmark = pytest.mark.anyio

UNUSED_REDIS = SecretStr("redis://127.0.0.1:1/0")
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
def tenants(own_deployment: Deployment) -> list[Tenant]:
    """Give three tenants, in the order in which they are tried."""
    return sorted(asyncio.run(_add_all(own_deployment)), key=lambda tenant: tenant.tenant_id)


async def _add_all(deployment: Deployment) -> list[Tenant]:
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        return [
            await add_tenant(admin, name, url=f"https://{name}.service-now.com", every_seconds=3600)
            for name in NAMES
        ]


@pytest.fixture
async def own_admin(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def own_app(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.app_url, purpose="test app") as connection:
        yield connection


@pytest.fixture(autouse=True)
def forgotten(own_deployment: Deployment) -> None:
    """Let no turn have been taken yet."""
    with psycopg.connect(own_deployment.admin_url, autocommit=True) as admin:
        admin.execute(
            """UPDATE control.isolation_check SET holder = NULL, lease_until = NULL, ended_at = NULL,
                   after_tenant = NULL, checked_at = NULL, reached_at = NULL"""
        )


async def take_turn(app: Connection) -> Turn:
    turn = await check_some(app, holder="this test", every_seconds=0)
    assert turn is not None
    return turn


async def read_trail(admin: Connection, action: str) -> list[dict[str, Any]]:
    return await read_own(
        admin,
        "SELECT tenant_ref, detail FROM control.audit_events WHERE action = %s ORDER BY audit_id DESC LIMIT 3",
        action,
    )


async def test_every_tenant_holds_and_the_turn_is_in_the_trail(
    own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    assert await read_check(own_app) == (None, None)
    turn = await take_turn(own_app)
    assert (turn.held, turn.reached, turn.failed) == (len(tenants), [], [])
    checked_at, reached_at = await read_check(own_app)
    assert (checked_at is None, reached_at) == (False, None)
    [newest, *_] = await read_trail(own_admin, "isolation.checked")
    assert newest == {"tenant_ref": None, "detail": {"held": len(tenants), "reached": 0, "failed": 0}}


GRANTED = "GRANT USAGE ON SCHEMA {b} TO {to}; GRANT SELECT ON {b}.isolation_canary TO {to}; {more}"
OPEN_POLICY = "ALTER POLICY tenant ON {b}.isolation_canary TO PUBLIC"
CLOSED = """REVOKE ALL ON {b}.isolation_canary FROM {to}; REVOKE ALL ON SCHEMA {b} FROM {to};
            ALTER POLICY tenant ON {b}.isolation_canary TO {b}"""
AS_NOBODY, AS_ANOTHER, NAMING_IT, CONTROL_AS_NOBODY, CONTROL_NAMING = (way.name for way in isolation.WAYS)
HOLES = {
    "a policy and a grant to another tenant": (
        GRANTED.replace("{to}", "{a}").replace("{more}", OPEN_POLICY),
        CLOSED.replace("{to}", "{a}"),
        (AS_ANOTHER, NAMING_IT),
    ),
    "a policy that asks for the named tenant": (
        GRANTED.replace("{to}", "{a}").replace("{more}", OPEN_POLICY)
        + " ; ALTER POLICY tenant ON {b}.isolation_canary USING (current_setting('zaptik.tenant', true) = '{b_id}')",
        CLOSED.replace("{to}", "{a}") + "; ALTER POLICY tenant ON {b}.isolation_canary USING (true)",
        (NAMING_IT,),
    ),
    "a policy and a grant to the app": (
        GRANTED.replace("{to}", "zaptik_app").replace("{more}", OPEN_POLICY),
        CLOSED.replace("{to}", "zaptik_app"),
        (AS_NOBODY,),
    ),
    "another condition in control": (
        "ALTER POLICY own_tenant ON control.tenant USING (true)",
        """ALTER POLICY own_tenant ON control.tenant
           USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid)""",
        (CONTROL_AS_NOBODY, CONTROL_NAMING),
    ),
}


@pytest.mark.parametrize("name", HOLES)
async def test_a_hole_made_by_hand_is_found_with_the_ways_through_it(
    name: str, own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    opening, closing, ways = HOLES[name]
    await run(own_admin, tenants, opening)
    turn = await take_turn(own_app)
    await run(own_admin, tenants, closing)
    [first, *_] = turn.reached
    assert (first.reached, first.by, first.ways) == (tenants[1].tenant_id, tenants[0].tenant_id, ways)
    trail = await read_trail(own_admin, "isolation.reached")
    assert {"tenant_ref": first.reached, "detail": {"by": str(first.by), "ways": ", ".join(ways)}} in trail
    assert None not in await read_check(own_app)
    assert (await take_turn(own_app)).reached == []


async def test_from_turn_to_turn_each_tenant_tries_each_other(
    own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    """A hole between two tenants may be open in one direction alone."""
    opening, closing, _ = HOLES["a policy and a grant to another tenant"]
    for by, reached in itertools.permutations(tenants, 2):
        await run(own_admin, [by, reached], opening)
        turns = [
            await check_some(own_app, holder="this test", every_seconds=0, number=number)
            for number in range(len(tenants) - 1)
        ]
        await run(own_admin, [by, reached], closing)
        found = {(reach.by, reach.reached) for turn in turns if turn for reach in turn.reached}
        assert found == {(by.tenant_id, reached.tenant_id)}


async def run(admin: Connection, tenants: list[Tenant], text: str) -> None:
    """Run an administrator's statements, with the first two tenants written in."""
    for place, tenant in zip("ab", tenants, strict=False):
        text = text.replace(f"{{{place}}}", tenant.schema_name)
        text = text.replace(f"{{{place}_id}}", str(tenant.tenant_id))
    await admin.execute(text.encode())


async def test_a_membership_that_inherits_opens_the_way_to_nobody(
    own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    """Before PostgreSQL 16 it is the role that inherits, and no grant says so."""
    opening, closing = "ALTER ROLE zaptik_app INHERIT", "ALTER ROLE zaptik_app NOINHERIT"
    if own_admin.info.server_version >= PER_GRANT_INHERITANCE:
        opening, closing = [f"GRANT {{b}} TO zaptik_app WITH INHERIT {word}" for word in ("TRUE", "FALSE")]
    await run(own_admin, tenants, opening)
    turn = await take_turn(own_app)
    await run(own_admin, tenants, closing)
    assert (tenants[1].tenant_id, (AS_NOBODY,)) in [(reach.reached, reach.ways) for reach in turn.reached]
    assert (await take_turn(own_app)).reached == []


async def test_a_tenant_that_does_not_find_its_own_row_proves_nothing(
    own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    await run(own_admin, tenants, "REVOKE SELECT ON {b}.isolation_canary FROM {b}")
    turn = await take_turn(own_app)
    assert turn.failed == [(tenants[1].tenant_id, "does not find its own row")]
    assert (turn.held, turn.reached) == (len(tenants) - 1, [])
    await run(own_admin, tenants, "GRANT SELECT ON {b}.isolation_canary TO {b}")
    await run(own_admin, tenants, "ALTER POLICY tenant ON {b}.isolation_canary USING (false)")
    assert (await take_turn(own_app)).failed == turn.failed
    await run(own_admin, tenants, "ALTER POLICY tenant ON {b}.isolation_canary USING (true)")
    await run(own_admin, tenants, "ALTER TABLE {b}.isolation_canary RENAME TO gone_away")
    assert (await take_turn(own_app)).failed == [(tenants[1].tenant_id, "UndefinedTable 42P01")]
    await run(own_admin, tenants, "ALTER TABLE {b}.gone_away RENAME TO isolation_canary")


async def test_turns_go_round_all_tenants_and_one_holds_each(
    own_app: Connection, own_admin: Connection, tenants: list[Tenant]
) -> None:
    hold = "SELECT tenant_id FROM control.hold_isolation_check(%s, 60, %s, 2)"
    end = "SELECT control.end_isolation_check(%s, %s, 1, 0, 0) AS ended"
    ids = [tenant.tenant_id for tenant in tenants]

    async def take(holder: str, every_seconds: float = 0) -> list[Any]:
        return [row["tenant_id"] for row in await read_own(own_app, hold, holder, every_seconds)]

    assert await take("one") == ids[:2]
    assert await take("two") == []
    assert await read_own(own_app, end, "two", ids[0]) == [{"ended": False}]
    assert await read_own(own_app, end, "one", ids[1]) == [{"ended": True}]
    assert await take("two", every_seconds=300) == []
    assert await take("two") == [ids[2], ids[0]]
    await own_admin.execute("UPDATE control.isolation_check SET lease_until = now() - interval '1 second'")
    assert await take("three") == [ids[2], ids[0]], "who falls silent is replaced"


def test_a_scheduler_counts_and_tells_what_it_found(
    own_deployment: Deployment, tenants: list[Tenant], capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler = Process(
        "scheduler",
        Settings(database_url=SecretStr(own_deployment.app_url), redis_url=UNUSED_REDIS),
        threads=1,
    )

    def count(outcome: str) -> float | None:
        return scheduler.metrics.registry.get_sample_value(
            "zaptik_isolation_checks_total", {"outcome": outcome}
        )

    assert (count("held"), count("reached"), count("failed")) == (0, 0, 0)
    IsolationTurns(scheduler).take()
    assert (count("held"), count("reached"), count("failed")) == (len(tenants), 0, 0)
    before = datetime.now(UTC)
    figures = scheduler.ask(read_figures, purpose="test")
    assert figures.isolation_checked_at is not None
    assert abs((figures.isolation_checked_at - before).total_seconds()) < 60
    assert figures.isolation_reached_at is None

    opening, closing, ways = HOLES["another condition in control"]
    with psycopg.connect(own_deployment.admin_url, autocommit=True) as admin:
        admin.execute(opening.encode())
        IsolationTurns(scheduler, due_seconds=0).take()
        admin.execute(closing.encode())
    assert count("reached") == len(tenants)
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "isolation.reached" in line]
    assert len(told) == len(tenants)
    assert all(ways[0] in line for line in told)
    assert scheduler.ask(read_figures, purpose="test").isolation_reached_at is not None


async def test_a_marker_is_of_one_tenant_alone_and_nobody_changes_it(
    own_admin: Connection, tenants: list[Tenant]
) -> None:
    found = [
        (await read_own(own_admin, "SELECT marker FROM {tenant}.isolation_canary", within=tenant))[0][
            "marker"
        ]
        for tenant in tenants
    ]
    assert len(set(found)) == len(tenants)
    rights = await read_own(
        own_admin,
        """SELECT privilege_type AS may FROM information_schema.role_table_grants
           WHERE table_name = 'isolation_canary' AND grantee = %s""",
        tenants[0].schema_name,
    )
    assert rights == [{"may": "SELECT"}]
