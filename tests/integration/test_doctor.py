"""Examining an instance: every table tried, each lack named, everything asked audited, and nothing else touched."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from jobs.errors import KeyMissing
from jobs.examination import Examined
from jobs.pace import Pace
from jobs.surface import read_surface
from ops.simulator import Fault
from ops.simulator.access import Access
from tests.integration.slice_case import Case
from worker.postgres import tenants
from worker.postgres.pace import keep_pace, read_pace
from worker.sync import Examination, examine_tenant
from worker.vault import new_keyring

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, LINKS, QUEUES = "sys_user_group", "sc_cat_item", "sc_cat_item_category", "awa_queue"
SURFACE = read_surface()
DISCOVERED = {"dl_u_assignment", "dl_u_priority"}


async def examine(case: Case, *, stored: bool = True, **changed: object) -> Examination:
    if stored:
        await case.store_credentials()
    settings = case.parts.settings.model_copy(update=changed)
    parts = dataclasses.replace(case.parts, settings=settings)
    tenant = await tenants.find_tenant(case.app, case.tenant.name)
    told: list[Examined] = []
    found = await examine_tenant(parts, case.app, tenant, tell=told.append)
    assert tuple(told) == found.tables
    return found


def verdicts(found: Examination) -> dict[str, str]:
    return {table.table: table.verdict for table in found.tables}


async def read_audited(case: Case) -> list[dict[str, Any]]:
    cursor = await case.admin.execute(
        "SELECT action, run_id, detail FROM control.audit_events WHERE tenant_ref = %s ORDER BY audit_id",
        [case.tenant.tenant_id],
    )
    return [dict(row) for row in await cursor.fetchall()]


async def test_an_account_that_may_read_everything_lacks_nothing(case: Case) -> None:
    found = await examine(case)
    assert set(verdicts(found)) >= SURFACE.tables.keys() | DISCOVERED
    assert set(verdicts(found).values()) == {"complete"}
    assert found.is_fine
    assert (found.honesty.range, found.honesty.times) == ("holds", "utc")
    codes = [warning.partition(":")[0] for warning in found.warnings]
    assert codes == ["account_could_write", "unknown_field_dropped"]


async def test_every_request_of_an_examination_is_audited_and_none_belongs_to_a_run(case: Case) -> None:
    await examine(case)
    audited = await read_audited(case)
    asked = [row for row in audited if row["action"] in {"request.answered", "token.fetched"}]
    assert len(asked) == len(case.simulator.requests)
    assert {row["run_id"] for row in audited} == {None}
    assert audited[-1]["action"] == "doctor.ended"
    assert audited[-1]["detail"]["ok"] is True
    assert "credential.opened" in {row["action"] for row in audited}
    assert {request["method"] for request in case.simulator.requests if request["table"]} == {"GET"}
    assert case.simulator.instance.touches == {}
    assert "CANARY" not in repr(audited)


async def test_each_lack_is_named_with_its_grant_and_what_it_would_show(case: Case) -> None:
    access = case.simulator.instance.access
    access[GROUPS] = Access(hidden=frozenset({min(row["sys_id"] for row in case.rows(GROUPS))}))
    access[ITEMS] = Access(fields_hidden=frozenset({"group"}))
    access[LINKS] = Access(denied=True)
    access[QUEUES] = Access(absent=True)
    access["sc_category"] = Access(strip_range=True)
    found = await examine(case, page_rows=200)
    by_name = {table.table: table for table in found.tables}
    assert by_name[GROUPS].verdict == "hidden"
    assert "1 of the 45 rows" in (by_name[GROUPS].reason or "")
    assert (by_name[ITEMS].verdict, by_name[ITEMS].grant) == ("partial", SURFACE.tables[ITEMS].role)
    assert "group" in (by_name[ITEMS].reason or "")
    assert "FULFILLED_BY" in by_name[ITEMS].unblinds
    assert (by_name[LINKS].verdict, by_name[LINKS].unblinds) == ("denied", ("IN_CATEGORY",))
    assert (by_name[QUEUES].verdict, by_name[QUEUES].is_fine) == ("absent", True)
    assert "com.glide.awa" in (by_name[QUEUES].grant or "")
    assert by_name["sc_category"].verdict == "failed"
    assert "query_range" in (by_name["sc_category"].reason or "")
    assert not found.is_fine
    assert found.error is None


async def test_without_credentials_nothing_is_asked(case: Case) -> None:
    found = await examine(case, stored=False)
    assert found.error is not None
    assert found.error["code"] == "credentials_missing"
    assert (found.tables, list(case.simulator.requests)) == ((), [])


async def test_refused_credentials_are_told_and_pause_nothing(case: Case) -> None:
    case.simulator.instance.oauth.client_secret = "another"
    found = await examine(case)
    assert found.error is not None
    assert found.error["code"] == "credentials_rejected"
    assert found.tables == ()
    actions = [row["action"] for row in await read_audited(case)]
    assert actions[-3:] == ["credential.opened", "token.refused", "doctor.ended"]


async def test_an_instance_that_is_away_is_told(case: Case) -> None:
    await case.admin.execute(
        "UPDATE control.tenant SET url = 'https://127.0.0.1:1' WHERE tenant_id = %s", [case.tenant.tenant_id]
    )
    found = await examine(case, instance_hosts=("127.0.0.1:1",))
    assert found.error is not None
    assert found.error["code"] == "instance_unreachable"


async def test_a_key_that_is_not_here_is_the_deployments_fault(case: Case) -> None:
    await case.store_credentials(keyring=new_keyring())
    with pytest.raises(KeyMissing):
        await examine(case, stored=False)
    assert list(case.simulator.requests) == []


async def test_while_the_instance_wants_a_pause_nothing_is_asked(case: Case) -> None:
    """R15: what one slice was told holds for the command too."""
    await case.store_credentials()
    case.simulator.instance.set_faults(Fault(kind="throttled", retry_after="90", table=GROUPS))
    await case.work_slice(await case.request_run(), instance_concurrency=1)
    asked = len(case.simulator.requests)
    found = await examine(case, stored=False)
    assert found.error is not None
    assert found.error["code"] == "instance_throttled"
    assert "nothing was asked" in found.error["message"]
    assert len(case.simulator.requests) == asked


async def test_a_pause_in_the_middle_ends_the_asking_and_holds_for_runs(case: Case) -> None:
    case.simulator.instance.set_faults(Fault(kind="throttled", retry_after="90", table="sc_category"))
    found = await examine(case)
    by_verdict = verdicts(found)
    assert by_verdict[GROUPS] == "complete"
    assert by_verdict["sc_category"] == by_verdict["sys_properties"] == "unknown"
    assert by_verdict.keys() == SURFACE.tables.keys()
    assert (found.error, found.is_fine) == (None, False)
    asked = len(case.simulator.requests)
    run_id = await case.request_run()
    await case.work_slice(run_id)
    assert len(case.simulator.requests) == asked
    run = await case.read_run(run_id)
    assert run["error"]["code"] == "instance_throttled"


async def test_an_examination_leaves_a_runs_sizes_as_they_were(case: Case) -> None:
    small = Pace(at_once=2, page_rows={GROUPS: 50})
    await keep_pace(case.app, case.tenant.tenant_id, small, more_requests=0)
    case.simulator.instance.set_faults(Fault(kind="rate_told", times=0, limit=10_000))
    await examine(case)
    pace = await read_pace(case.app, case.tenant.tenant_id)
    assert (pace.at_once, pace.page_rows) == (2, {GROUPS: 50})
    assert pace.window is not None
    assert pace.window.used_requests == len(case.simulator.requests) - 1


async def test_a_run_under_way_and_an_examination_do_not_disturb_each_other(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    working = asyncio.create_task(case.work_slice(run_id))
    found = await examine(case, stored=False)
    await working
    assert found.is_fine
    run = await case.read_run(run_id)
    assert run["state"] == "published"
    ours = [row for row in await read_audited(case) if row["run_id"] is None]
    of_run = [name for name in await case.read_actions(run_id) if name.startswith(("request.", "token."))]
    others = [row for row in ours if row["action"].startswith(("request.", "token."))]
    assert len(of_run) + len(others) == len(case.simulator.requests)
