"""A written request stops its tenant at once and for good, until somebody who may calls it off."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from jobs.errors import LeaseLost, UnknownTenant
from jobs.guard import Guard
from jobs.leaving import InvalidReference, TenantLeaves, TenantStays
from jobs.surface import read_surface
from tests.conftest import Deployment
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    GROUP,
    claim_fresh_run,
    node,
    publish,
    publish_tables,
    read_own,
    stage_table,
)
from worker.command import main
from worker.fleet.scheduler import read_figures
from worker.postgres import quarantine, retention, runs
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.offboarding import (
    Offboarding,
    cancel_offboarding,
    find_offboarding,
    read_offboardings,
    request_offboarding,
)
from worker.postgres.tenants import StoredCredentials, Tenant, change_state, find_tenant, store_credentials

pytestmark = pytest.mark.anyio
STORED = StoredCredentials(1, b"sealed", "a key", b"wrapped")


async def leave(admin: Connection, tenant: Tenant, **given: Any) -> Offboarding:
    return await request_offboarding(admin, tenant.name, reference="REQ-7", **given)


async def read_actions(admin: Connection, tenant: Tenant) -> list[str]:
    query = "SELECT action FROM control.audit_events WHERE tenant_ref = %s ORDER BY audit_id"
    return [row["action"] for row in await read_own(admin, query, tenant.tenant_id)]


@pytest.mark.usefixtures("slots")
async def test_a_request_is_recorded_with_its_date_and_nothing_runs_from_then_on(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    live = await claim_fresh_run(app, tenant)
    await runs.request_sync(app, tenant.name, mode="full")
    leaving = await leave(admin, tenant)
    assert leaving.due_at - leaving.requested_at == timedelta(days=30)
    assert abs(datetime.now(UTC) - leaving.requested_at) < timedelta(minutes=1)
    assert (await find_tenant(app, tenant.name)).state == "offboarding"
    assert await read_own(admin, "SELECT state FROM control.run WHERE run_id = %s", live.run_id) == [
        {"state": "cancelled"}
    ]
    with pytest.raises(LeaseLost):
        await stage_table(app, live, GROUP, [node(GROUP, 1)])
    await admin.execute(
        "UPDATE control.tenant SET next_due_at = now() WHERE tenant_id = %s", [tenant.tenant_id]
    )
    done = await runs.plan_round(app, max_attempts=5, again_after_seconds=30)
    assert tenant.tenant_id not in {run.tenant_id for run in (*done.asked, *done.due)}
    waiting = "SELECT run_id FROM control.run WHERE tenant_id = %s AND state IN ('requested', 'running')"
    assert await read_own(admin, waiting, tenant.tenant_id) == []
    assert (await read_actions(admin, tenant))[-2:] == ["offboarding.requested", "run.ended"]


async def test_the_same_request_again_changes_nothing_and_another_is_refused(
    admin: Connection, tenant: Tenant
) -> None:
    first = await leave(admin, tenant)
    assert await leave(admin, tenant) == first
    assert (await read_actions(admin, tenant)).count("offboarding.requested") == 1
    with pytest.raises(TenantLeaves, match="under another reference, 'REQ-7'"):
        await request_offboarding(admin, tenant.name, reference="REQ-8")
    assert await find_offboarding(admin, tenant.name) == first


async def test_a_request_needs_a_tenant_and_a_reference_that_may_stay(
    admin: Connection, tenant: Tenant
) -> None:
    with pytest.raises(UnknownTenant):
        await request_offboarding(admin, "nobody-of-that-name", reference="REQ-7")
    for reference in ("", f"letter about {tenant.name}", tenant.url):
        with pytest.raises(InvalidReference):
            await request_offboarding(admin, tenant.name, reference=reference)
    with pytest.raises(TenantStays, match="--reference"):
        await find_offboarding(admin, tenant.name)
    assert "offboarding.requested" not in await read_actions(admin, tenant)


@pytest.mark.parametrize("before", ["active", "paused", "awaiting_credentials"])
async def test_called_off_a_tenant_goes_on_as_it_was(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant, before: str
) -> None:
    tenant = await add_fresh_tenant(state=before)
    await leave(admin, tenant)
    stays = await cancel_offboarding(admin, tenant.name)
    assert (stays.state, stays.state_reason) == (before, None)
    assert [one for one in await read_offboardings(app) if one.tenant == tenant.name] == []
    assert (await read_actions(admin, tenant))[-1] == "offboarding.cancelled"
    with pytest.raises(TenantStays, match="Nobody asked"):
        await cancel_offboarding(admin, tenant.name)
    again = await request_offboarding(admin, tenant.name, reference="REQ-8")
    assert again.reference == "REQ-8"


async def test_once_begun_there_is_no_way_back(admin: Connection, tenant: Tenant) -> None:
    await leave(admin, tenant)
    await admin.execute(
        "UPDATE control.offboarding SET begun_at = now() WHERE tenant_id = %s", [tenant.tenant_id]
    )
    with pytest.raises(TenantStays, match="or it has begun"):
        await cancel_offboarding(admin, tenant.name)
    assert (await find_tenant(admin, tenant.name)).state == "offboarding"


async def test_the_apps_login_neither_begins_nor_ends_it(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    async def set_state(state: str) -> None:
        async with in_tenant_rows(app, tenant.tenant_id):
            await app.execute(
                "UPDATE control.tenant SET state = %s WHERE tenant_id = %s", [state, tenant.tenant_id]
            )

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the administrator's"):
        await set_state("offboarding")
    await leave(admin, tenant)
    for state in ("active", "paused", "awaiting_credentials"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the administrator's"):
            await set_state(state)
        # A worker's late word on refused credentials.
        await change_state(app, tenant.tenant_id, state, reason=None)
    with pytest.raises(TenantLeaves):
        async with in_tenant_rows(app, tenant.tenant_id):
            await store_credentials(app, tenant.tenant_id, STORED)
    assert (await find_tenant(app, tenant.name)).state == "offboarding"
    for statement in ("SELECT * FROM control.offboarding", "DELETE FROM control.offboarding"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute(statement.encode())


async def test_a_revision_that_waits_is_accepted_no_more(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    groups = [node(GROUP, number) for number in range(10)]
    await publish_tables(app, tenant, {GROUP: (groups, [])})
    held = await claim_fresh_run(app, tenant)
    await stage_table(app, held, GROUP, groups[:5])
    await publish(app, held, closing=(GROUP,), guard=Guard(removed_rows=2, removed_share=0.2))
    await leave(admin, tenant)
    leaving = await find_tenant(app, tenant.name)
    with pytest.raises(TenantLeaves):
        await quarantine.accept_revision(
            app, leaving, None, surface=read_surface(), worker="this test", lease_seconds=60
        )
    assert await runs.claim_quarantined(app, held.run_id, worker="w", lease_seconds=60) is None


async def test_the_date_cannot_be_put_off(admin: Connection, tenant: Tenant) -> None:
    await leave(admin, tenant)
    with pytest.raises(psycopg.errors.CheckViolation, match="offboarding_within_thirty_days"):
        await admin.execute(
            "UPDATE control.offboarding SET due_at = due_at + interval '1 second' WHERE tenant_id = %s",
            [tenant.tenant_id],
        )


async def test_how_near_it_is_is_a_figure_of_the_fleet_and_retention_leaves_it_alone(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant
) -> None:
    now = datetime.now(UTC)
    before = (await read_figures(app)).offboardings
    leaving = []
    for days in (1, 24, 28, 31):
        tenant = await add_fresh_tenant()
        leaving.append(tenant.tenant_id)
        await leave(admin, tenant, at=now - timedelta(days=days))
    after = (await read_figures(app)).offboardings
    standings = ("waiting", "ready", "near", "overdue")
    assert [after.get(name, 0) - before.get(name, 0) for name in standings] == [1, 1, 1, 1]
    assert {tenant.tenant_id for tenant in await retention.list_tenants(app)} & set(leaving) == set()


@pytest.fixture
def call(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> Any:
    """Give a call of the command in this process: its exit code and what it printed."""
    monkeypatch.setenv("ZAPTIK_DATABASE_URL", deployment.app_url)
    monkeypatch.setenv("ZAPTIK_ADMIN_DATABASE_URL", deployment.admin_url)
    keyring = tmp_path / "keyring.json"
    assert main(["keys", "generate", "--into", str(keyring), "--json"]) == 0
    monkeypatch.setenv("ZAPTIK_KEYRING_FILE", str(keyring))
    capsys.readouterr()

    async def called(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


async def test_the_command_shows_the_date_wherever_the_tenant_is_shown(call: Any, tenant: Tenant) -> None:
    code, out, _ = await call("tenant", "offboard", tenant.name, "--reference", "REQ-7", "--json")
    said = json.loads(out)
    assert (code, said["state"], said["standing"], said["certificate"]) == (0, "offboarding", "waiting", None)
    due = said["due_at"]
    listed = json.loads((await call("tenant", "list", "--json"))[1])["tenants"]
    assert [(row["state"], row["due_at"]) for row in listed if row["tenant"] == tenant.name] == [
        ("offboarding", due)
    ]
    shown = json.loads((await call("status", "--json"))[1])["tenants"]
    assert [row["due_at"] for row in shown if row["tenant"] == tenant.name] == [due]
    assert f"{tenant.name}: leaves: it must be deleted by {due}" in (await call("status"))[1]
    assert due in (await call("tenant", "list"))[1]
    code, out, _ = await call("tenant", "offboard", tenant.name, "--cancel", "--json")
    assert (code, json.loads(out)["state"]) == (0, "active")


async def test_no_command_does_anything_more_for_a_tenant_that_leaves(
    call: Any, admin: Connection, tenant: Tenant
) -> None:
    await leave(admin, tenant)
    before = await read_actions(admin, tenant)
    for words in (
        ("sync", tenant.name), ("tenant", "resume", tenant.name), ("tenant", "pause", tenant.name),
    ):  # fmt: skip
        code, out, _ = await call(*words, "--json")
        assert (code, json.loads(out)["error"]["code"]) == (2, "tenant_leaves"), words
    assert await read_actions(admin, tenant) == before


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["NAME", "--due"],
        ["--due", "--now"],
        ["--due", "--reference", "R"],
        ["NAME", "--cancel", "--now"],
        ["NAME", "--cancel", "--reference", "R"],
        ["NAME", "--reference", "R", "--certificate", "f"],
        ["NAME", "--certificates", "f"],
    ],
)
async def test_words_that_do_not_go_together_do_nothing(call: Any, tenant: Tenant, words: list[str]) -> None:
    given = [tenant.name if word == "NAME" else word for word in words]
    code, out, _ = await call("tenant", "offboard", *given, "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "wrong_arguments")
