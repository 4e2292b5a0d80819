"""Links are read less of, and never skipped: their keys are read in every run, and what differs is fetched."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.surface import read_surface
from ops.simulator import Fault
from ops.simulator.access import Access
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import asked_of, check_like_whole, start, ways_of
from worker.postgres.quarantine import read_revisions

pytestmark = pytest.mark.anyio
LINKS, PRIORITIES, ITEMS = "sc_cat_item_category", "awa_group_queue_priority", "sc_cat_item"
LINK_TABLES = [table.name for table in read_surface().tables.values() if table.link]
KEYS = "sys_id,sys_mod_count,sys_updated_on"


def asked_fields(case: Case, since: int, table: str) -> list[str]:
    """Give the fields of each request for rows of a table."""
    return [
        r["query"]["sysparm_fields"] for r in asked_of(case, since, table=table) if "/table/" in r["path"]
    ]


async def links_of(case: Case, table: str) -> dict[str, Any]:
    """Give the edges of a table's rows, by sys_id."""
    _, edges = await case.read_graph()
    return {edge.source.sys_id: edge for edge in edges if edge.source.table == table}


async def test_an_idle_run_reads_the_keys_of_links_and_nothing_else_of_them(case: Case) -> None:
    asked = await start(case)
    run = await case.sync()
    assert run["state"] == "unchanged"
    for table in LINK_TABLES:
        assert (ways_of(run)[table], verdict_of(run, table)) == ("fetch", ("complete", 0))
        assert set(asked_fields(case, asked, table)) == {KEYS}
        assert len(asked_of(case, asked, table=table)) == 1 + len(asked_fields(case, asked, table))


async def test_unchanged_links_outside_what_was_fetched_stay(case: Case) -> None:
    """R17: one link is new, one leads elsewhere, one is gone; all others stand as they were, unfetched."""
    asked = await start(case)
    before = await links_of(case, LINKS)
    moved, gone, *_ = case.rows(LINKS)
    item = next(row["sys_id"] for row in case.rows(ITEMS) if row["sys_id"] != moved["sc_cat_item"])
    store = case.simulator.instance.store
    store.put(LINKS, [{"sys_id": moved["sys_id"], "sc_cat_item": item}])
    store.put(LINKS, [{"sys_id": "e" * 32, "sc_cat_item": item, "sc_category": moved["sc_category"]}])
    store.delete(LINKS, gone["sys_id"])
    run = await case.sync()
    assert (ways_of(run)[LINKS], verdict_of(run, LINKS)) == ("fetch", ("complete", 0))
    [fetched] = [r for r in asked_of(case, asked, table=LINKS) if "sc_category" in str(r["query"])]
    assert set(fetched["query"]["sysparm_query"].partition("IN")[2].split("^")[0].split(",")) == {
        moved["sys_id"], "e" * 32,
    }  # fmt: skip
    after = await links_of(case, LINKS)
    assert after.keys() - before.keys() == {"e" * 32}
    assert before.keys() - after.keys() == {gone["sys_id"]}
    assert after[moved["sys_id"]].from_id == f"{ITEMS}:{item}"
    same = before.keys() & after.keys() - {moved["sys_id"]}
    assert all(after[sys_id] == before[sys_id] for sys_id in same)
    await check_like_whole(case)


async def test_what_a_link_says_beside_its_ends_is_read_when_it_changes(case: Case) -> None:
    await start(case)
    [first, *_] = case.rows(PRIORITIES)
    case.simulator.instance.store.put(PRIORITIES, [{"sys_id": first["sys_id"], "order": "77"}])
    run = await case.sync()
    assert ways_of(run)[PRIORITIES] == "fetch"
    assert (await links_of(case, PRIORITIES))[first["sys_id"]].attributes["order"] == "77"
    await check_like_whole(case)


async def test_a_link_that_keeps_every_figure_is_found_by_its_key(case: Case) -> None:
    """Deleted and made again with the same counts and an older time: no aggregate tells, the keys do."""
    await start(case)
    [gone, *_] = case.rows(LINKS)
    store = case.simulator.instance.store
    store.delete(LINKS, gone["sys_id"])
    store.put(LINKS, [{**gone, "sys_id": "d" * 32}])
    run = await case.sync()
    assert ways_of(run)[LINKS] == "fetch"
    links = await links_of(case, LINKS)
    assert gone["sys_id"] not in links
    assert "d" * 32 in links
    await check_like_whole(case)


async def test_a_link_that_is_hidden_is_no_link_that_is_gone(case: Case) -> None:
    """R19: its key is scanned no more and it is still counted: the table is hidden, and the edge stays."""
    await start(case)
    [hidden, *_] = case.rows(LINKS)
    case.simulator.instance.access[LINKS] = Access(hidden=frozenset({hidden["sys_id"]}))
    run = await case.sync()
    assert (ways_of(run)[LINKS], verdict_of(run, LINKS)) == ("whole", ("hidden", 1))
    assert hidden["sys_id"] in await links_of(case, LINKS)
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert (ways_of(run)[LINKS], verdict_of(run, LINKS)) == ("whole", ("complete", 0))
    assert ways_of(await case.sync())[LINKS] == "fetch"
    await check_like_whole(case)


async def test_links_whose_keys_do_not_all_come_keep_every_edge(case: Case) -> None:
    """R4, R5: a scan that fails in mid-table fails the table."""
    await start(case)
    before = await links_of(case, LINKS)
    case.simulator.instance.store.delete(LINKS, case.rows(LINKS)[0]["sys_id"])
    case.simulator.instance.set_faults(Fault(kind="failing", table=LINKS, endpoint="table", times=0))
    run = await case.sync()
    assert verdict_of(run, LINKS) == ("failed", 0)
    assert await links_of(case, LINKS) == before


async def test_links_that_leave_in_number_wait_for_a_person(case: Case) -> None:
    """As under a filter of the instance, which lowers both answers: hidden rows look deleted."""
    await start(case)
    before = await links_of(case, LINKS)
    for row in case.rows(LINKS)[: len(before) // 2]:
        case.simulator.instance.store.delete(LINKS, row["sys_id"])
    run = await case.sync(guard_removed_rows=5)
    assert run["state"] == "quarantined"
    held, _ = await read_revisions(case.app, case.tenant)
    assert held["reason"] == f"{len(before) // 2} of {len(before)} rows of {LINKS} would leave"
    assert await links_of(case, LINKS) == before


async def test_links_that_are_made_anew_under_other_keys_are_no_loss(case: Case) -> None:
    await start(case)
    before = await links_of(case, LINKS)
    store = case.simulator.instance.store
    for number, row in enumerate(case.rows(LINKS)):
        store.delete(LINKS, row["sys_id"])
        store.put(LINKS, [{**row, "sys_id": f"{number:032x}"}])
    assert (await case.sync(guard_removed_rows=5))["state"] == "published"
    after = await links_of(case, LINKS)
    assert len(after) == len(before)
    assert not set(after) & set(before)
