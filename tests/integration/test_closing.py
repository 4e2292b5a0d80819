"""What changes while a long run reads is read before the run ends, once; and what does not add up changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ops.simulator.access import Access
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import asked_of, check_like_whole, start, ways_of
from worker.postgres import rereading, runs, tenants
from worker.postgres.quarantine import read_revisions

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, LINKS, RULES = "sys_user_group", "sc_cat_item", "sc_cat_item_category", "sysrule_assignment"
LAST = "u_dl_site"  # discovered, and so read after the tables above


async def begin(case: Case, *, mode: str = "delta") -> UUID:
    """Read in one slice until the surface's tables have their verdicts."""
    if await tenants.read_credentials(case.app, case.tenant.tenant_id) is None:
        await case.store_credentials()
    run_id = await case.request_run(mode=mode)
    stopping = case.when("request.answered", case.parts.draining.set, table=LAST)
    await stopping.work_slice(run_id)
    case.parts.draining.clear()
    assert (await case.read_run(run_id))["state"] == "requested"
    return run_id


async def finish(case: Case, run_id: UUID) -> dict[str, Any]:
    while (run := await case.read_run(run_id))["state"] in {"requested", "running"}:
        await case.work_slice(run_id)
    return run


def as_of(run: dict[str, Any], table: str) -> object:
    [found] = [row for row in run["tables"] if row["table_name"] == table]
    return found["as_of"]


def rename(case: Case, sys_id: str, name: str) -> None:
    case.simulator.instance.store.put(GROUPS, [{"sys_id": sys_id, "name": name}])


async def names(case: Case) -> dict[str, str]:
    nodes, _ = await case.read_graph()
    return {node.sys_id: node.name for node in nodes.values() if node.table == GROUPS}


async def test_what_changed_since_an_earlier_slice_read_its_table_is_in_the_revision(case: Case) -> None:
    run_id = await begin(case)
    before = as_of(await case.read_run(run_id), GROUPS)
    [first, *_] = case.rows(GROUPS)
    rename(case, first["sys_id"], "Renamed meanwhile")
    rename(case, "f" * 32, "Founded meanwhile")
    [link, *_] = case.rows(LINKS)
    ends = {end: link[end] for end in ("sc_cat_item", "sc_category")}
    case.simulator.instance.store.put(LINKS, [{**ends, "sys_id": "e" * 32}])
    rule = next(row["sys_id"] for row in case.rows(RULES) if not row["script"])
    case.simulator.instance.store.put(RULES, [{"sys_id": rule, "script": "gs.info('CANARY');"}])
    asked = len(case.simulator.requests)
    run = await finish(case, run_id)
    assert {row["verdict"] for row in run["tables"]} == {"complete"}
    found = await names(case)
    assert (found[first["sys_id"]], found["f" * 32]) == ("Renamed meanwhile", "Founded meanwhile")
    nodes, edges = await case.read_graph()
    assert nodes[f"{RULES}:{rule}"].attributes["opaque"] == "true"
    assert "e" * 32 in {edge.source.sys_id for edge in edges}
    assert as_of(run, GROUPS) > before  # type: ignore[operator]
    paths = [request["path"].split("/")[3] for request in asked_of(case, asked, table=GROUPS)]
    assert paths == ["stats", "table"]
    assert run["requests"] == len(case.simulator.requests)
    await check_like_whole(case)


async def test_what_a_record_says_no_more_is_not_in_the_revision_beside_what_it_says(case: Case) -> None:
    """Both readings of a run are staged: of a record that was read twice the later one counts alone."""
    run_id = await begin(case)
    item = next(row["sys_id"] for row in case.rows(ITEMS) if row["group"] and row["sys_class_name"] == ITEMS)
    link = case.rows(LINKS)[0]["sys_id"]
    group, category = case.rows(GROUPS)[-1]["sys_id"], case.rows("sc_category")[-1]["sys_id"]
    case.simulator.instance.store.put(ITEMS, [{"sys_id": item, "group": group}])
    case.simulator.instance.store.put(LINKS, [{"sys_id": link, "sc_category": category}])
    await finish(case, run_id)
    _, edges = await case.read_graph()
    fulfils = [e.to_id for e in edges if (e.kind, e.source.sys_id) == ("FULFILLED_BY", item)]
    assert fulfils == [f"{GROUPS}:{group}"]
    assert [edge.to_id for edge in edges if edge.source.sys_id == link] == [f"sc_category:{category}"]
    await check_like_whole(case)


async def test_a_table_that_stands_is_asked_after_once_and_keeps_its_time(case: Case) -> None:
    run_id = await begin(case)
    before = await case.read_run(run_id)
    asked = len(case.simulator.requests)
    run = await finish(case, run_id)
    assert [r["path"] for r in asked_of(case, asked, table=GROUPS)] == [f"/api/now/stats/{GROUPS}"]
    assert as_of(run, GROUPS) == as_of(before, GROUPS)
    [revision] = await read_revisions(case.app, case.tenant)
    assert revision["as_of"] > as_of(before, GROUPS), "it was asked after since"
    asked = len(case.simulator.requests)
    assert (await case.sync())["state"] == "unchanged"
    assert len(asked_of(case, asked, table=GROUPS)) == 1, "a short run asks nothing further"


async def test_a_deletion_meanwhile_takes_nothing_and_moves_no_time(case: Case) -> None:
    """On what does not add up nothing leaves: the next run looks the record up."""
    run_id = await begin(case)
    before = as_of(await case.read_run(run_id), GROUPS)
    gone, renamed, *_ = (row["sys_id"] for row in case.rows(GROUPS))
    case.simulator.instance.store.delete(GROUPS, gone)
    rename(case, renamed, "Renamed meanwhile")
    run = await finish(case, run_id)
    assert (verdict_of(run, GROUPS), as_of(run, GROUPS)) == (("complete", 0), before)
    assert gone in await names(case)
    run = await case.sync()
    assert verdict_of(run, GROUPS) == ("complete", 0)
    assert gone not in await names(case)
    await check_like_whole(case)


async def test_a_table_that_is_refused_meanwhile_keeps_what_was_read_of_it(case: Case) -> None:
    run_id = await begin(case)
    before = as_of(await case.read_run(run_id), GROUPS)
    case.simulator.instance.access[GROUPS] = Access(denied=True)
    run = await finish(case, run_id)
    assert (run["state"], verdict_of(run, GROUPS)) == ("published", ("complete", 0))
    assert as_of(run, GROUPS) == before
    assert len(await names(case)) == len(case.rows(GROUPS))


async def test_a_skipped_table_that_changes_meanwhile_is_read_as_a_delta(case: Case) -> None:
    await start(case)
    await case.sync()
    case.simulator.instance.store.put(LAST, [{"sys_id": case.rows(LAST)[0]["sys_id"], "u_site": "Elsewhere"}])
    run_id = await begin(case)
    assert ways_of(await case.read_run(run_id))[GROUPS] == "skipped"
    [first, *_] = case.rows(GROUPS)
    rename(case, first["sys_id"], "Renamed meanwhile")
    run = await finish(case, run_id)
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("delta", ("complete", 0))
    assert (await names(case))[first["sys_id"]] == "Renamed meanwhile"
    await check_like_whole(case)


async def test_an_instance_that_never_stands_still_is_asked_after_once_in_a_run(case: Case) -> None:
    """Whatever changes between slices, the run ends, and each table was asked after once."""
    run_id = await begin(case)
    asked = len(case.simulator.requests)
    [first, *_] = case.rows(GROUPS)
    slices = 0
    while (await case.read_run(run_id))["state"] in {"requested", "running"}:
        rename(case, first["sys_id"], f"renamed {slices}")
        stopping = case.when("request.answered", case.parts.draining.set, table=GROUPS)
        await stopping.work_slice(run_id, instance_concurrency=1)
        case.parts.draining.clear()
        slices += 1
        assert slices < 60
    about = [r["path"] for r in asked_of(case, asked, table=GROUPS)]
    assert about == [f"/api/now/stats/{GROUPS}"], "its slice had to end, and no other asks again"
    run = await case.read_run(run_id)
    assert verdict_of(run, GROUPS) == ("complete", 0)
    await case.sync()
    assert (await names(case))[first["sys_id"]].startswith("renamed")
    await check_like_whole(case)


async def test_a_table_that_was_read_longer_ago_than_clocks_differ_is_asked_after_too(case: Case) -> None:
    run_id = await begin(case)
    claimed = await runs.claim_run(case.app, run_id, worker="another", lease_seconds=60)
    assert claimed is not None
    for overlap, expected in ((timedelta(0), True), (timedelta(hours=1), False)):
        found = await rereading.read_closable(case.app, claimed, earlier=[], overlap=overlap)
        assert (GROUPS in found) == expected
    assert GROUPS in await rereading.read_closable(
        case.app, claimed, earlier=[GROUPS], overlap=timedelta(hours=1)
    )
