"""The tenants' boundary is PostgreSQL's: no role sees two tenants, and forgetting to become one sees none."""

from __future__ import annotations

import psycopg
import pytest

from jobs.errors import PrivilegeMissing
from jobs.names import reader_role
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import GROUP, claim_fresh_run, node, publish_tables, read_own
from worker.postgres.connection import Connection, as_tenant, in_tenant_rows, translated_errors
from worker.postgres.tenants import StoredCredentials, Tenant, read_credentials, store_credentials

pytestmark = pytest.mark.anyio

TENANT_TABLES = (
    "schema_version", "node", "edge", "node_history", "edge_history", "revision", "feed", "table_read", "staged_page",
    "gone", "missing", "record", "table_state", "described", "reference", "finding", "finding_history",
    "finding_basis", "retention", "isolation_canary",
)  # fmt: skip
VIEWS = (
    "graph_v1_revisions", "graph_v1_tables", "graph_v1_nodes", "graph_v1_edges", "graph_v1_feed", "graph_v1_findings",
    "routing_move", "routing_step",
)  # fmt: skip
CONTROL_ROWS = ("tenant", "run", "sync_request", "data_key", "credential", "audit_events")


async def count(connection: Connection, table: str) -> int:
    [row] = await read_own(connection, f"SELECT count(*) FROM {table}")  # noqa: S608  our own names
    number: int = row["count"]
    return number


async def fill(app: Connection, tenant: Tenant) -> None:
    await publish_tables(app, tenant, {GROUP: ([node(GROUP, 1, name="Service Desk")], [])})
    async with in_tenant_rows(app, tenant.tenant_id):
        await store_credentials(app, tenant.tenant_id, StoredCredentials(1, b"sealed", "key-1", b"wrapped"))


async def test_every_table_of_a_tenant_is_known_to_these_tests(admin: Connection, tenant: Tenant) -> None:
    rows = await read_own(
        admin,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')",
        tenant.schema_name,
    )
    assert {row["relname"] for row in rows} == {*TENANT_TABLES, *VIEWS}


@pytest.mark.parametrize("table", [*TENANT_TABLES, *VIEWS])
async def test_the_app_reads_no_tenants_table_without_becoming_its_role(
    table: str, app: Connection, tenant: Tenant
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema"):
        await count(app, f"{tenant.schema_name}.{table}")


async def test_a_tenants_role_reads_its_own_rows_and_no_other_tenants_tables(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await fill(app, tenant)
    await fill(app, other)
    async with as_tenant(app, tenant.schema_name):
        assert await count(app, f"{tenant.schema_name}.node") == 1
    for table in TENANT_TABLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with as_tenant(app, tenant.schema_name):
                await count(app, f"{other.schema_name}.{table}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with as_tenant(app, tenant.schema_name):
            await app.execute(
                f"SELECT FROM {tenant.schema_name}.node a JOIN {other.schema_name}.node b USING (node_id)".encode()
            )


async def test_a_role_that_was_granted_a_table_by_mistake_still_sees_no_row(
    app: Connection, admin: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    """Policies are bound to the tenant's role, so a grant alone opens nothing, to the owner neither."""
    other = await add_fresh_tenant()
    await fill(app, other)
    async with admin.transaction(force_rollback=True):
        await admin.execute(
            f"GRANT USAGE ON SCHEMA {other.schema_name} TO {tenant.schema_name}; "
            f"GRANT ALL ON ALL TABLES IN SCHEMA {other.schema_name} TO {tenant.schema_name}; "
            f"SET LOCAL ROLE {tenant.schema_name}".encode()
        )
        for table in TENANT_TABLES:
            assert await count(admin, f"{other.schema_name}.{table}") == 0
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE zaptik_owner")
        for table in set(TENANT_TABLES) - {"schema_version"}:
            assert await count(admin, f"{other.schema_name}.{table}") == 0


async def test_after_the_transaction_nobody_is_the_tenant_any_more(app: Connection, tenant: Tenant) -> None:
    async with as_tenant(app, tenant.schema_name):
        assert await read_own(app, "SELECT current_user AS who") == [{"who": tenant.schema_name}]
    assert await read_own(app, "SELECT current_user AS who") == [{"who": "zaptik_app"}]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await count(app, f"{tenant.schema_name}.node")


async def test_becoming_no_tenant_that_exists_is_an_error(app: Connection) -> None:
    for role in ("zaptik_owner", "zaptik_fleet", "postgres"):
        with pytest.raises(PrivilegeMissing), translated_errors():
            async with as_tenant(app, role):
                pass


@pytest.mark.parametrize("table", CONTROL_ROWS)
async def test_rows_of_a_tenant_in_control_are_seen_only_under_its_setting(
    table: str, app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await fill(app, tenant)
    await fill(app, other)
    column = "tenant_ref" if table == "audit_events" else "tenant_id"
    query = f"SELECT DISTINCT {column} AS whose FROM control.{table} WHERE {column} IS NOT NULL"  # noqa: S608
    assert await read_own(app, query) == []
    async with in_tenant_rows(app, tenant.tenant_id):
        assert await read_own(app, query) == [{"whose": tenant.tenant_id}]
    # what SET LOCAL leaves behind in the session is the empty text, not NULL
    assert await read_own(app, "SELECT current_setting('zaptik.tenant', true) AS left") == [{"left": ""}]
    assert await read_own(app, query) == []


async def test_nothing_of_another_tenant_is_written_under_a_tenants_setting(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await fill(app, other)
    stored = StoredCredentials(7, b"forged", "key-1", b"forged")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        async with in_tenant_rows(app, tenant.tenant_id):
            await store_credentials(app, other.tenant_id, stored)
    async with in_tenant_rows(app, tenant.tenant_id):
        cursor = await app.execute("UPDATE control.tenant SET state = 'paused' WHERE name = %s", [other.name])
        assert cursor.rowcount == 0
    assert await read_credentials(app, other.tenant_id) == StoredCredentials(
        1, b"sealed", "key-1", b"wrapped"
    )


async def test_every_table_of_every_tenant_has_row_security_forced_and_a_policy_of_its_role(
    admin: Connection, tenant: Tenant
) -> None:
    rows = await read_own(
        admin,
        """SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname ~ '^tenant_' AND c.relkind IN ('r', 'p') AND NOT (
               c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
                   SELECT FROM pg_policy p
                   WHERE p.polrelid = c.oid AND p.polroles = ARRAY[n.nspname::regrole::oid]))""",
    )
    assert rows == []
    assert await read_own(
        admin,
        """SELECT DISTINCT p.polroles::regrole[]::text[] AS roles FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
           WHERE c.relnamespace = %s::regnamespace ORDER BY 1""",
        tenant.schema_name,
    ) == [
        {"roles": [reader_role(tenant.schema_name)]},
        {"roles": [tenant.schema_name]},
        {"roles": ["zaptik_owner"]},
    ]


async def test_every_table_of_control_has_row_security_forced(admin: Connection) -> None:
    rows = await read_own(
        admin,
        """SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'control'::regnamespace
           AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)""",
    )
    assert rows == []


# Only who owns a table makes and drops its partitions.
MONTHS_OF_THE_TRAIL = ("forget_audit_month", "make_audit_months", "read_old_audit_months")


async def test_the_doors_across_tenants_are_the_fleets_and_open_to_those_who_need_them_alone(
    admin: Connection, tenant: Tenant
) -> None:
    rows = await read_own(
        admin,
        """SELECT proname AS name, pg_get_userbyid(proowner) AS owner, proconfig AS settings,
                  has_function_privilege('public', oid, 'EXECUTE') AS public,
                  has_function_privilege('zaptik_app', oid, 'EXECUTE') AS app,
                  has_function_privilege(%s, oid, 'EXECUTE') AS tenant
           FROM pg_proc WHERE pronamespace = 'control'::regnamespace AND prosecdef""",
        tenant.schema_name,
    )
    assert {(row["settings"][0], row["public"]) for row in rows} == {('search_path=""', False)}
    owners = {row["name"]: row["owner"] for row in rows if row["owner"] != "zaptik_fleet"}
    assert owners == dict.fromkeys(MONTHS_OF_THE_TRAIL, "zaptik_owner")
    assert {row["name"] for row in rows if row["tenant"]} == {"record_events", "finish_run"}
    shut = {"record_events", "finish_run", "hold_key", "tell_request"}  # the last two are triggers'
    assert {row["name"] for row in rows if not row["app"]} == shut
    others = await read_own(
        admin,
        """SELECT proname AS name FROM pg_proc WHERE pronamespace = 'control'::regnamespace AND NOT prosecdef
           AND has_function_privilege('public', oid, 'EXECUTE')""",
    )
    assert others == []


async def test_a_tenants_role_ends_no_run_but_its_own(
    app: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    run = await claim_fresh_run(app, await add_fresh_tenant())
    async with as_tenant(app, tenant.schema_name):
        ended = await read_own(
            app, "SELECT control.finish_run(%s, %s, 'unchanged', NULL, now(), '{}')", run.run_id, run.fence
        )
        held = await read_own(app, "SELECT control.record_events(%s, %s, '[]', 1, 1)", run.run_id, run.fence)
    assert (ended, held) == ([{"finish_run": False}], [{"record_events": False}])


HELD = """INSERT INTO {tenant}.revision
        (revision, run_id, state, as_of, published_at, nodes, edges, added, changed, removed, digest)
    VALUES (2, gen_random_uuid(), 'quarantined', now(), '2020-01-01', 0, 0, 0, 0, 0, '') RETURNING 1"""


async def test_a_tenants_role_decides_once_about_a_revision_that_waits_and_dates_none(
    app: Connection, tenant: Tenant
) -> None:
    """When a revision was published tells retention what may go."""

    async def act(query: str) -> list[dict[str, object]]:
        async with as_tenant(app, tenant.schema_name):
            return await read_own(app, query, within=tenant)

    async def refused(query: str, *, words: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
            await act(query)

    await fill(app, tenant)
    for state in ("'quarantined'", "'rejected'", "'superseded'"):
        change = f"UPDATE {{tenant}}.revision SET state = {state}"  # noqa: S608  our own states
        await refused(change, words="that is published stays so")
    await refused("UPDATE {tenant}.revision SET published_at = '2020-01-01'", words="permission denied")
    await refused("UPDATE {tenant}.revision SET revision = 7", words="permission denied")
    await act(HELD)
    await act("UPDATE {tenant}.revision SET state = 'rejected' WHERE revision = 2 RETURNING 1")
    await refused("UPDATE {tenant}.revision SET state = 'published'", words="that is rejected stays so")
    found = await act(
        "SELECT state, published_at < now() - interval '1 hour' AS old FROM {tenant}.revision ORDER BY 1"
    )
    assert found == [{"state": "published", "old": False}, {"state": "rejected", "old": False}]
