"""The pages for consumers are true: their examples run as a consumer's login, and the columns are the database's."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import Deployment
from tests.integration.consumer_case import Login, a_login, connected
from tests.integration.postgres_steps import GROUP, claim_fresh_run, node, publish, read_own, stage_table
from tests.integration.test_consumers_routes import link
from worker.postgres.connection import Connection
from worker.postgres.consumers import grant_consumer
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "read-the-graph.md").read_text("utf-8")
REFERENCE = (DOCS / "reference" / "sql.md").read_text("utf-8")
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
STATEMENTS = [
    statement.strip() for block in EXAMPLES for statement in block.split(";\n") if statement.strip()
]
ITEM = "sc_cat_item"
# What each example must show of the graph that `fill` makes, in order: it holds at least so many rows.
LEAST_ROWS = {"graph_v1_tables": 0, "BEGIN": 0, "COMMIT": 0}


@dataclass(frozen=True, slots=True)
class Readied:
    """A tenant with two revisions, and a login that reads it and is a requester."""

    tenant: Tenant
    login: Login


def for_tenant(text: str, tenant: Tenant) -> str:
    return text.replace("tenant_acme", tenant.schema_name).replace("'acme'", f"'{tenant.name}'")


async def publish_desk(app: Connection, tenant: Tenant, *, name: str) -> None:
    """Publish an item and the group that fulfils it, with a name that may be new."""
    desk = node(GROUP, 1, name=name)
    item = node(ITEM, 10, name="Laptop", attributes={"active": "true"})
    desk, item = (line.__class__(line.id, kind, line.table, line.sys_id, line.name, line.attributes)
                  for line, kind in ((desk, "assignment_group"), (item, "catalogue_item")))  # fmt: skip
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, [desk])
    await stage_table(app, run, ITEM, [item], [link("FULFILLED_BY", item, desk)])
    assert (await publish(app, run, closing=(GROUP, ITEM))).outcome == "published"


@pytest.fixture
async def readied(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant
) -> AsyncIterator[Readied]:
    await publish_desk(app, tenant, name="Desk")
    await publish_desk(app, tenant, name="Service Desk")
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        await grant_consumer(admin, login.name, tenant=None)
        yield Readied(tenant, login)


def read_columns(page: str) -> dict[str, list[tuple[str, str]]]:
    """Give each described view's or function's columns with their types, as the reference has them."""
    described: dict[str, list[tuple[str, str]]] = {}
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        columns = re.findall(r"^\| `(\w+)` \| ([a-z \[\]]+) \|", body, re.MULTILINE)
        for name in re.findall(r"[\w.]*(?:graph_v1_\w+|request_v1)", heading):
            described[name.rpartition(".")[2]] = columns
    return described


async def test_the_reference_names_every_view_and_function_with_its_columns(
    admin: Connection, tenant: Tenant
) -> None:
    rows = await read_own(
        admin,
        """SELECT coalesce(p.proname, c.relname) AS name,
                  array_agg(ARRAY[a.attname, format_type(a.atttypid, NULL)] ORDER BY a.attnum) AS columns
           FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
           LEFT JOIN pg_proc p ON p.prorettype = c.reltype AND p.proname ~ '^graph_v1_'
           WHERE (c.relkind = 'v' OR p.oid IS NOT NULL) AND (
               (c.relnamespace = %s::regnamespace AND c.relname ~ '^graph_v1_')
               OR c.oid = 'control.request_v1'::regclass)
           GROUP BY 1""",
        tenant.schema_name,
    )
    names = {"timestamp with time zone": "timestamptz"}
    there = {
        row["name"]: [(column, names.get(kind, kind)) for column, kind in row["columns"]] for row in rows
    }
    # a view whose rows a function gives is told apart from it here
    for view in ("graph_v1_nodes", "graph_v1_edges", "graph_v1_findings"):
        there[view] = there[f"{view}_at"]
    described = read_columns(REFERENCE)
    assert described.keys() == there.keys()
    for name, columns in there.items():
        assert described[name] == columns, name


async def test_every_example_runs_as_a_consumer_and_shows_something(readied: Readied) -> None:
    assert len(STATEMENTS) > 10
    async with connected(readied.login) as connection:
        for statement in STATEMENTS:
            cursor = await connection.execute(for_tenant(statement, readied.tenant).encode())
            rows = await cursor.fetchall() if cursor.description else []
            least = next((rows for word, rows in LEAST_ROWS.items() if word in statement), 1)
            assert len(rows) >= least, statement


async def answer(readied: Readied, words: str) -> list[tuple[Any, ...]]:
    """Give what the first example that has these words shows."""
    statement = next(one for one in STATEMENTS if words in one)
    async with connected(readied.login) as connection:
        cursor = await connection.execute(for_tenant(statement, readied.tenant).encode())
        return [tuple(row.values()) for row in await cursor.fetchall()]


async def test_the_example_of_who_handles_an_item_names_the_group(readied: Readied) -> None:
    assert await answer(readied, "SELECT r.route") == [(1, 1, "fulfilment group of the item", True)]
    assert await answer(readied, "SELECT g.name, r.certain") == [("Service Desk", True)]
    assert await answer(readied, "graph_v1_affected") == [("catalogue_item", "Laptop", 1)]


async def test_the_example_of_a_difference_shows_the_new_name(readied: Readied) -> None:
    [(what, change, _, was, is_now)] = await answer(readied, "graph_v1_diff")
    assert (what, change, was, is_now) == ("node", "changed", "Desk", "Service Desk")


async def test_the_example_program_follows_the_feed(app: Connection, readied: Readied) -> None:
    """It sees what was there, and then what comes while it listens."""
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(for_tenant(program, readied.tenant), "read-the-graph.md", "exec"), made)  # noqa: S102
    seen: list[tuple[int, int]] = []
    is_there, is_more = threading.Event(), threading.Event()

    class EnoughError(Exception):
        """How a program that goes on for ever is stopped."""

    def handle(number: int, revision: int) -> None:
        seen.append((number, revision))
        (is_there if number == 2 else is_more).set()
        if number > 2:
            raise EnoughError

    def follow() -> None:
        with pytest.raises(EnoughError):
            made["follow"](readied.login.url, 1, handle)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, follow)
        assert await anyio.to_thread.run_sync(lambda: is_there.wait(30))
        await publish_desk(app, readied.tenant, name="New Desk")
        assert await anyio.to_thread.run_sync(lambda: is_more.wait(30))
    assert seen == [(2, 2), (3, 3)]
