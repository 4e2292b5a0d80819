"""The functions that the app may call across tenants: in a transaction that is one tenant's they reach no other.

The doors are taken from the catalogue, so that one made later must be told of here. `{run}` and `{name}` stand for the
run and the name of the tenant that is reached for.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest

from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.runs import request_sync
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

FOR_ALL = {
    "claim_due_tenants": "control.claim_due_tenants(0, 1)",
    "fold_requests": "control.fold_requests(0)",
    "rescue_runs": "control.rescue_runs(99)",
    "runs_to_ring": "control.runs_to_ring(0, 30)",
    "read_fleet": "control.read_fleet()",
    "count_runs": "control.count_runs()",
    "keys_in_use": "control.keys_in_use()",
    "read_keys": "control.read_keys()",
    "register_key": "control.register_key('k-door')",
    "promote_key": "control.promote_key('k-door')",
    "drop_key": "control.drop_key('k-door')",
    "hold_isolation_check": "control.hold_isolation_check('x', 0, 0, 1)",
    "end_isolation_check": "control.end_isolation_check('x', NULL, 0, 0, 0)",
    "read_isolation_check": "control.read_isolation_check()",
    "tenants_to_rewrap": "control.tenants_to_rewrap('k-door', NULL, 0)",
    "make_audit_months": "control.make_audit_months(0)",
    "read_audit": "control.read_audit('rest', 0, 9, '0', 0, true, 1)",
    "read_audit_partitions": "control.read_audit_partitions(1)",
    "count_audit": "control.count_audit(0)",
    "read_audit_drops": "control.read_audit_drops(1)",
    "read_audit_checkpoints": "control.read_audit_checkpoints(0, 1)",
    "is_month_sealed": "control.is_month_sealed('1999-01-01')",
    "hold_audit_lease": "control.hold_audit_lease('a door', 0)",
    "read_audit_tail": "control.read_audit_tail(NULL, NULL, NULL, 1)",
    "tell_audit_act": "control.tell_audit_act('audit.verified', '{}')",
    "add_audit_checkpoint": "control.add_audit_checkpoint('a door', '{}')",
    "read_old_audit_months": "control.read_old_audit_months(24)",
    "forget_audit_month": "control.forget_audit_month(24)",
    "read_retention_overdue": "control.read_retention_overdue()",
    "read_offboardings": "control.read_offboardings()",
}
FOR_ONE = {
    "claim_run": "control.claim_run('{run}', 'x', 0)",
    "claim_quarantined": "control.claim_quarantined('{run}', 'x', 0)",
    "renew_lease": "control.renew_lease('{run}', 0, 0)",
    "release_run": "control.release_run('{run}', 0, 'yielded', 0, NULL)",
    "end_slice": "control.end_slice('{run}', 0, 'yielded', 0, NULL, false)",
    "cancel_run": "control.cancel_run('{run}')",
    "find_tenant": "control.find_tenant('{name}')",
    "forget_runs": "control.forget_runs('{tenant}', 90, 0)",
    "request_sync": "control.request_sync('{name}', 'full')",
}
OF_ANOTHER = "not in a transaction of another tenant"
WHILE_NAMED = "not while the transaction names a tenant"


@dataclass(frozen=True, slots=True)
class Reached:
    """A tenant and a run of its, to be reached for."""

    tenant: Tenant
    run: str

    def fill(self, call: str) -> str:
        own = {"{run}": self.run, "{name}": self.tenant.name, "{tenant}": str(self.tenant.tenant_id)}
        for place, text in own.items():
            call = call.replace(place, text)
        return call


@pytest.fixture
async def pair(app: Connection, add_fresh_tenant: AddTenant) -> tuple[Reached, Reached]:
    """Two tenants with a requested run each."""
    tenants = [await add_fresh_tenant(), await add_fresh_tenant()]
    for tenant in tenants:
        await request_sync(app, tenant.name, mode="full")
    await app.execute("SELECT control.fold_requests(10000)")
    reached = []
    for tenant in tenants:
        async with in_tenant_rows(app, tenant.tenant_id):
            [row] = await read_own(app, "SELECT run_id::text FROM control.run WHERE state = 'requested'")
        reached.append(Reached(tenant, row["run_id"]))
    return reached[0], reached[1]


async def call(connection: Connection, *calls: str) -> list[dict[str, object]]:
    """Call doors in one statement; what they do is undone."""
    froms = " CROSS JOIN ".join(f"{text} AS d{number}" for number, text in enumerate(calls))
    async with connection.transaction(force_rollback=True):
        return await read_own(connection, f"SELECT * FROM {froms}")  # noqa: S608  our own calls


async def test_every_door_is_known_to_these_tests(admin: Connection) -> None:
    rows = await read_own(
        admin,
        """SELECT proname AS name FROM pg_proc WHERE pronamespace = 'control'::regnamespace AND prosecdef
           AND has_function_privilege('zaptik_app', oid, 'EXECUTE')""",
    )
    assert {row["name"] for row in rows} == FOR_ALL.keys() | FOR_ONE.keys()


async def test_doors_open_while_no_tenant_is_named(app: Connection, pair: tuple[Reached, Reached]) -> None:
    for text in FOR_ALL.values():
        await call(app, text)
    for name, text in FOR_ONE.items():
        found = await call(app, pair[0].fill(text))
        assert len(found) == (0 if name == "claim_quarantined" else 1), name
    for name in ("claim_run", "claim_quarantined", "find_tenant"):
        assert await call(app, FOR_ONE[name].format(run=uuid4(), name="nobody")) == []


async def test_a_door_to_all_tenants_is_shut_while_one_is_named(
    app: Connection, pair: tuple[Reached, Reached]
) -> None:
    for text in FOR_ALL.values():
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=WHILE_NAMED):
            async with in_tenant_rows(app, pair[0].tenant.tenant_id):
                await call(app, text)


async def test_in_a_tenants_transaction_a_door_leads_to_that_tenant_alone(
    app: Connection, pair: tuple[Reached, Reached]
) -> None:
    """Another tenant's run and one that is not there are refused in the same words."""
    own, other = pair
    for name, text in FOR_ONE.items():
        async with in_tenant_rows(app, own.tenant.tenant_id):
            assert len(await call(app, own.fill(text))) == (0 if name == "claim_quarantined" else 1), name
        for wrong in (other.fill(text), text.format(run=uuid4(), name="nobody", tenant=uuid4())):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=OF_ANOTHER):
                async with in_tenant_rows(app, own.tenant.tenant_id):
                    await call(app, wrong)


async def test_one_statement_reaches_one_tenant(app: Connection, pair: tuple[Reached, Reached]) -> None:
    """Nothing is named; the first tenant that a door leads to is the only one until the transaction's end."""
    own, other = pair
    for first in FOR_ONE.values():
        if "quarantined" in first:
            continue  # it finds no run, and a join with nothing calls no second door
        for second in FOR_ONE.values():
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=OF_ANOTHER):
                await call(app, own.fill(first), other.fill(second))
    assert await read_own(app, "SELECT current_setting('zaptik.reached', true) AS left") == [{"left": ""}]
    assert len(await call(app, other.fill(FOR_ONE["find_tenant"]))) == 1


async def test_reaching_a_tenant_by_a_door_shows_none_of_its_rows(
    app: Connection, pair: tuple[Reached, Reached]
) -> None:
    found = await read_own(
        app,
        "SELECT r.run_id FROM control.find_tenant(%s) t LEFT JOIN control.run r ON true",
        pair[0].tenant.name,
    )
    assert found == [{"run_id": None}]


async def test_a_door_that_a_tenants_role_was_granted_by_hand_stays_shut(
    admin: Connection, pair: tuple[Reached, Reached]
) -> None:
    """Its own tenant too: inside a tenant's transaction there are `record_events` and `finish_run` alone."""
    own, _ = pair
    async with admin.transaction(force_rollback=True):
        await admin.execute(
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA control TO {own.tenant.schema_name};"
            f"SET LOCAL SESSION AUTHORIZATION zaptik_app; SET LOCAL ROLE {own.tenant.schema_name}".encode()
        )
        for text in (*FOR_ALL.values(), *FOR_ONE.values()):
            with pytest.raises(
                psycopg.errors.InsufficientPrivilege, match="not while the transaction is tenant_"
            ):
                await call(admin, own.fill(text))
