"""The SQL as a house: every named query has a purpose and a user, and fits the schema that migrations make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from psycopg import sql

import schema
from ops.snapshot import COMMAND, build_snapshots
from tests.conftest import Deployment
from worker.postgres.connection import Connection, as_tenant, open_connection, statement
from worker.postgres.tenants import add_tenant

ROOT = Path(__file__).parents[2]
AREAS: tuple[schema.Area, ...] = get_args(schema.Area)
QUERIES = [(area, name) for area in AREAS for name in schema.read_queries(area)]
BY_THE_OWNER = {
    "add_offboarding", "add_tenant", "begin_deletion", "cancel_live_run", "cancel_offboarding", "delete_tenant",
    "hold_deletion", "hold_tenant", "list_schemas", "read_name", "read_run_ids", "shred_tenant",
}  # fmt: skip
BY_A_TENANT = {"record_events", "finish_run"}
LONGEST_LINE = 120


def sql_files() -> Iterator[Path]:
    for path in sorted((ROOT / "schema").rglob("*.sql")):
        if path.name not in {"snapshot.sql", "guards.sql"}:
            yield path


@pytest.mark.parametrize("area", AREAS)
def test_every_name_begins_a_query_with_a_line_of_purpose(area: schema.Area) -> None:
    text = (ROOT / "schema" / area / "queries.sql").read_text("utf-8")
    queries = schema.read_queries(area)
    assert re.findall(r"^--\s*name:\s*(.*?)\s*$", text, re.MULTILINE) == list(queries)
    for query in queries.values():
        assert re.fullmatch(r"[A-Z].{10,}\.", query.purpose), query.name
        assert ";" not in query.sql, f"{query.name} is more than one statement"


@pytest.mark.parametrize(("area", "name"), QUERIES)
def test_a_query_is_used_by_the_worker(area: schema.Area, name: str) -> None:
    used = "".join(path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py"))
    assert f'"{name}"' in used, f"nobody runs {name} of {area}: remove it"


def test_lines_are_short_enough_to_be_read() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sql_files()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if len(line) > LONGEST_LINE
    ]
    assert long == []


def test_every_file_of_sql_begins_by_saying_what_it_is_for() -> None:
    assert [path for path in sql_files() if not path.read_text("utf-8").startswith("-- ")] == []


async def explain(connection: Connection, area: schema.Area, name: str, *, within: str | None) -> None:
    """Let the server parse and plan a query and check the role's privileges, with nothing for every value."""
    text = schema.read_queries(area)[name].sql
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(sql.SQL("EXPLAIN ") + statement(area, name, within=within), values)


@pytest.mark.anyio
async def test_every_query_fits_the_migrated_schema_and_the_rights_of_who_runs_it(
    deployment: Deployment,
) -> None:
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        tenant = await add_tenant(admin, "house", url="https://house.service-now.com", every_seconds=3600)
        async with admin.transaction():
            await admin.execute("SET LOCAL ROLE zaptik_owner")
            for name in BY_THE_OWNER:
                await explain(admin, "control", name, within=None)
    async with open_connection(deployment.app_url, purpose="test") as app:
        for area, name in QUERIES:
            if area == "tenant" or name in BY_A_TENANT:
                async with as_tenant(app, tenant.schema_name):
                    await explain(app, area, name, within=tenant.schema_name)
            elif name not in BY_THE_OWNER:
                await explain(app, area, name, within=None)


def test_the_snapshots_are_what_the_migrations_come_to() -> None:
    for path, text in build_snapshots().items():
        assert path.read_text("utf-8") == text, f"run `{COMMAND}` and commit {path.relative_to(ROOT)}"
