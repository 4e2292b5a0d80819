"""Tables that an instance names itself are read less of like others, and leave when nothing names them any more."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.graph import NodeLine
from ops.simulator.access import Access
from ops.simulator.columns import Column
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import asked_of, check_like_whole, start, ways_of

pytestmark = pytest.mark.anyio
LOOKUPS, ROWS, SITES, DICTIONARY = "dl_definition", "dl_matcher", "u_dl_site", "sys_dictionary"
TABLES = ("dl_u_assignment", "dl_u_priority", SITES)


async def rows_of(case: Case, table: str) -> dict[str, NodeLine]:
    """Give the nodes of a lookup table's rows by sys_id."""
    nodes, _ = await case.read_graph()
    return {node.sys_id: node for node in nodes.values() if node.table == table}


def described(case: Case, since: int) -> list[dict[str, Any]]:
    """Give the requests for rows that describe columns of discovered tables."""
    asked = asked_of(case, since, table=DICTIONARY)
    return [r for r in asked if "nameINdl_u" in str(r["query"]) and "/table/" in r["path"]]


def unname(case: Case, table: str = SITES) -> str:
    """Have the definition that names a table look elsewhere; give its sys_id."""
    [definition] = [row for row in case.rows(LOOKUPS) if row["matcher_table"] == table]
    case.simulator.instance.store.delete(LOOKUPS, definition["sys_id"])
    return definition["sys_id"]


def add_column(case: Case, name: str) -> None:
    """Give the lookups of sites a column of no custom name, as an upgrade may."""
    case.simulator.instance.store.put(
        DICTIONARY,
        [
            {
                "sys_id": "c" * 32,
                "name": SITES,
                "element": name,
                "internal_type": "string",
                "column_label": name,
            }
        ],
    )


async def test_an_idle_run_skips_them_and_asks_once_whether_their_columns_stand(case: Case) -> None:
    asked = await start(case)
    run = await case.sync()
    assert {ways_of(run)[table] for table in TABLES} == {"skipped"}
    assert described(case, asked) == []
    assert len([r for r in asked_of(case, asked, table=DICTIONARY) if "nameINdl_u" in str(r["query"])]) == 1


async def test_a_change_in_one_of_them_is_read_as_a_delta(case: Case) -> None:
    await start(case)
    [first, *_] = case.rows(SITES)
    case.simulator.instance.store.put(SITES, [{"sys_id": first["sys_id"], "u_site": "Elsewhere"}])
    run = await case.sync()
    assert ways_of(run)[SITES] == "delta"
    assert (await rows_of(case, SITES))[first["sys_id"]].attributes["u_site"] == "Elsewhere"
    await check_like_whole(case)


async def test_a_new_column_has_the_table_read_whole_though_it_is_in_no_table_that_is_read(
    case: Case,
) -> None:
    """The dictionary's rows that are read are those of custom names; the question is about every column."""
    await start(case)
    await case.sync()
    case.simulator.instance.store.declare(SITES).spec.columns["region"] = Column("region")
    add_column(case, "region")
    run = await case.sync()
    assert ways_of(run)[SITES] == "whole"
    assert {"region"} <= {key for node in (await rows_of(case, SITES)).values() for key in node.attributes}
    await check_like_whole(case)


async def test_a_definition_that_names_a_table_anew_has_it_read(case: Case) -> None:
    await case.store_credentials()
    definition = next(row for row in case.rows(LOOKUPS) if row["matcher_table"] == SITES)
    case.simulator.instance.store.delete(LOOKUPS, definition["sys_id"])
    run = await case.sync()
    assert SITES not in ways_of(run)
    case.simulator.instance.store.put(LOOKUPS, [definition])
    run = await case.sync()
    assert (ways_of(run)[SITES], verdict_of(run, SITES)) == ("whole", ("complete", 0))
    assert ways_of(run)[LOOKUPS] == "fetch"
    await check_like_whole(case)


async def test_a_table_that_is_named_no_more_loses_its_columns_and_its_rows_stay_as_their_base_has_them(
    case: Case,
) -> None:
    await start(case)
    before = await rows_of(case, SITES)
    assert all("u_site" in node.attributes for node in before.values())
    unname(case)
    run = await case.sync()
    assert SITES not in ways_of(run)
    assert (ways_of(run)[LOOKUPS], ways_of(run)[ROWS]) == ("fetch", "whole")
    after = await rows_of(case, SITES)
    assert after.keys() == before.keys()
    assert not [node for node in after.values() if "u_site" in node.attributes]
    _, edges = await case.read_graph()
    sources = {(edge.source.sys_id, edge.source.field) for edge in edges if edge.source.table == ROWS}
    assert not [field for sys_id, field in sources if sys_id in after and field.startswith("u_")]
    asked = len(case.simulator.requests)
    run = await case.sync()
    assert (run["state"], ways_of(run)[ROWS]) == ("unchanged", "skipped")
    assert asked_of(case, asked, table=SITES) == []
    await check_like_whole(case)


async def test_a_table_that_said_no_more_than_its_base_is_dropped_once(case: Case) -> None:
    """None of its rows changes, so that only what they were read by tells that it was dropped."""
    await case.store_credentials()
    store = case.simulator.instance.store
    for column in [row for row in case.rows(DICTIONARY) if row["name"] == SITES]:
        store.put(DICTIONARY, [{"sys_id": column["sys_id"], "element": f"u_password_{column['element']}"}])
    await case.sync()
    before = await rows_of(case, SITES)
    assert not [node for node in before.values() if "u_site" in node.attributes]
    unname(case)
    assert ways_of(await case.sync())[ROWS] == "whole"
    assert await rows_of(case, SITES) == before
    assert ways_of(await case.sync())[ROWS] == "skipped"
    await check_like_whole(case)


async def test_a_table_that_is_deleted_with_its_definition_loses_its_nodes(case: Case) -> None:
    await start(case)
    gone = [row["sys_id"] for row in case.rows(SITES)]
    unname(case)
    for sys_id in gone:
        case.simulator.instance.store.delete(SITES, sys_id)
    run = await case.sync(guard_removed_rows=10_000)
    assert run["state"] == "published"
    assert await rows_of(case, SITES) == {}
    assert [event.fields["deleted"] for event in case.events if event.kind.name == "gone.looked_up"].count(
        len(gone)
    )
    await check_like_whole(case)


async def test_a_definition_that_is_hidden_takes_nothing_from_the_table_that_it_names(case: Case) -> None:
    """R19: read no more and still counted is a doubt, and on a doubt nothing leaves."""
    await start(case)
    before = await rows_of(case, SITES)
    [hidden] = [row["sys_id"] for row in case.rows(LOOKUPS) if row["matcher_table"] == SITES]
    case.simulator.instance.access[LOOKUPS] = Access(hidden=frozenset({hidden}))
    run = await case.sync(scan_every_runs=1)
    assert verdict_of(run, LOOKUPS) == ("hidden", 1)
    assert SITES in ways_of(run)
    assert await rows_of(case, SITES) == before


async def test_a_definition_that_turns_out_to_be_there_takes_nothing_from_its_table(case: Case) -> None:
    """The count adds up while one is hidden and another new: only the look-up tells, after all was read."""
    await start(case)
    before = await rows_of(case, SITES)
    [hidden] = [row["sys_id"] for row in case.rows(LOOKUPS) if row["matcher_table"] == SITES]
    instance = case.simulator.instance
    instance.access[LOOKUPS] = Access(hidden=frozenset({hidden}))
    [other, *_] = [row["sys_id"] for row in case.rows(LOOKUPS) if row["matcher_table"] != SITES]

    def swap() -> None:
        """One that was read goes and one that was not yet comes: as many as were counted."""
        instance.store.delete(LOOKUPS, other)
        instance.store.put(LOOKUPS, [{"sys_id": "f" * 32, "name": "New", "source_table": "incident"}])

    run = await case.when("request.answered", swap, endpoint="table", table=LOOKUPS).sync(
        mode="full", page_rows=1
    )
    assert verdict_of(run, LOOKUPS) == ("hidden", 1)
    told = [event.fields for event in case.events if event.kind.name == "table.judged"]
    assert [f["verdict"] for f in told if f["table"] == LOOKUPS][-2:] == ["complete", "hidden"]
    assert await rows_of(case, SITES) == before


async def test_a_dictionary_that_is_refused_keeps_what_the_tables_said(case: Case) -> None:
    await start(case)
    before = {table: await rows_of(case, table) for table in TABLES}
    case.simulator.instance.access[DICTIONARY] = Access(denied=True)
    run = await case.sync()
    assert {verdict_of(run, table) for table in TABLES} == {("unknown", 0)}
    assert {table: await rows_of(case, table) for table in TABLES} == before
    case.simulator.instance.access.clear()
    await case.sync()
    await check_like_whole(case)


async def test_what_one_slice_discovered_the_next_does_not_ask_again(case: Case) -> None:
    """A discovery that alone outlasts a slice comes to its end."""
    await case.store_credentials()
    run_id = await case.request_run()
    draining = case.parts.draining

    def count(step: int) -> Case:
        return case.when("request.answered", draining.set, table=TABLES[step])

    slices = 0
    while (await case.read_run(run_id))["state"] in {"requested", "running"}:
        await count(min(slices, 2)).work_slice(run_id, instance_concurrency=1)
        draining.clear()
        slices += 1
    run = await case.read_run(run_id)
    assert slices > 1
    assert len(described(case, 0)) == len({r["query"]["sysparm_query"] for r in described(case, 0)})
    assert {verdict_of(run, table) for table in TABLES} == {("complete", 0)}
    await check_like_whole(case)
