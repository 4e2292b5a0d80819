"""What one injected statement can do, as the app, in a tenant's transaction and as a consumer: as the matrix says.

The matrix is `injection/*.toml`, and the page `docs/reference/injections.md`; here each row is tried on the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args

import psycopg
import pytest

from ops.injection_matrix import NO_ROW, RUNS, Attack, Who, read_matrix
from tests.conftest import Deployment
from tests.integration.injection_case import Pair, a_pair, fetch_answer
from worker.postgres.connection import Connection, as_tenant

pytestmark = pytest.mark.anyio

STACKED = {
    "become the other": "SELECT 1; SET ROLE {other}",
    "read the other": "SELECT 1; SELECT * FROM {other}.node",
    "commit first": "COMMIT; SELECT 1",
    "hide behind a comment": "SELECT 1 /* ; */; SELECT 1 -- ",
}
SHOWING = (
    "SELECT name FROM {other}.node",
    "SELECT name::int FROM {other}.node",  # in an error
    "SELECT convert_to(name, 'UTF8') FROM {other}.node",
    "SELECT encode(convert_to(name, 'UTF8'), 'hex') FROM {other}.node",
    "COPY {other}.node TO STDOUT",
    "INSERT INTO {other}.node (node_id, name) SELECT node_id || 'x', name FROM {other}.node",  # in an error's detail
    "DO $$ BEGIN RAISE NOTICE '%', (SELECT min(name) FROM {other}.node); END $$",
)
LEAVING = ("SET LOCAL ROLE {other}", "RESET ROLE", "COMMIT", "COMMIT AND CHAIN")


@pytest.fixture(scope="module")
async def pair(deployment: Deployment) -> AsyncIterator[Pair]:
    """Two tenants for all these tests: what succeeds against the other is a failure."""
    async with a_pair(deployment) as pair:
        yield pair


@pytest.mark.parametrize("attack", read_matrix(), ids=lambda attack: attack.id)
async def test_one_statement_ends_as_the_matrix_says(attack: Attack, pair: Pair) -> None:
    ends: dict[Who, str] = {}
    for who in get_args(Who):
        # Alone only where it is refused: what runs would stay.
        alone = attack.alone and who != "tenant" and RUNS not in attack.verdicts[who]
        answer = await pair.send(who, pair.fill(attack.sql), alone=alone)
        assert answer.shown == [], f"{who} was shown the other tenant's word: {answer.said}"
        ends[who] = answer.verdict
    wrong = {who: end for who, end in ends.items() if end not in attack.verdicts[who]}
    assert wrong == {}, f"the matrix says {attack.verdicts}"


async def test_a_word_that_comes_back_in_any_form_is_noticed(admin: Connection, pair: Pair) -> None:
    for statement in SHOWING:
        assert (await fetch_answer(admin, pair.fill(statement))).shown, statement


@pytest.mark.parametrize("case", STACKED)
async def test_statements_cannot_be_stacked_to(case: str, app: Connection, pair: Pair) -> None:
    with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
        async with as_tenant(app, pair.own.schema_name), app.cursor(binary=True) as cursor:
            await cursor.execute(pair.fill(STACKED[case]).encode())


@pytest.mark.parametrize("leaving", LEAVING)
async def test_one_statement_that_leaves_the_tenant_leads_what_the_worker_sends_next_nowhere(
    leaving: str, app: Connection, pair: Pair
) -> None:
    """Becoming another is a statement of its own, and what the worker sends names its own tenant's schema."""
    await app.execute("BEGIN")
    await app.execute(f"SET LOCAL ROLE {pair.own.schema_name}".encode())
    await app.execute(pair.fill(leaving).encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await app.execute(pair.fill("SELECT * FROM {own}.node").encode())
    await app.rollback()


async def test_row_security_that_is_switched_off_makes_an_error_and_shows_nothing(
    app: Connection,
) -> None:
    async with app.transaction(force_rollback=True):
        await app.execute("SET LOCAL row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute("SELECT * FROM control.credential")


async def test_the_other_tenants_statistics_hold_its_word_and_show_it_to_the_administrator_alone(
    admin: Connection, pair: Pair
) -> None:
    """`pg_stats` holds sample values of every analysed column; the matrix says who sees none."""
    statement = pair.fill("SELECT most_common_vals::text FROM pg_stats WHERE schemaname = '{other}'")
    assert (await fetch_answer(admin, statement)).shown
    for who in get_args(Who):
        assert (await pair.send(who, statement)).verdict == NO_ROW
