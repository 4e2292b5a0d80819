"""What a complete read no longer gave is looked up: only what is known to be deleted leaves the graph."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobs.events import Event
from ops.simulator import Fault
from ops.simulator.access import Access
from tests.integration.slice_case import CANARIES, Case, verdict_of

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, LINKS = "sys_user_group", "sc_cat_item", "sc_cat_item_category"
TABLES, PRIORITIES = "sys_db_object", "dl_u_priority"
FOR_DISCOVERY = 1  # request of no table: whether the columns of discovered tables are as they were
LAST = "f" * 32


def lookups(case: Case) -> list[str]:
    """Give the paths of the requests that looked keys up."""
    return [r["path"] for r in case.simulator.requests if "sys_idIN" in r["query"].get("sysparm_query", "")]


def requests_of(run: dict[str, Any]) -> int:
    return sum(table["requests"] for table in run["tables"])


def swap_in_mid_read(case: Case, hidden: set[str]) -> Case:
    """Hide rows, and in mid-read replace as many that were read: the count adds up although rows are missing."""
    instance = case.simulator.instance
    instance.access[GROUPS] = Access(hidden=frozenset(hidden))

    def swap() -> None:
        for number, row in enumerate(case.rows(GROUPS)[: len(hidden)]):
            instance.store.delete(GROUPS, row["sys_id"])
            instance.store.put(GROUPS, [{"sys_id": f"{LAST[:-1]}{number}", "name": "new"}])

    return case.when("request.answered", swap, endpoint="table", table=GROUPS)


async def test_deleted_records_leave_and_edges_to_them_say_so(case: Case) -> None:
    await case.store_credentials()
    await case.sync()
    pointed = [row["group"] for row in case.rows(ITEMS) if row["group"]]
    known = {row["sys_id"] for row in case.rows(GROUPS)}
    gone = next(group for group in pointed if group in known)
    link = case.rows(LINKS)[0]["sys_id"]
    case.simulator.instance.store.delete(GROUPS, gone)
    case.simulator.instance.store.delete(LINKS, link)
    asked = len(case.simulator.requests)
    run = await case.sync()
    assert {verdict for verdict, _ in (verdict_of(run, t["table_name"]) for t in run["tables"])} == {
        "complete"
    }
    assert sorted(lookups(case)) == [
        f"/api/now/{api}/{table}" for api in ("stats", "table") for table in (LINKS, GROUPS)
    ]
    nodes, edges = await case.read_graph()
    assert f"{GROUPS}:{gone}" not in nodes
    assert {edge.state for edge in edges if edge.to_id == f"{GROUPS}:{gone}"} == {"deleted"}
    assert not [edge for edge in edges if (edge.source.table, edge.source.sys_id) == (LINKS, link)]
    assert run["requests"] == len(case.simulator.requests) - asked
    assert run["requests"] - requests_of(run) == FOR_DISCOVERY + CANARIES


async def test_what_nothing_refers_to_is_not_remembered_for_ever(case: Case) -> None:
    """Lookups' rows may be made anew each night: what became of each would fill the disk."""
    await case.store_credentials()
    await case.sync()
    pointed = {row["group"] for row in case.rows(ITEMS)}
    gone = next(row["sys_id"] for row in case.rows(GROUPS) if row["sys_id"] in pointed)
    for sys_id in [gone, *(row["sys_id"] for row in case.rows(PRIORITIES)[:3])]:
        case.simulator.instance.store.delete(GROUPS if sys_id == gone else PRIORITIES, sys_id)
    run = await case.sync()
    assert run["removed"] >= 4
    missing = f"SELECT node_id FROM {case.tenant.schema_name}.missing"  # noqa: S608  our own name
    rows = await (await case.admin.execute(missing)).fetchall()
    assert [row["node_id"] for row in rows] == [f"{GROUPS}:{gone}"]


async def test_a_deleted_record_that_comes_back_is_resolved_again(case: Case) -> None:
    await case.store_credentials()
    await case.sync()
    known = {row["sys_id"]: row for row in case.rows(GROUPS)}
    gone = next(row["group"] for row in case.rows(ITEMS) if row["group"] in known)
    case.simulator.instance.store.delete(GROUPS, gone)
    await case.sync()
    case.simulator.instance.store.put(GROUPS, [known[gone]])
    await case.sync()
    nodes, edges = await case.read_graph()
    assert f"{GROUPS}:{gone}" in nodes
    assert {edge.state for edge in edges if edge.to_id == f"{GROUPS}:{gone}"} == {"resolved"}


async def test_a_hidden_record_stays_although_the_count_adds_up(case: Case) -> None:
    """R19: a key that is gone and still counted is hidden, not deleted."""
    await case.store_credentials()
    await case.sync()
    before, _ = await case.read_graph()
    known = [row["sys_id"] for row in case.rows(GROUPS)]
    pointed = next(row["group"] for row in case.rows(ITEMS) if row["group"] in known[5:])
    run = await swap_in_mid_read(case, {pointed}).sync(mode="full")
    assert verdict_of(run, GROUPS) == ("hidden", 1)
    nodes, edges = await case.read_graph()
    assert nodes[f"{GROUPS}:{pointed}"] == before[f"{GROUPS}:{pointed}"]
    assert {edge.state for edge in edges if edge.to_id == f"{GROUPS}:{pointed}"} == {"hidden"}
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert verdict_of(run, GROUPS) == ("complete", 0)
    _, edges = await case.read_graph()
    assert {edge.state for edge in edges if edge.to_id == f"{GROUPS}:{pointed}"} == {"resolved"}


async def test_hidden_and_deleted_records_are_told_apart_one_by_one(case: Case) -> None:
    """R19: of keys that met different fates, each is asked after until its own is known."""
    await case.store_credentials()
    await case.sync()
    known = [row["sys_id"] for row in case.rows(GROUPS)]
    hidden, deleted = {known[20], known[31], known[44]}, {known[22], known[23], known[40]}
    for sys_id in deleted:
        case.simulator.instance.store.delete(GROUPS, sys_id)
    run = await swap_in_mid_read(case, hidden).sync(mode="full")
    assert verdict_of(run, GROUPS) == ("hidden", 3)
    nodes, _ = await case.read_graph()
    assert {f"{GROUPS}:{sys_id}" for sys_id in hidden} <= nodes.keys()
    assert not {f"{GROUPS}:{sys_id}" for sys_id in deleted} & nodes.keys()
    assert case.fields("gone.looked_up") == {
        "table": GROUPS, "gone": 6, "deleted": 3, "hidden": 3, "unknown": 0,
    }  # fmt: skip


async def test_a_record_that_could_not_be_looked_up_stays_and_its_table_is_unknown(case: Case) -> None:
    """R19: without both answers nothing is known, and nothing leaves."""
    await case.store_credentials()
    await case.sync()
    gone = case.rows(GROUPS)[7]["sys_id"]
    case.simulator.instance.store.delete(GROUPS, gone)

    def deny() -> None:
        case.simulator.instance.access[GROUPS] = Access(denied=True)

    run = await case.when("table.judged", deny, table=GROUPS).sync()
    assert verdict_of(run, GROUPS) == ("unknown", 0)
    nodes, _ = await case.read_graph()
    assert f"{GROUPS}:{gone}" in nodes
    case.simulator.instance.access.clear()
    run = await case.sync()
    nodes, _ = await case.read_graph()
    assert f"{GROUPS}:{gone}" not in nodes


async def test_a_record_of_a_filtered_count_that_is_given_after_all_stays(case: Case) -> None:
    await case.store_credentials()
    await case.sync()
    kept = case.rows(GROUPS)[3]["sys_id"]
    instance = case.simulator.instance
    instance.access[GROUPS] = Access(data_filter=f"sys_id!={kept}")
    run = await case.when("table.judged", instance.access.clear, table=GROUPS).sync()
    assert verdict_of(run, GROUPS) == ("unknown", 0)
    nodes, _ = await case.read_graph()
    assert f"{GROUPS}:{kept}" in nodes


async def test_a_slice_that_must_stop_looks_up_in_the_next(case: Case) -> None:
    await case.store_credentials()
    await case.sync()
    for table in (GROUPS, ITEMS, LINKS):
        case.simulator.instance.store.delete(table, case.rows(table)[0]["sys_id"])
    stopping = case.when("gone.looked_up", case.parts.draining.set)
    run_id = await case.request_run()
    await stopping.work_slice(run_id)
    assert (await case.read_run(run_id))["state"] == "requested"
    case.parts.draining.clear()
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    assert run["state"] == "published"
    looked_up = [e.fields["table"] for e in case.events if e.kind.name == "gone.looked_up"]
    assert sorted(map(str, looked_up)) == sorted([GROUPS, ITEMS, LINKS])
    nodes, _ = await case.read_graph()
    assert len([id_ for id_ in nodes if id_.startswith(f"{GROUPS}:")]) == len(case.rows(GROUPS))


async def test_a_table_that_is_called_by_its_name_is_looked_up_by_it(case: Case) -> None:
    """One custom table is deleted and leaves with what it says; one is hidden, and stays."""
    await case.store_credentials()
    await case.sync()
    before, edges = await case.read_graph()
    rows = {row["name"]: row["sys_id"] for row in case.rows(TABLES) if f"{TABLES}:{row['name']}" in before}
    speaking = {edge.source.sys_id for edge in edges if edge.source.table == TABLES}
    gone, hidden, *_ = (name for name, sys_id in sorted(rows.items()) if sys_id in speaking)
    case.simulator.instance.store.delete(TABLES, rows[gone])
    run = await case.sync()
    assert verdict_of(run, TABLES) == ("complete", 0)
    nodes, edges = await case.read_graph()
    assert {id_ for id_ in before if id_.startswith(f"{TABLES}:")} - nodes.keys() == {f"{TABLES}:{gone}"}
    assert rows[gone] not in {edge.source.sys_id for edge in edges}
    assert {edge.state for edge in edges if edge.to_id == f"{TABLES}:{gone}"} <= {"deleted"}
    case.simulator.instance.access[TABLES] = Access(hidden=frozenset({rows[hidden]}))
    case.simulator.instance.set_faults(
        Fault(kind="undercounted", endpoint="stats", table=TABLES, row=1, times=2)
    )
    run = await case.sync()
    assert verdict_of(run, TABLES) == ("hidden", 1)
    after, edges = await case.read_graph()
    assert after.keys() == nodes.keys()
    assert rows[hidden] in {edge.source.sys_id for edge in edges}


async def test_thousands_of_deletions_are_looked_up_slice_by_slice_and_one_hidden_among_them_stays(
    case: Case,
) -> None:
    """Many deletions are no reason to go by count: what was looked up is kept, and the next slice goes on."""
    store, instance = case.simulator.instance.store, case.simulator.instance
    store.put(GROUPS, [{"sys_id": f"{number:032x}", "name": "made"} for number in range(1_300)])
    await case.sync(page_rows=1000)
    hidden = f"{77:032x}"
    instance.access[GROUPS] = Access(hidden=frozenset({hidden}))

    waiting = [f"{1_200:032x}"]

    def act(event: Event) -> None:
        """At the first rows, one that was read goes and another comes; at what was looked up, the slice must end."""
        case.events.append(event)
        if (event.kind.name, event.fields.get("table")) == ("gone.looked_up", GROUPS):
            case.parts.draining.set()
        asked = (event.kind.name, event.fields.get("table"), event.fields.get("endpoint"))
        if waiting and asked == ("request.answered", GROUPS, "table"):
            store.delete(GROUPS, waiting.pop())
            store.put(GROUPS, [{"sys_id": LAST, "name": "new"}])

    for number in range(1_200):
        if f"{number:032x}" != hidden:
            store.delete(GROUPS, f"{number:032x}")
    run_id = await case.request_run(mode="full")
    acting = dataclasses.replace(case, parts=dataclasses.replace(case.parts, emit=act))
    slices = 0
    while (await case.read_run(run_id))["state"] in {"requested", "running"}:
        await acting.work_slice(run_id, page_rows=50, guard_removed_rows=10_000)
        case.parts.draining.clear()
        slices += 1
    assert slices > 1
    run = await case.read_run(run_id)
    told = [event.fields for event in case.events if event.kind.name == "gone.looked_up"]
    assert [fields["gone"] for fields in told] == [1_000, 200]
    assert sum(int(str(fields["deleted"])) for fields in told) == 1_199
    assert verdict_of(run, GROUPS) == ("hidden", 1)
    nodes, _ = await case.read_graph()
    there = {row["sys_id"] for row in case.rows(GROUPS)}
    assert hidden in there
    assert {node.sys_id for node in nodes.values() if node.table == GROUPS} == {*there, f"{1_200:032x}"}
