"""Every function that PostgreSQL brings, called with texts, relations and numbers that lead to another tenant.

One that a later version brings is tried without an edit here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import pytest

from ops.injection_matrix import RUNS
from tests.conftest import Deployment
from tests.integration.injection_case import Pair, a_pair, fetch_answer
from tests.integration.injection_functions import DIVISION_BY_ZERO, TEXTS, read_functions
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection

pytestmark = pytest.mark.anyio

REVOKED = """SELECT p.oid::regprocedure::text AS name FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)"""


class Calls(NamedTuple):
    """How many functions were called, which of them ran a text, and which showed the other tenant's word."""

    tried: int
    ran: Sequence[str]
    showed: Sequence[str]


@pytest.fixture(scope="module")
async def pair(deployment: Deployment) -> AsyncIterator[Pair]:
    """Two tenants: every call leads to the other."""
    async with a_pair(deployment) as pair:
        yield pair


async def call_all(connection: Connection, pair: Pair, *, role: str | None = None) -> Calls:
    ran, showed = [], []
    async with connection.transaction(force_rollback=True):
        await connection.execute("SET LOCAL statement_timeout = '5s'")
        if role is not None:
            await connection.execute(f"SET LOCAL ROLE {role}".encode())
        functions = await read_functions(connection)
        for function in functions:
            for text in TEXTS:
                await connection.execute("SAVEPOINT before")
                call = f"SELECT * FROM {function.build_call(text)} AS x"  # noqa: S608
                answer = await fetch_answer(connection, pair.fill(call))
                await connection.execute("ROLLBACK TO before")
                if answer.verdict == DIVISION_BY_ZERO:
                    ran.append(function.name)
                if answer.shown:
                    showed.append(function.name)
    return Calls(len(functions), ran, showed)


async def test_no_function_that_a_tenants_role_may_call_runs_a_text_or_shows_another_tenants_rows(
    pair: Pair,
) -> None:
    calls = await call_all(pair.senders["tenant"], pair, role=pair.own.schema_name)
    assert calls.tried > 500
    assert (calls.ran, calls.showed) == ([], [])


async def test_every_function_that_runs_a_text_or_shows_a_relations_rows_is_taken_from_public(
    admin: Connection, pair: Pair
) -> None:
    """As the superuser, who may call them all and read everything, so that what they can do is seen."""
    _, ran, showed = await call_all(admin, pair)
    assert {"ts_stat(text)", "ts_rewrite(tsquery,text)", "query_to_xml(text,boolean,boolean,text)"} <= set(
        ran
    )
    if (await fetch_answer(admin, "SELECT '<a/>'::xml")).verdict == RUNS:  # the server is built with libxml
        shown = {"table_to_xml(regclass,boolean,boolean,text)", "schema_to_xml(name,boolean,boolean,text)"}
        assert shown <= set(showed)
    revoked = {row["name"] for row in await read_own(admin, REVOKED)}
    assert {*ran, *showed} - revoked == set()
