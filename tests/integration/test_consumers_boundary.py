"""A consumer's login sees its tenant and nothing else, writes nothing, and makes nothing of its own."""

from __future__ import annotations

import psycopg
import pytest

from jobs.names import reader_role
from tests.conftest import Deployment
from tests.integration.conftest import AddTenant, Bystander
from tests.integration.consumer_case import a_login, a_reader, ask, ask_column, connected
from tests.integration.postgres_steps import GROUP, node, publish_tables, read_own
from tests.integration.test_postgres_boundary import CONTROL_ROWS, TENANT_TABLES, VIEWS
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.consumers import grant_consumer
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

READ = {
    "node", "edge", "node_history", "edge_history", "feed", "reference", "finding", "finding_history",
}  # fmt: skip
RETENTION = {"forget_revisions", "prune_history"}
TRIGGERS = {"keep_revision"}
READ_IN_PART = {"revision", "table_read"}
SHOWN = (*(view for view in VIEWS if view.startswith("graph_v1_")), "node")
WRITES = {
    "add a node": "INSERT INTO {tenant}.node SELECT * FROM {tenant}.node",
    "change a node": "UPDATE {tenant}.node SET name = 'forged'",
    "change it by the view": "UPDATE {tenant}.graph_v1_nodes SET name = 'forged'",
    "delete an edge": "DELETE FROM {tenant}.edge",
    "rewrite history": "UPDATE {tenant}.node_history SET name = 'forged'",
    "add a revision": "INSERT INTO {tenant}.revision (revision) VALUES (99)",
    "say it was checked": "UPDATE {tenant}.revision SET checked_as_of = now()",
    "add to the feed": "INSERT INTO {tenant}.feed (number, revision, added, changed, removed) VALUES (9, 1, 0, 0, 0)",
    "change the reference": "UPDATE {tenant}.reference SET reference = gen_random_uuid()",
    "empty a table": "TRUNCATE {tenant}.node",
    "lock a row": "SELECT * FROM {tenant}.node FOR UPDATE",
    "lock a row a little": "SELECT * FROM {tenant}.node FOR KEY SHARE",
    "lock a table": "LOCK TABLE {tenant}.node IN ACCESS EXCLUSIVE MODE",
    "lock a table against writers": "LOCK TABLE {tenant}.node IN SHARE MODE",
}


@pytest.mark.parametrize("relation", [*TENANT_TABLES, *VIEWS])
async def test_another_tenant_is_closed(relation: str, reader: Connection, bystander: Bystander) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema"):
        await ask(reader, f"SELECT * FROM {{tenant}}.{relation}", within=bystander.tenant)  # noqa: S608


@pytest.mark.parametrize(
    "call",
    [
        "graph_v1_nodes_at(1)", "graph_v1_edges_at(1)", "graph_v1_diff(1, 2)", "graph_v1_neighbours('x')",
        "graph_v1_routes('x')", "graph_v1_affected('x')", "check_revision(1)", "graph_v1_findings_at(1)",
        "forget_revisions(365)", "prune_history(1)",
    ],
)  # fmt: skip
async def test_another_tenants_functions_are_closed(
    call: str, reader: Connection, bystander: Bystander
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema"):
        await ask(reader, f"SELECT * FROM {{tenant}}.{call}", within=bystander.tenant)  # noqa: S608


@pytest.mark.parametrize("table", [table for table in TENANT_TABLES if table not in READ | READ_IN_PART])
async def test_what_no_view_needs_is_closed_in_its_own_tenant(
    table: str, reader: Connection, tenant: Tenant
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table"):
        await ask(reader, f"SELECT * FROM {{tenant}}.{table}", within=tenant)  # noqa: S608


@pytest.mark.parametrize("column", ["cursor", "counted", "requests", "newest", "changes", "way", "begun_at"])
async def test_how_a_run_reads_is_not_shown(column: str, reader: Connection, tenant: Tenant) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await ask(reader, f"SELECT {column} FROM {{tenant}}.table_read", within=tenant)  # noqa: S608


@pytest.mark.parametrize("table", CONTROL_ROWS)
async def test_control_is_closed(table: str, reader: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table"):
        await ask(reader, f"SELECT * FROM control.{table}")  # noqa: S608


async def test_the_requesters_view_is_closed_to_readers(reader: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await ask(reader, "SELECT * FROM control.request_v1")


@pytest.mark.parametrize("case", WRITES)
async def test_a_consumer_cannot(case: str, app: Connection, reader: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
        async with reader.transaction():
            await ask(reader, WRITES[case], within=tenant)


# Beside the injection matrix, which is tried as a consumer too.
INJECTED = {
    "become another tenant's reader": "SET ROLE reader_bystander",
    "become a tenant": "SET ROLE {other}",
    "become its own tenant's worker": "SET ROLE {own}",
    "become the requesters": "SET ROLE zaptik_requester",
    "become another by set_config": "SELECT set_config('role', '{other}', false)",
    "become its tenant's worker by set_config": "SELECT set_config('role', '{own}', false)",
    "grant its right on": "GRANT {reader} TO zaptik_requester",
    "make a function in its tenant's schema": "CREATE FUNCTION {own}.x() RETURNS int RETURN 1",
    "change a view": "CREATE OR REPLACE VIEW {own}.graph_v1_feed AS SELECT 1",
    "change a function": "ALTER FUNCTION {own}.graph_v1_nodes_at(bigint) SECURITY DEFINER",
    "watch others' queries": "SELECT pg_read_file('postgresql.conf')",
}  # fmt: skip


@pytest.mark.parametrize("case", INJECTED)
async def test_one_statement_of_a_consumers_cannot(
    case: str, reader: Connection, tenant: Tenant, bystander: Bystander
) -> None:
    text = (
        INJECTED[case].replace("{own}", tenant.schema_name).replace("{other}", bystander.tenant.schema_name)
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with reader.transaction():
            await ask(reader, text.replace("{reader}", reader_role(tenant.schema_name)))


async def test_a_setting_of_its_own_opens_nothing(
    app: Connection, reader: Connection, tenant: Tenant, bystander: Bystander
) -> None:
    """The setting by which workers name a tenant in `control`, and row security switched off."""
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1)], [])})
    await ask(reader, "SELECT set_config('zaptik.tenant', %s, false)", str(bystander.tenant.tenant_id))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await ask(reader, "SELECT * FROM control.tenant")
    await ask(reader, "SET row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        await ask(reader, "SELECT * FROM {tenant}.graph_v1_nodes", within=tenant)


async def test_a_login_of_two_tenants_reads_both_and_no_third(
    admin: Connection,
    app: Connection,
    deployment: Deployment,
    bystander: Bystander,
    add_fresh_tenant: AddTenant,
) -> None:
    one, two = await add_fresh_tenant(), await add_fresh_tenant()
    for tenant in (one, two):
        await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name=tenant.name)], [])})
    async with a_reader(admin, deployment.admin_url, one.name, two.name) as both:
        for tenant in (one, two):
            names = await ask_column(both, "SELECT name FROM {tenant}.graph_v1_nodes", within=tenant)
            assert names == [tenant.name]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await ask(both, "SELECT * FROM {tenant}.graph_v1_nodes", within=bystander.tenant)


async def test_a_grant_of_a_table_by_mistake_shows_a_consumer_no_row_of_another_tenant(
    admin: Connection, app: Connection, reader: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await publish_tables(app, other, {GROUP: ([node(GROUP, 1)], [])})
    role = reader_role(tenant.schema_name)
    await admin.execute(
        f"GRANT USAGE ON SCHEMA {other.schema_name} TO {role}; "
        f"GRANT ALL ON ALL TABLES IN SCHEMA {other.schema_name} TO {role}".encode()
    )
    try:
        for relation in (*TENANT_TABLES, *(view for view in VIEWS if view != "routing_move")):
            assert await ask(reader, f"SELECT * FROM {{tenant}}.{relation}", within=other) == []  # noqa: S608
    finally:  # a process that starts on this server would refuse to
        await admin.execute(
            f"REVOKE ALL ON ALL TABLES IN SCHEMA {other.schema_name} FROM {role}; "
            f"REVOKE USAGE ON SCHEMA {other.schema_name} FROM {role}".encode()
        )


async def test_the_functions_work_for_the_worker_as_they_do_for_a_consumer(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="a")], [])})
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="b")], [])})
    name = node(GROUP, 1).id
    for call in ("nodes_at(1)", "edges_at(1)", "diff(1, 2)", f"neighbours('{name}')", f"routes('{name}')",
                 f"affected('{name}')", "tables", "revisions", "feed"):  # fmt: skip
        columns = "revision, state" if call == "revisions" else "*"
        query = f"SELECT {columns} FROM {{tenant}}.graph_v1_{call}"  # noqa: S608  our own names
        async with as_tenant(app, tenant.schema_name):
            as_worker = await read_own(app, query, within=tenant)
        assert as_worker == await ask(reader, query, within=tenant)


async def test_every_view_is_its_callers_and_every_function_binds_its_names(
    admin: Connection, tenant: Tenant
) -> None:
    """A function that looks names up when it runs could be led elsewhere by a schema of the caller's."""
    views = await read_own(
        admin,
        """SELECT relname, reloptions FROM pg_class
           WHERE relnamespace = %s::regnamespace AND relkind = 'v'""",
        tenant.schema_name,
    )
    assert {(row["relname"], *row["reloptions"]) for row in views} == {
        (v, "security_invoker=true") for v in VIEWS
    }
    functions = await read_own(
        admin,
        """SELECT proname, prosecdef, provolatile::text,
                  prosqlbody IS NOT NULL OR 'search_path=""' = ANY (proconfig) AS bound,
                  has_function_privilege('public', oid, 'EXECUTE') AS public
           FROM pg_proc WHERE pronamespace = %s::regnamespace""",
        tenant.schema_name,
    )
    assert len(functions) == 9 + len(RETENTION) + len(TRIGGERS)
    assert {row["proname"] for row in functions} >= RETENTION | TRIGGERS
    for row in functions:
        own = ("v" if row["proname"] in RETENTION | TRIGGERS else "s", row["proname"] in RETENTION)
        assert (row["provolatile"], row["prosecdef"]) == own, row["proname"]
        assert row["bound"], row["proname"]
        assert not row["public"], row["proname"]


@pytest.mark.parametrize("call", ["forget_revisions(365)", "prune_history(1)"])
async def test_a_reader_lets_nothing_go(call: str, reader: Connection, tenant: Tenant) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"):
        await ask(reader, f"SELECT * FROM {{tenant}}.{call}", within=tenant)  # noqa: S608


async def test_a_schema_before_ours_in_the_path_leads_no_function_astray(
    admin: Connection, app: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="true")], [])})
    async with a_login(admin, deployment.admin_url) as login:
        await grant_consumer(admin, login.name, tenant=tenant.name)
        schema = f"astray_{login.name}"
        await admin.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC".encode())
        await admin.execute(
            f"""CREATE TABLE {schema}.node AS SELECT 'x' AS node_id, 'forged' AS name;
                CREATE FUNCTION {schema}.strpos(text, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3';
                GRANT SELECT ON {schema}.node TO PUBLIC""".encode()
        )
        try:
            async with connected(login) as reader:
                await ask(reader, f"SET search_path = {schema}, {tenant.schema_name}, pg_catalog")
                rows = await ask(reader, "SELECT name, sys_id FROM graph_v1_nodes_at(1)")
                assert rows == [{"name": "true", "sys_id": node(GROUP, 1).sys_id}]
        finally:
            await admin.execute(f"DROP SCHEMA {schema} CASCADE".encode())
