"""Random statements in a tenant's transaction never bring a word of another tenant's; `make soak` sends many more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Deployment
from tests.integration.injection_case import WORD, Answer, Pair, a_pair, fetch_answer, fetch_simple_answer
from tests.integration.injection_functions import read_functions
from tests.integration.injection_grammar import statements
from worker.postgres.connection import Connection, open_connection

EXAMPLES = max(settings().max_examples, 200)
BREAKING = """GRANT USAGE ON SCHEMA {other} TO {own}; GRANT SELECT ON ALL TABLES IN SCHEMA {other} TO {own};
    CREATE POLICY broken ON {other}.node TO {own} USING (true)"""


@dataclass(frozen=True, slots=True)
class Bench:
    """Two tenants and an event loop, for tests that Hypothesis calls one after the other."""

    runner: asyncio.Runner
    pair: Pair
    admin: Connection
    statements: st.SearchStrategy[str]

    def send(self, text: str) -> list[Answer]:
        """Send a statement by the worker's path and by the simple protocol, as a raw connection does."""
        return [
            self.runner.run(self.pair.send("tenant", text)),
            self.runner.run(self.pair.send("tenant", text, fetch=fetch_simple_answer)),
        ]

    def send_broken(self, text: str) -> Answer:
        """Send a statement as the tenant's role while it has been granted the other's schema."""
        return self.runner.run(self._send_broken(text))

    async def _send_broken(self, text: str) -> Answer:
        answer = None
        with suppress(psycopg.Error):
            async with self.admin.transaction(force_rollback=True):
                await self.admin.execute(self.pair.fill(BREAKING).encode())
                await self.admin.execute(self.pair.fill("SET LOCAL ROLE {own}").encode())
                answer = await fetch_answer(self.admin, text)
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def bench(deployment: Deployment) -> Iterator[Bench]:
    """Give the bench, and take it apart in the loop that made it."""
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        yield runner.run(_make(runner, stack, deployment))
        runner.run(stack.aclose())


async def _make(runner: asyncio.Runner, stack: AsyncExitStack, deployment: Deployment) -> Bench:
    pair = await stack.enter_async_context(a_pair(deployment))
    admin = await stack.enter_async_context(open_connection(deployment.admin_url, purpose="test"))
    async with pair.senders["tenant"].transaction(force_rollback=True):
        await pair.senders["tenant"].execute(pair.fill("SET LOCAL ROLE {own}").encode())
        functions = await read_functions(pair.senders["tenant"])
    return Bench(runner, pair, admin, statements(functions))


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_no_random_statement_in_a_tenants_transaction_shows_a_word_of_anothers(
    bench: Bench, data: st.DataObject
) -> None:
    text = bench.pair.fill(data.draw(bench.statements, label="statement"))
    for answer in bench.send(text):
        assert answer.shown == [], answer.said


def test_a_boundary_that_is_broken_is_noticed_by_them(bench: Bench) -> None:
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], database=None)
    @given(data=st.data())
    def send_all(data: st.DataObject) -> None:
        assert bench.send_broken(bench.pair.fill(data.draw(bench.statements))).shown == []

    with pytest.raises(AssertionError, match=WORD):
        send_all()
