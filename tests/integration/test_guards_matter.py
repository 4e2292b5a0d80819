"""Where one guard is gone, one statement shows another tenant's word: each attack is denied by that guard alone.

So the guards are no list for its own sake, and the attacks of the matrix are ones that would succeed. Each hole is
opened by an administrator on a server of its own, tried, and closed again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from ops.injection_matrix import Who
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.guard_breaks import PER_GRANT_INHERITANCE
from tests.integration.injection_case import Pair, a_pair, fetch_answer
from worker.postgres.connection import Connection, open_connection

pytestmark = pytest.mark.anyio


class Hole(NamedTuple):
    """Who sends what, and what an administrator does before and after it."""

    who: Who
    attack: str
    opening: str
    closing: str


CREDENTIALS = "SELECT envelope FROM control.credential"
NODES = "SELECT name FROM {other}.node"
OTHERS_SETTING = """SELECT c.envelope FROM (SELECT set_config('zaptik.tenant', '{other_id}', true) AS named OFFSET 0) s,
    LATERAL (SELECT envelope FROM control.credential WHERE s.named IS NOT NULL) c"""
BLOCK = "DO $$ BEGIN SET LOCAL ROLE {other}; RAISE NOTICE '%', (SELECT min(name) FROM {other}.node); END $$"
HOLES = {
    "a policy of control whose role became PUBLIC": Hole(
        "app", CREDENTIALS,
        "ALTER POLICY owner ON control.credential TO PUBLIC",
        "ALTER POLICY owner ON control.credential TO zaptik_owner",
    ),
    "a policy of control whose condition became true": Hole(
        "app", CREDENTIALS,
        "ALTER POLICY own_tenant ON control.credential USING (true)",
        "ALTER POLICY own_tenant ON control.credential"
        " USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid)",
    ),
    "row security that was disabled": Hole(
        "app", CREDENTIALS,
        "ALTER TABLE control.credential DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE control.credential ENABLE ROW LEVEL SECURITY",
    ),
    "a login that is exempt from row security": Hole(
        "app", CREDENTIALS, "ALTER ROLE zaptik_app BYPASSRLS", "ALTER ROLE zaptik_app NOBYPASSRLS"
    ),
    "the right of PUBLIC to set_config": Hole(
        "app", OTHERS_SETTING,
        "GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean) FROM PUBLIC",
    ),
    "the right of PUBLIC to a language": Hole(
        "tenant", BLOCK, "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC"
    ),
    "a tenant's role that is a member of another's": Hole(
        "tenant", NODES, "ALTER ROLE {own} INHERIT; GRANT {other} TO {own}",
        "REVOKE {other} FROM {own}; ALTER ROLE {own} NOINHERIT",
    ),
}  # fmt: skip
# Before PostgreSQL 16 it is the role that inherits, and no grant says so.
INHERITANCE = Hole(
    "app", NODES,
    "GRANT {other} TO zaptik_app WITH INHERIT TRUE", "GRANT {other} TO zaptik_app WITH INHERIT FALSE",
)  # fmt: skip
INHERITANCE_BEFORE_16 = INHERITANCE._replace(
    opening="ALTER ROLE zaptik_app INHERIT", closing="ALTER ROLE zaptik_app NOINHERIT"
)
MISTAKEN_GRANT = "GRANT USAGE ON SCHEMA {other} TO {own}; GRANT SELECT ON {other}.node TO {own}"
ITS_END = "REVOKE SELECT ON {other}.node FROM {own}; REVOKE USAGE ON SCHEMA {other} FROM {own}"


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
async def pair(own_deployment: Deployment) -> AsyncIterator[Pair]:
    async with a_pair(own_deployment) as pair:
        yield pair


@pytest.fixture
async def own_admin(own_deployment: Deployment) -> AsyncIterator[Connection]:
    async with open_connection(own_deployment.admin_url, purpose="test admin") as connection:
        yield connection


async def shows(pair: Pair, hole: Hole) -> bool:
    return bool((await pair.send(hole.who, pair.fill(hole.attack))).shown)


async def check_hole(hole: Hole, pair: Pair, admin: Connection) -> None:
    assert not await shows(pair, hole)
    await admin.execute(pair.fill(hole.opening).encode())
    assert await shows(pair, hole)
    await admin.execute(pair.fill(hole.closing).encode())
    assert not await shows(pair, hole)


@pytest.mark.parametrize("name", HOLES)
async def test_one_statement_reaches_another_tenant_through(
    name: str, pair: Pair, own_admin: Connection
) -> None:
    await check_hole(HOLES[name], pair, own_admin)


async def test_one_statement_reaches_another_tenant_through_a_membership_that_inherits(
    pair: Pair, own_admin: Connection
) -> None:
    says_so = own_admin.info.server_version >= PER_GRANT_INHERITANCE
    await check_hole(INHERITANCE if says_so else INHERITANCE_BEFORE_16, pair, own_admin)


async def test_behind_a_grant_made_by_mistake_the_policys_role_alone_keeps_the_rows(
    pair: Pair, own_admin: Connection
) -> None:
    await own_admin.execute(pair.fill(MISTAKEN_GRANT).encode())
    hole = Hole(
        "tenant", NODES,
        "ALTER POLICY tenant ON {other}.node TO PUBLIC", "ALTER POLICY tenant ON {other}.node TO {other}",
    )  # fmt: skip
    await check_hole(hole, pair, own_admin)
    await own_admin.execute(pair.fill(ITS_END).encode())


async def test_force_alone_keeps_the_rows_from_the_tables_owner(pair: Pair, own_admin: Connection) -> None:
    table = f"{pair.other.schema_name}.node"

    async def owner_is_shown() -> bool:
        async with own_admin.transaction(force_rollback=True):
            await own_admin.execute("SET LOCAL ROLE zaptik_owner")
            return bool((await fetch_answer(own_admin, pair.fill(NODES))).shown)

    assert not await owner_is_shown()
    await own_admin.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY".encode())
    assert await owner_is_shown()
    await own_admin.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY".encode())
    assert not await owner_is_shown()
