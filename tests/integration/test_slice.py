"""One slice in this process, against a simulated instance and the real database: each way in which it can end."""

from __future__ import annotations

import asyncio
import dataclasses
from uuid import UUID

import pytest

from jobs.errors import InstanceUnreachable
from jobs.events import Event
from ops.local.processes import wait_until
from ops.simulator.access import Access
from tests.integration.slice_case import Case, is_canary
from worker.postgres import tenants
from worker.vault import new_keyring

pytestmark = pytest.mark.anyio
GROUPS = "sys_user_group"


async def test_a_slice_reads_everything_and_publishes(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    assert (run["state"], run["revision"], run["mode"]) == ("published", 1, "full")
    assert {table["verdict"] for table in run["tables"]} == {"complete"}
    assert run["requests"] == len(case.simulator.requests)
    assert case.fields("run.ended")["requests"] == len(case.simulator.requests)
    actions = await case.read_actions(run_id)
    asked = [
        action for action in actions if action in {"request.answered", "request.failed", "token.fetched"}
    ]
    assert len(asked) == len(case.simulator.requests)
    assert actions[:3] == ["run.requested", "run.claimed", "credential.opened"]
    assert actions[-1] == "run.ended"


async def test_nothing_that_must_not_be_read_is_in_the_database(case: Case) -> None:
    await case.store_credentials()
    await case.work_slice(await case.request_run())
    cursor = await case.admin.execute(
        f"""SELECT count(*) AS nodes, count(*) FILTER (WHERE n::text LIKE '%CANARY%') AS canaries
            FROM {case.tenant.schema_name}.node n"""  # noqa: S608  our own schema's name
    )
    found = await cursor.fetchone()
    assert found is not None
    assert found["nodes"] > 45
    assert found["canaries"] == 0
    cursor = await case.admin.execute(
        "SELECT count(*) AS canaries FROM control.audit_events e WHERE e::text LIKE '%CANARY%'"
    )
    assert await cursor.fetchone() == {"canaries": 0}


async def test_a_late_doorbell_does_nothing(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    await case.work_slice(run_id)
    asked, said = len(case.simulator.requests), len(case.events)
    await case.work_slice(run_id)
    await case.work_slice(UUID(int=7))
    assert (len(case.simulator.requests), len(case.events)) == (asked, said)


async def test_a_slice_that_must_stop_leaves_its_pages_for_the_next(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    await case.work_slice(run_id, slice_seconds=0.001, instance_concurrency=1)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]) == ("requested", None)
    assert case.names()[-1] == "run.yielded"
    slices = 1
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id)
        slices += 1
    run = await case.read_run(run_id)
    assert run["state"] == "published"
    assert run["requests"] == len(case.simulator.requests)
    assert slices > 1


async def test_a_table_that_fails_is_that_tables_verdict_alone(case: Case) -> None:
    await case.store_credentials()
    # A query ACL: order and bound are dropped.
    case.simulator.instance.access[GROUPS] = Access(strip_range=True)
    case.simulator.instance.access["sc_catalog"] = Access(absent=True)
    run_id = await case.request_run()
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    verdicts = {table["table_name"]: table["verdict"] for table in run["tables"]}
    assert run["state"] == "published"
    assert (verdicts.pop(GROUPS), verdicts.pop("sc_catalog")) == ("failed", "absent")
    assert set(verdicts.values()) == {"complete"}


async def test_hidden_rows_are_passed_by_however_many_slices_it_takes(case: Case) -> None:
    await case.store_credentials()
    rows = sorted(row["sys_id"] for row in case.simulator.store.rows(GROUPS))
    case.simulator.instance.access[GROUPS] = Access(hidden=frozenset(rows[:-1]))  # all before the last
    run_id = await case.request_run()
    surface = case.parts.surface
    alone = dataclasses.replace(surface, tables={GROUPS: surface.tables[GROUPS]})
    case = dataclasses.replace(case, parts=dataclasses.replace(case.parts, surface=alone))
    offsets: list[int] = []
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id, slice_seconds=0.001, page_rows=1, instance_concurrency=1)
        run = await case.read_run(run_id)
        offsets += [read["offset"] for read in run["tables"] if read["table_name"] == GROUPS]
    [read] = [read for read in (await case.read_run(run_id))["tables"] if read["table_name"] == GROUPS]
    assert (read["verdict"], read["rows"], read["hidden"]) == ("hidden", 1, len(rows) - 1)
    assert max(offsets) > 0
    asked = [r for r in case.simulator.requests if r["table"] == GROUPS and not is_canary(r)]
    assert len(asked) <= len(rows) + 3  # each window once


async def test_no_page_of_a_table_is_asked_for_before_the_last_one_is_committed(case: Case) -> None:
    """B1: however slow the database, of a worker that is killed one page of a table is asked for again."""
    await case.store_credentials()
    run_id = await case.request_run()
    surface = case.parts.surface
    alone = dataclasses.replace(surface, tables={GROUPS: surface.tables[GROUPS]}, discovery=None)
    case = dataclasses.replace(case, parts=dataclasses.replace(case.parts, surface=alone))
    case.simulator.instance.latency_seconds = 0.1
    staged = f"{case.tenant.schema_name}.staged_page"

    def count_pages() -> int:
        asked = [r for r in case.simulator.requests if r["table"] == GROUPS and not is_canary(r)]
        return sum("sysparm_limit" in r["query"] for r in asked)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(case.work_slice(run_id, page_rows=1))
        await asyncio.to_thread(wait_until, lambda: count_pages() > 1, deadline_seconds=30)
        async with case.admin.transaction():
            await case.admin.execute(f"LOCK TABLE {staged} IN SHARE MODE")
            await asyncio.sleep(1)  # in which a reader that does not wait asks for more
            [kept] = await (await case.admin.execute(f"SELECT count(*) AS pages FROM {staged}")).fetchall()  # noqa: S608  our own name
            assert count_pages() == kept["pages"] + 1
    assert (await case.read_run(run_id))["state"] == "published"


async def test_an_instance_that_gives_rows_without_end_fails_that_table(case: Case) -> None:
    await case.store_credentials()
    store = case.simulator.store

    def grow(event: Event) -> None:
        """Put a page more behind each page that is read."""
        case.events.append(event)
        if event.kind.name == "request.answered" and event.fields["table"] == GROUPS:
            highest = max(row["sys_id"] for row in store.rows(GROUPS))
            following = (f"{int(highest, 16) + step:032x}" for step in range(1, 11))
            store.put(GROUPS, [{"sys_id": sys_id, "name": "more"} for sys_id in following])

    growing = dataclasses.replace(case, parts=dataclasses.replace(case.parts, emit=grow))
    run_id = await case.request_run()
    await growing.work_slice(run_id)
    [read] = [read for read in (await case.read_run(run_id))["tables"] if read["table_name"] == GROUPS]
    assert read["verdict"] == "failed"
    assert "more rows" in read["reason"]


async def test_a_slow_instance_ends_the_slice_and_not_the_run(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    case.simulator.instance.latency_seconds = 0.3
    await case.work_slice(run_id, slice_seconds=0.1, request_timeout_seconds=0.1)
    assert (await case.read_run(run_id))["state"] == "requested"
    case.simulator.instance.latency_seconds = 0
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id)
    assert (await case.read_run(run_id))["state"] == "published"
    told = [name for name in case.names() if name.startswith(("request.", "token."))]
    recorded = [name for name in await case.read_actions(run_id) if name.startswith(("request.", "token."))]
    assert sorted(recorded) == sorted(told)


async def test_missing_credentials_pause_the_tenant_and_say_what_to_do(case: Case) -> None:
    run_id = await case.request_run()
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("failed", "credentials_missing")
    assert "zaptik credential set" in run["error"]["message"]
    tenant = await tenants.find_tenant(case.app, case.tenant.name)
    assert (tenant.state, tenant.state_reason) == ("paused", run["error"]["message"])
    assert (await case.read_actions(run_id))[-2:] == ["run.ended", "tenant.paused"]


async def test_a_key_that_is_not_here_fails_the_slice_and_asks_no_instance(case: Case) -> None:
    await case.store_credentials(keyring=new_keyring())
    run_id = await case.request_run()
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    # Tried again: a key can be put back.
    assert (run["state"], run["error"]["code"]) == (
        "requested",
        "key_missing",
    )
    assert case.simulator.requests == []


async def test_an_instance_that_is_away_is_tried_again_and_given_up_at_last(case: Case) -> None:
    await case.store_credentials()
    nobody = "https://127.0.0.1:1"
    await case.admin.execute(
        "UPDATE control.tenant SET url = %s WHERE tenant_id = %s", [nobody, case.tenant.tenant_id]
    )
    run_id = await case.request_run()
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id, instance_hosts=("127.0.0.1:1",), max_attempts=3)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("failed", InstanceUnreachable.code)
    retried = [event for event in case.events if event.kind.name == "run.retried"]
    assert len(retried) == 2
    assert case.names()[-1] == "run.ended"


async def test_a_defect_of_ours_is_told_without_its_text_and_tried_again(case: Case) -> None:
    await case.store_credentials()

    def emit(event: Event) -> None:
        case.events.append(event)
        if event.kind.name == "table.judged":
            raise KeyError("a customer's value")

    run_id = await case.request_run()
    buggy = dataclasses.replace(case, parts=dataclasses.replace(case.parts, emit=emit))
    await buggy.work_slice(run_id)
    run = await case.read_run(run_id)
    assert (run["state"], run["error"]["code"]) == ("requested", "unforeseen")
    unforeseen = case.fields("failure.unforeseen")
    assert unforeseen["error"] == "KeyError"
    assert any("worker/sync/crawl.py" in frame for frame in unforeseen["frames"])
    assert "a customer's value" not in repr((unforeseen, run["error"]))


async def test_a_lease_that_is_taken_away_fences_the_slice(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    case.simulator.instance.latency_seconds = 0.05
    working = asyncio.create_task(case.work_slice(run_id))
    await asyncio.to_thread(wait_until, lambda: "request.answered" in case.names(), deadline_seconds=30)
    await case.admin.execute("UPDATE control.run SET fence = fence + 1 WHERE run_id = %s", [run_id])
    await working
    assert case.names()[-1] == "run.fenced"
    run = await case.read_run(run_id)
    assert run["state"] == "running"  # as whoever took it left it
    assert run["revision"] is None
    assert "run.fenced" in await case.read_actions(run_id)
