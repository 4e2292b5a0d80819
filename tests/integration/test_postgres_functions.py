"""Every function that PostgreSQL brings, called with texts, relations and numbers that lead to another tenant.

The catalogue lists them, so that one which a later version brings is tried without an edit here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from ops.injection_matrix import RUNS
from tests.conftest import Deployment
from tests.integration.injection_case import Pair, a_pair, fetch_answer
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection

pytestmark = pytest.mark.anyio

DIVISION_BY_ZERO = "22012"  # how a text that is run as a query is known by
QUERY = "SELECT (1 / (length(''b'') - 1))::text"
FUNCTIONS = """
    SELECT p.oid::regprocedure::text AS name, 'pg_catalog.' || quote_ident(p.proname) AS called,
           ARRAY(SELECT t::regtype::text FROM unnest(p.proargtypes) t) AS types
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname !~ '^(pg_sleep|binary_upgrade)'
      AND has_function_privilege(p.oid, 'EXECUTE')
      AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
      AND NOT 'internal'::regtype = ANY (p.proargtypes)
      AND p.proargtypes::oid[] && '{text,name,cstring,regclass,oid,regnamespace}'::regtype[]::oid[]
    ORDER BY 1"""
REVOKED = """SELECT p.oid::regprocedure::text AS name FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)"""
NUMBERS = "smallint|integer|bigint|real|double precision|numeric"


@dataclass(frozen=True, slots=True)
class Target:
    """What the calls are to lead to: another tenant's table, by name and number, and its schema."""

    schema: str
    oid: int

    def build_call(self, called: str, types: Sequence[str], *, text: str) -> str:
        return f"SELECT * FROM {called}({', '.join(self._fill(kind, text) for kind in types)}) AS x"  # noqa: S608

    def _fill(self, kind: str, text: str) -> str:
        if kind in {"text", "name", "cstring"}:
            return f"'{text}'::{kind}"
        if kind.startswith(('"any"', "any")):
            return f"'{text}'::text"
        if kind in {"regclass", "oid"}:
            return f"{self.oid}::{kind}"
        if kind == "regnamespace":
            return f"(SELECT relnamespace FROM pg_class WHERE oid = {self.oid})::regnamespace"  # noqa: S608
        if re.fullmatch(NUMBERS, kind):
            return f"1::{kind}"
        samples = {
            "boolean": "true",
            "tsquery": "'a'::tsquery",
            "tsvector": "'a'::tsvector",
            "jsonb": "'{}'::jsonb",
        }
        return samples.get(kind, "'{}'::" + kind if kind.endswith("[]") else f"NULL::{kind}")


@pytest.fixture(scope="module")
async def pair(deployment: Deployment) -> AsyncIterator[Pair]:
    """Two tenants: every call leads to the other."""
    async with a_pair(deployment) as pair:
        yield pair


@pytest.fixture
async def target(admin: Connection, pair: Pair) -> Target:
    [row] = await read_own(admin, "SELECT %s::regclass::oid AS oid", f"{pair.other.schema_name}.node")
    return Target(pair.other.schema_name, row["oid"])


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction(force_rollback=True):
        await connection.execute("SET LOCAL statement_timeout = '5s'")
        yield


async def call_all(
    connection: Connection, target: Target, *, role: str | None = None
) -> tuple[int, list[str], list[str]]:
    """Call every function; give how many, which ran a text, and which showed the other tenant's word."""
    ran, showed = [], []
    async with undone(connection):
        if role is not None:
            await connection.execute(f"SET LOCAL ROLE {role}".encode())
        functions = await read_own(connection, FUNCTIONS)
        for function in functions:
            for text in (QUERY, f"{target.schema}.node", target.schema):
                await connection.execute("SAVEPOINT before")
                call = target.build_call(function["called"], function["types"], text=text)
                answer = await fetch_answer(connection, call)
                await connection.execute("ROLLBACK TO before")
                if answer.verdict == DIVISION_BY_ZERO:
                    ran.append(function["name"])
                if answer.shown:
                    showed.append(function["name"])
    return len(functions), ran, showed


async def test_no_function_that_a_tenants_role_may_call_runs_a_text_or_shows_another_tenants_rows(
    pair: Pair, target: Target
) -> None:
    tried, ran, showed = await call_all(pair.senders["tenant"], target, role=pair.own.schema_name)
    assert tried > 500
    assert (ran, showed) == ([], [])


async def test_every_function_that_runs_a_text_or_shows_a_relations_rows_is_taken_from_public(
    admin: Connection, target: Target
) -> None:
    """As the superuser, who may call them all and read everything, so that what they can do is seen."""
    _, ran, showed = await call_all(admin, target)
    assert {"ts_stat(text)", "ts_rewrite(tsquery,text)", "query_to_xml(text,boolean,boolean,text)"} <= set(
        ran
    )
    if (await fetch_answer(admin, "SELECT '<a/>'::xml")).verdict == RUNS:  # the server is built with libxml
        assert {
            "table_to_xml(regclass,boolean,boolean,text)",
            "schema_to_xml(name,boolean,boolean,text)",
        } <= set(showed)
    revoked = {row["name"] for row in await read_own(admin, REVOKED)}
    assert {*ran, *showed} - revoked == set()
