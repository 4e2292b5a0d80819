"""Credentials that are tried, refused and replaced: who runs then, with which, and what is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs.errors import CredentialsRejected, InstanceThrottled, InstanceUnreachable
from jobs.pace import Pace
from ops.simulator import Fault
from tests.integration.slice_case import CLIENT_ID, CLIENT_SECRET, Case
from worker.postgres import tenants
from worker.postgres.connection import in_tenant_rows
from worker.postgres.pace import keep_pace
from worker.postgres.tenants import Tenant
from worker.sync import seal_stored, try_credentials
from worker.vault import ClientCredentials, Keyring

pytestmark = pytest.mark.anyio
WRONG, NEW = "wrong-secret-canary", "new-secret-canary"


async def store(case: Case, secret: str) -> bool:
    """Store a secret as the next version; say whether the tenant may run."""
    tenant_id, keyring = case.tenant.tenant_id, case.parts.keyring
    assert isinstance(keyring, Keyring)
    async with in_tenant_rows(case.app, tenant_id):
        stored = seal_stored(
            keyring,
            ClientCredentials(CLIENT_ID, secret),
            tenant_id=tenant_id,
            version=await tenants.next_credential_version(case.app, tenant_id),
            wrapped_data_key=await tenants.read_data_key(case.app, tenant_id),
        )
        return await tenants.store_credentials(case.app, tenant_id, stored)


async def find(case: Case) -> Tenant:
    return await tenants.find_tenant(case.app, case.tenant.name)


async def read_audited(case: Case) -> list[dict[str, Any]]:
    cursor = await case.admin.execute(
        """SELECT action, run_id, detail FROM control.audit_events WHERE tenant_ref = %s AND action LIKE 'token.%%'
           ORDER BY audit_id""",
        [case.tenant.tenant_id],
    )
    return [dict(row) for row in await cursor.fetchall()]


async def test_credentials_are_tried_by_one_token_that_is_audited(case: Case) -> None:
    tenant = await find(case)
    await try_credentials(case.parts, case.app, tenant, ClientCredentials(CLIENT_ID, CLIENT_SECRET))
    with pytest.raises(CredentialsRejected, match="Nothing was stored for") as caught:
        await try_credentials(case.parts, case.app, tenant, ClientCredentials(CLIENT_ID, WRONG))
    assert "--no-try" not in caught.value.message, "the instance did answer"
    assert "grant_type.enabled" in caught.value.message
    assert WRONG not in caught.value.message
    assert [(row["action"], row["run_id"]) for row in await read_audited(case)] == [
        ("token.fetched", None),
        ("token.refused", None),
    ]
    assert [request["method"] for request in case.simulator.requests] == ["POST", "POST"]
    assert await tenants.read_credentials(case.app, tenant.tenant_id) is None


async def test_an_instance_that_cannot_be_asked_is_told_with_the_way_around(case: Case) -> None:
    tenant, credentials = await find(case), ClientCredentials(CLIENT_ID, CLIENT_SECRET)
    case.simulator.instance.set_faults(Fault(kind="failing", status=502, endpoint="token", times=0))
    with pytest.raises(InstanceUnreachable, match="--no-try"):
        await try_credentials(case.parts, case.app, tenant, credentials)
    asked = len(case.simulator.requests)
    pause = Pace(cooldown_seconds=600.0, window=None, at_once=None, page_rows={})
    await keep_pace(case.app, tenant.tenant_id, pace=pause, more_requests=0)
    with pytest.raises(InstanceThrottled, match="nothing was asked"):
        await try_credentials(case.parts, case.app, tenant, credentials)
    assert len(case.simulator.requests) == asked


async def test_a_refusal_pauses_the_tenant_at_once_and_other_credentials_end_that(case: Case) -> None:
    await store(case, WRONG)
    run_id = await case.request_run()
    await case.work_slice(run_id)
    run, held = await case.read_run(run_id), await find(case)
    assert (run["state"], run["error"]["code"]) == ("failed", "credentials_rejected")
    assert held.state == "paused"
    for step in (
        f"zaptik credential set {case.tenant.name}",
        f"zaptik tenant resume {case.tenant.name}",
        "grant_type.enabled",
    ):
        assert step in run["error"]["message"]
        assert step in (held.state_reason or "")
    assert case.fields("tenant.paused") == {"reason": "credentials_rejected"}
    assert (await case.read_actions(run_id))[-2:] == ["run.ended", "tenant.paused"]
    assert len(case.simulator.requests) == 1, "a refused secret is not tried again"

    assert await store(case, CLIENT_SECRET)
    assert (await find(case)).state == "active"
    again = await case.sync()
    assert again["state"] == "published"
    opened = [event.fields["version"] for event in case.events if event.kind.name == "credential.opened"]
    assert opened == [1, 2]


async def test_new_credentials_leave_a_tenant_held_that_a_person_holds(case: Case) -> None:
    tenant_id = case.tenant.tenant_id
    await tenants.change_state(case.app, tenant_id, "paused", reason=tenants.BY_A_PERSON)
    assert not await store(case, CLIENT_SECRET)
    assert (await find(case)).state == "paused"
    await tenants.change_state(case.app, tenant_id, "active", reason=None)
    assert await store(case, CLIENT_SECRET)


async def test_a_run_whose_credentials_are_replaced_in_its_midst_goes_on_with_the_new_ones(
    case: Case,
) -> None:
    await store(case, CLIENT_SECRET)
    run_id = await case.request_run()
    loop, oauth = asyncio.get_running_loop(), case.simulator.instance.oauth

    def replace() -> None:
        """Be the customer's administrator and ours, between two answers."""
        oauth.client_secret = NEW
        oauth.revoke()
        asyncio.run_coroutine_threadsafe(store(case, NEW), loop).result(30)

    await case.when("request.answered", replace).work_slice(run_id)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("requested", "credentials_replaced")
    assert (await find(case)).state == "active"
    await case.work_slice(run_id)
    assert (await case.read_run(run_id))["state"] == "published"
    assert [row["action"] for row in await read_audited(case)] == [
        "token.fetched",
        "token.refused",
        "token.fetched",
    ]


async def test_credentials_that_come_at_the_very_last_moment_leave_the_tenant_running(case: Case) -> None:
    """They are stored between the run's end and the tenant's pause."""
    await store(case, WRONG)
    run_id = await case.request_run()
    loop = asyncio.get_running_loop()

    def store_late() -> None:
        asyncio.run_coroutine_threadsafe(store(case, CLIENT_SECRET), loop).result(30)

    await case.when("run.ended", store_late).work_slice(run_id)
    assert (await case.read_run(run_id))["state"] == "failed"
    assert (await find(case)).state == "active"
    assert "tenant.paused" not in case.names()


async def test_a_worker_that_keeps_its_tokens_uses_none_of_an_earlier_version(case: Case) -> None:
    await store(case, CLIENT_SECRET)
    run_id = await case.request_run()
    await case.work_slice(run_id)
    posts = sum(request["method"] == "POST" for request in case.simulator.requests)
    await store(case, CLIENT_SECRET)
    await case.work_slice(await case.request_run())
    assert sum(request["method"] == "POST" for request in case.simulator.requests) == posts + 1
