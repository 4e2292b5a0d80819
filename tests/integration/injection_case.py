"""Two tenants, the three who send statements, and what comes back of one: its SQLSTATE, its rows, its notices.

The other tenant is full of one word, which nothing that comes back may hold, in whatever form.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

import psycopg
from psycopg.errors import Diagnostic
from psycopg.rows import DictRow

from ops.injection_matrix import NO_ROW, RUNS, Who
from tests.conftest import Deployment
from tests.integration.consumer_case import a_reader
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish_tables,
    read_own,
)
from worker.postgres.connection import Connection, as_tenant, fetch_rows, in_tenant_rows, open_connection
from worker.postgres.runs import read_request, request_sync
from worker.postgres.tenants import StoredCredentials, Tenant, add_tenant, change_state, store_credentials

WORD = "kanarienvogel"
FORMS = (WORD, WORD.encode().hex(), base64.b64encode(WORD.encode()).decode().rstrip("="))


@dataclass(frozen=True, slots=True)
class Answer:
    """How one statement ended, in the words of the matrix, and all that was said."""

    verdict: str
    said: str = field(repr=False)

    @property
    def shown(self) -> list[str]:
        """Give the forms of the other tenant's word that it holds."""
        return [form for form in FORMS if form.lower() in self.said.lower()]


Fetch: TypeAlias = Callable[[Connection, str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The transaction's tenant and another one, and the connection of each who sends statements."""

    own: Tenant
    other: Tenant
    own_run: str
    other_run: str
    pid: int
    oid: int
    senders: dict[Who, Connection]

    def fill(self, text: str) -> str:
        """Write the two tenants' names into an attack."""
        values = {
            "own": self.own.schema_name, "other": self.other.schema_name, "other_id": self.other.tenant_id,
            "reader": _reader(self.own), "other_reader": _reader(self.other), "other_name": self.other.name,
            "own_run": self.own_run, "other_run": self.other_run, "other_pid": self.pid, "other_oid": self.oid,
        }  # fmt: skip
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    async def send(self, who: Who, text: str, *, alone: bool = False, fetch: Fetch | None = None) -> Answer:
        """Send a statement as somebody, in a transaction that is rolled back, unless it is to be `alone`."""
        connection, fetch = self.senders[who], fetch or fetch_answer
        if alone:
            return await fetch(connection, text)
        answer = None
        # What ends the transaction, or breaks it, is heard of again at its end.
        with suppress(psycopg.Error):
            if who == "tenant":
                async with as_tenant(connection, self.own.schema_name):
                    await connection.execute("SET LOCAL statement_timeout = '5s'", binary=True)
                    answer = await fetch(connection, text)
                    raise psycopg.Rollback
            else:
                async with connection.transaction(force_rollback=True):
                    answer = await fetch(connection, text)
        assert answer is not None
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            await connection.rollback()
        await connection.execute("DISCARD ALL")
        return answer


async def fetch_answer(connection: Connection, text: str) -> Answer:
    """Send one statement as the worker's own go, by the extended protocol, and keep all that comes back."""
    async with connection.cursor(binary=True) as cursor:
        return await _fetch(connection, cursor, text)


async def fetch_simple_answer(connection: Connection, text: str) -> Answer:
    """Send it by the simple protocol, as text, as a program of somebody else's does."""
    async with connection.cursor() as cursor:
        return await _fetch(connection, cursor, text)


async def _fetch(connection: Connection, cursor: psycopg.AsyncCursor[DictRow], text: str) -> Answer:
    """Execute and keep all that comes back.

    A warning is a refusal: so PostgreSQL ends a GRANT that grants nothing, and a VACUUM that may not.
    """
    said: list[str] = []
    warnings: list[str] = []

    def hear(diagnostic: Diagnostic) -> None:
        said.append(describe(diagnostic))
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.sqlstate or "")

    connection.add_notice_handler(hear)
    try:
        if text.startswith("COPY") and text.endswith("STDOUT"):
            async with cursor.copy(text.encode()) as copy:
                said += [bytes(part).decode("utf-8", "replace") async for part in copy]
            return Answer(RUNS, "\n".join(said))
        await cursor.execute(text.encode())
        rows = await cursor.fetchall() if cursor.description else None
        said += [repr(row) for row in rows or []]
        return Answer("".join(warnings[:1]) or (NO_ROW if rows == [] else RUNS), "\n".join(said))
    except psycopg.Error as error:
        said += [str(error), describe(error.diag)]
        return Answer(error.sqlstate or type(error).__name__, "\n".join(said))
    finally:
        connection.remove_notice_handler(hear)


def describe(diagnostic: Diagnostic) -> str:
    """Give every part of what the server said."""
    names = [name for name in dir(diagnostic) if not name.startswith("_")]
    return "\n".join(str(getattr(diagnostic, name)) for name in names)


@asynccontextmanager
async def a_pair(deployment: Deployment) -> AsyncIterator[Pair]:
    """Give two tenants with a run each, the other's graph and credentials, and somebody at work in the other."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(open_connection(deployment.admin_url, purpose="test"))
        app, tenant_app, victim = [
            await stack.enter_async_context(open_connection(deployment.app_url, purpose="test"))
            for _ in range(3)
        ]
        own, other = await _add(admin, "own"), await _add(admin, "other")
        await change_state(app, own.tenant_id, "active", reason=None)
        await _fill_with_the_word(admin, app, other)
        other_run = await claim_fresh_run(app, other)
        own_run = await _ask_for_run(app, own)
        reader = await stack.enter_async_context(a_reader(admin, deployment.admin_url, own.name))
        async with as_tenant(victim, other.schema_name):
            await victim.execute("SELECT %s", [WORD], binary=True)
        [table] = await read_own(admin, "SELECT %s::regclass::oid AS oid", f"{other.schema_name}.node")
        yield Pair(
            own, other, str(own_run), str(other_run.run_id), victim.info.backend_pid, table["oid"],
            {"app": app, "tenant": tenant_app, "reader": reader},
        )  # fmt: skip
        ids = [own.tenant_id, other.tenant_id]
        await admin.execute("UPDATE control.tenant SET state = 'paused' WHERE tenant_id = ANY (%s)", [ids])
        await admin.execute(
            """UPDATE control.run SET state = 'cancelled', fence = fence + 1, lease_until = NULL, ended_at = now()
               WHERE state IN ('requested', 'running') AND tenant_id = ANY (%s)""",
            [ids],
        )


async def _add(admin: Connection, whose: str) -> Tenant:
    name = f"{whose}-{secrets.token_hex(3)}"
    return await add_tenant(admin, name, url=f"https://{name}.service-now.com", every_seconds=3600)


async def _fill_with_the_word(admin: Connection, app: Connection, tenant: Tenant) -> None:
    sealed = StoredCredentials(1, WORD.encode(), "a key", WORD.encode())
    async with in_tenant_rows(app, tenant.tenant_id):
        await store_credentials(app, tenant.tenant_id, sealed)
    groups = [node(GROUP, n, name=WORD, attributes={"name": WORD, WORD: "1"}) for n in range(1, 4)]
    item = node(ITEM, 1, name=WORD)
    await publish_tables(app, tenant, {GROUP: (groups, []), ITEM: ([item], [edge(item, groups[0].id)])})
    await admin.execute(f"ANALYZE {tenant.schema_name}.node, {tenant.schema_name}.edge".encode())


async def _ask_for_run(app: Connection, tenant: Tenant) -> UUID:
    request = await request_sync(app, tenant.name, mode="delta")
    await fetch_rows(app, "control", "fold_requests", batch=10_000)
    run_id = await read_request(app, tenant.tenant_id, request)
    assert run_id is not None
    return run_id


def _reader(tenant: Tenant) -> str:
    return "reader_" + tenant.schema_name.removeprefix("tenant_")
