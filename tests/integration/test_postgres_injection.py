"""What one injected statement could try, as the app and inside a tenant's transaction: PostgreSQL denies each.

`{other}` stands for another tenant's schema and role, `{own}` for the transaction's.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import psycopg
import pytest

from tests.conftest import Deployment
from tests.integration.postgres_steps import GROUP, node, publish_tables, read_own
from worker.postgres.connection import Connection, as_tenant, open_connection
from worker.postgres.tenants import Tenant, add_tenant

pytestmark = pytest.mark.anyio

EVALUATORS = {
    "set_config": "SELECT set_config('role', '{other}', true)",
    "set_config, then ts_stat": """SELECT set_config('role', '{other}', true), (SELECT count(*) FROM
        ts_stat('SELECT to_tsvector(name) FROM {other}.node'))""",
    "ts_stat": "SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM {own}.node')",
    "ts_stat with weights": "SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM {own}.node', 'a')",
    "ts_rewrite": "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
    "query_to_xml": "SELECT query_to_xml('SELECT 1', true, true, '')",
    "query_to_xmlschema": "SELECT query_to_xmlschema('SELECT 1', true, true, '')",
    "query_to_xml_and_xmlschema": "SELECT query_to_xml_and_xmlschema('SELECT 1', true, true, '')",
    "table_to_xml": "SELECT table_to_xml('pg_class', true, true, '')",
    "schema_to_xml": "SELECT schema_to_xml('control', true, true, '')",
    "database_to_xml": "SELECT database_to_xml(true, true, '')",
    "cursor_to_xml": "SELECT cursor_to_xml('c', 1, true, true, '')",
    "the settings view": "UPDATE pg_settings SET setting = '{other}' WHERE name = 'role'",
    "an anonymous block": "DO $$ BEGIN PERFORM 1; END $$",
    "an anonymous block in SQL's other language": "DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; END $$",
}
OBJECTS = {
    "temporary table": "CREATE TEMPORARY TABLE x (n int)",
    "temporary table by SELECT": "SELECT 1 AS n INTO TEMPORARY x",
    "temporary view": "CREATE TEMPORARY VIEW x AS SELECT 1",
    "temporary function": """CREATE FUNCTION pg_temp.x() RETURNS bigint LANGUAGE sql SET role = '{other}'
        AS 'SELECT count(*) FROM {other}.node'""",
    "function": "CREATE FUNCTION {own}.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "function with a body": "CREATE FUNCTION public.x() RETURNS int RETURN 1",
    "procedure": "CREATE PROCEDURE public.x() LANGUAGE plpgsql AS 'BEGIN END'",
    "table in public": "CREATE TABLE public.x (n int)",
    "table in its own schema": "CREATE TABLE {own}.x (n int)",
    "table in control": "CREATE TABLE control.x (n int)",
    "view": "CREATE VIEW public.x AS SELECT 1",
    "materialized view": "CREATE MATERIALIZED VIEW public.x AS SELECT 1",
    "sequence": "CREATE SEQUENCE public.x",
    "schema": "CREATE SCHEMA x",
    "type": "CREATE TYPE public.x AS (n int)",
    "domain": "CREATE DOMAIN public.x AS int",
    "operator": "CREATE OPERATOR public.=== (leftarg = int, rightarg = int, function = int4eq)",
    "aggregate": "CREATE AGGREGATE public.x (int) (sfunc = int4pl, stype = int)",
    "cast": "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT",
    "collation": 'CREATE COLLATION public.x FROM "C"',
    "text search dictionary": "CREATE TEXT SEARCH DICTIONARY public.x (template = simple)",
    "statistics": "CREATE STATISTICS public.x ON node_id, name FROM {own}.node",
    "index": "CREATE INDEX ON {own}.node (name)",
    "trigger": "CREATE TRIGGER x BEFORE UPDATE ON {own}.node EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule": "CREATE RULE x AS ON UPDATE TO {own}.node DO INSTEAD NOTHING",
    "policy": "CREATE POLICY x ON {own}.node USING (true)",
    "publication": "CREATE PUBLICATION x",
    "foreign data wrapper": "CREATE FOREIGN DATA WRAPPER x",
    "event trigger": "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION x()",
    "language": "CREATE LANGUAGE x HANDLER plpgsql_call_handler",
    "role": "CREATE ROLE x",
    "database": "CREATE DATABASE x",
    "tablespace": "CREATE TABLESPACE x LOCATION '/tmp'",
    "large object": "SELECT lo_create(0)",
    "large object with content": "SELECT lo_from_bytea(0, 'x')",
    "large object the old way": "SELECT lo_creat(-1)",
}
ACTS = {
    "read the other tenant": "SELECT * FROM {other}.node",
    "lock the other tenant": "LOCK TABLE {other}.node",
    "write to the other tenant": "DELETE FROM {other}.node",
    "become the superuser": "SET SESSION AUTHORIZATION postgres",
    "become the other tenant by session": "SET SESSION AUTHORIZATION {other}",
    "switch row security off": "ALTER TABLE {own}.node DISABLE ROW LEVEL SECURITY",
    "bind the owner no more": "ALTER TABLE {own}.node NO FORCE ROW LEVEL SECURITY",
    "drop a policy": "DROP POLICY tenant ON {own}.node",
    "widen a policy": "ALTER POLICY tenant ON {own}.node TO PUBLIC",
    "take a table over": "ALTER TABLE {own}.node OWNER TO {own}",
    "drop a table": "DROP TABLE {own}.node",
    "empty a table": "TRUNCATE {own}.node",
    "rewrite history": "UPDATE {own}.node_history SET name = 'forged'",
    "rewrite a revision": "UPDATE {own}.revision SET digest = 'forged'",
    "erase the feed": "DELETE FROM {own}.feed",
    "say it is migrated": "INSERT INTO {own}.schema_version (version, name) VALUES (99, 'forged')",
    "change a door": "ALTER FUNCTION control.record_events(uuid, bigint, jsonb, bigint, bigint) SECURITY INVOKER",
    "run a program by COPY TO": "COPY (SELECT 1) TO PROGRAM 'true'",
    "run a program by COPY FROM": "COPY {own}.node FROM PROGRAM 'true'",
    "write a file": "COPY (SELECT 1) TO '/tmp/zaptik-injected'",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "list a folder": "SELECT pg_ls_dir('/')",
    "import a file": "SELECT lo_import('/etc/passwd')",
    "grant itself the other tenant": "GRANT {other} TO {own}",
    "make itself a superuser": "ALTER ROLE {own} SUPERUSER",
    "bypass row security": "ALTER ROLE {own} BYPASSRLS",
    "change the other role's settings": "ALTER ROLE {other} SET search_path = ''",
    "change the server's settings": "ALTER SYSTEM SET log_statement = 'all'",
    "change the database's settings": "ALTER DATABASE postgres SET search_path = ''",
    "switch triggers off": "SET session_replication_role = replica",
    "load a library": "LOAD 'pg_plan_advice'",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "read statistics of columns": "SELECT * FROM pg_statistic",
    "drop its role's policies": "DROP OWNED BY CURRENT_USER",
    "hold up the administrator": "SELECT pg_advisory_lock(1)",
    "hold up the administrator if it can": "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
    "fill the log of writes": "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))",
}  # fmt: skip
STACKED = {
    "become the other": "SELECT 1; SET ROLE {other}",
    "read the other": "SELECT 1; SELECT * FROM {other}.node",
    "commit first": "COMMIT; SELECT 1",
}
CASES = {
    **{f"evaluate by {name}": text for name, text in EVALUATORS.items()},
    **{f"create a {name}": text for name, text in OBJECTS.items()},
    **ACTS,
}


REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ActiveSqlTransaction,  # what may not be in a transaction, as ALTER SYSTEM, is refused for that first
    psycopg.errors.NoActiveSqlTransaction,
)


async def send(connection: Connection, text: str) -> None:
    """Send a text as the room's own queries go: by the extended protocol."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(text.encode())


@dataclass(frozen=True, slots=True)
class Pair:
    """The transaction's tenant and another one, by their schemas."""

    own: str
    other: str

    def fill(self, text: str) -> str:
        return text.replace("{own}", self.own).replace("{other}", self.other)


@pytest.fixture(scope="module")
async def pair(deployment: Deployment) -> Pair:
    """Two tenants for all these tests: whatever succeeds against them is a failure."""
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        own, other = [
            await add_tenant(admin, name, url=f"https://{name}.service-now.com", every_seconds=3600)
            for name in ("injected-own", "injected-other")
        ]
    return Pair(own.schema_name, other.schema_name)


@pytest.mark.parametrize("who", ["the app", "a tenant"])
@pytest.mark.parametrize("case", CASES)
async def test_one_statement_cannot(case: str, who: str, app: Connection, pair: Pair) -> None:
    with pytest.raises(REFUSALS):
        async with as_tenant(app, pair.own) if who == "a tenant" else nullcontext():
            await send(app, pair.fill(CASES[case]))


@pytest.mark.parametrize("case", STACKED)
async def test_statements_cannot_be_stacked_to(case: str, app: Connection, pair: Pair) -> None:
    with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
        async with as_tenant(app, pair.own):
            await send(app, pair.fill(STACKED[case]))


CONTROL = {
    "read credentials": "SELECT * FROM control.credential",
    "read runs": "SELECT * FROM control.run",
    "read the fleet": "SELECT * FROM control.read_fleet()",
    "find a tenant": "SELECT * FROM control.find_tenant('x')",
    "claim a run": "SELECT control.claim_run(gen_random_uuid(), 'x', 1)",
    "request a run": "SELECT control.request_sync('x', 'full')",
    "read the audit trail": "SELECT * FROM control.audit_events",
    "read a partition of it": "SELECT * FROM control.audit_events_rest",
    "draw request numbers": "SELECT nextval('control.sync_request_request_id_seq')",
}


@pytest.mark.parametrize("case", CONTROL)
async def test_a_tenants_role_cannot(case: str, app: Connection, pair: Pair) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with as_tenant(app, pair.own):
            await send(app, CONTROL[case])


async def test_row_security_that_is_switched_off_makes_an_error_and_shows_nothing(
    app: Connection,
) -> None:
    async with app.transaction(force_rollback=True):
        await send(app, "SET LOCAL row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await send(app, "SELECT * FROM control.credential")


async def test_a_tenants_statistics_are_hidden_from_another(
    app: Connection, admin: Connection, tenant: Tenant, pair: Pair
) -> None:
    """`pg_stats` holds sample values of every analysed column."""
    query = "SELECT most_common_vals::text AS found FROM pg_stats WHERE schemaname = %s AND attname = 'name'"
    await publish_tables(
        app, tenant, {GROUP: ([node(GROUP, number, name="Secret") for number in range(9)], [])}
    )
    await admin.execute(f"ANALYZE {tenant.schema_name}.node".encode())
    assert await read_own(admin, query, tenant.schema_name) == [{"found": "{Secret}"}]
    async with as_tenant(app, pair.own):
        assert await read_own(app, query, tenant.schema_name) == []
