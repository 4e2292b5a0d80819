"""What is said beside records, a flag or a value, rests on the records' own states, and is read again with them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from jobs.surface import read_surface
from ops.simulator.access import Access
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import asked_of, check_like_whole, start, ways_of

pytestmark = pytest.mark.anyio
SURFACE = read_surface()
RULES, PROPERTIES = "sysrule_assignment", "sys_properties"
FLAGGED = [table.name for table in SURFACE.tables.values() if table.flags]
SCRIPT = "gs.info('CANARY');"


async def flags_of(case: Case, table: str = RULES) -> dict[str, str]:
    """Give what the graph says of each record of a table: opaque or not, '' where it is not known."""
    nodes, _ = await case.read_graph()
    return {n.sys_id: n.attributes.get("opaque", "") for n in nodes.values() if n.table == table}


def opaque_in(case: Case, table: str = RULES) -> dict[str, str]:
    """Give what is true of each."""
    columns = SURFACE.tables[table].flags["opaque"]
    return {row["sys_id"]: str(any(row[name] for name in columns)).lower() for row in case.rows(table)}


def reason_of(case_run: dict[str, list[dict[str, str]]], table: str) -> str | None:
    [found] = [row for row in case_run["tables"] if row["table_name"] == table]
    return found["reason"]


@pytest.mark.parametrize("table", FLAGGED)
async def test_a_flag_follows_the_record_that_changed_and_only_that_is_asked_about(
    case: Case, table: str
) -> None:
    asked = await start(case)
    column = SURFACE.tables[table].flags["opaque"][0]
    changed = sorted(opaque_in(case, table))[:2]
    store = case.simulator.instance.store
    for sys_id in changed:
        now = "" if opaque_in(case, table)[sys_id] == "true" else SCRIPT
        blank = dict.fromkeys(SURFACE.tables[table].flags["opaque"], "")
        store.put(table, [{"sys_id": sys_id, **blank, column: now}])
    store.put(table, [{"sys_id": "f" * 32, "name": "new", column: SCRIPT}])
    run = await case.sync()
    assert (ways_of(run)[table], verdict_of(run, table)) == ("delta", ("complete", 0))
    assert await flags_of(case, table) == opaque_in(case, table)
    about = [r for r in asked_of(case, asked, table=table) if "EMPTY" in str(r["query"])]
    assert about
    for request in about:
        keys = request["query"]["sysparm_query"].partition("sys_idIN")[2].split("^")[0].split(",")
        assert set(keys) == {*changed, "f" * 32}
    await check_like_whole(case)


async def test_the_flags_of_a_table_that_is_skipped_stand_and_are_not_asked_for(case: Case) -> None:
    await start(case)
    before = await flags_of(case)
    asked = len(case.simulator.requests)
    run = await case.sync()
    assert {ways_of(run)[table] for table in FLAGGED} == {"skipped"}
    assert [
        r for table in FLAGGED for r in asked_of(case, asked, table=table) if "/table/" in r["path"]
    ] == []
    assert await flags_of(case) == before


async def test_the_flags_of_records_that_a_scan_found_are_read_with_them(case: Case) -> None:
    await start(case)
    gone, first, *_ = sorted(opaque_in(case))
    store = case.simulator.instance.store
    store.delete(RULES, gone)
    was = opaque_in(case)[first]
    store.put(RULES, [{"sys_id": first, "script": "" if was == "true" else SCRIPT}])
    run = await case.sync()
    assert (ways_of(run)[RULES], verdict_of(run, RULES)) == ("fetch", ("complete", 0))
    assert await flags_of(case) == opaque_in(case)
    await check_like_whole(case)


@pytest.mark.parametrize(
    "access", [{}, {"refuses_fields": True}], ids=["dropped with 200", "refused with 403"]
)
async def test_a_flag_that_cannot_be_read_any_more_is_left_out_of_all_records_and_comes_back_for_all(
    case: Case, access: dict[str, Any]
) -> None:
    """An attribute never stands on some records and lacks on others by what happened to change."""
    await start(case)
    first, second, *_ = sorted(opaque_in(case))
    store = case.simulator.instance.store
    store.put(RULES, [{"sys_id": first, "name": "renamed"}])
    case.simulator.instance.access[RULES] = Access(fields_hidden=frozenset({"script"}), **access)
    run = await case.sync()
    assert (ways_of(run)[RULES], verdict_of(run, RULES)) == ("whole", ("complete", 0))
    assert "opaque" in str(reason_of(run, RULES))
    assert set((await flags_of(case)).values()) == {""}
    run = await case.sync()
    assert set((await flags_of(case)).values()) == {""}
    store.put(RULES, [{"sys_id": second, "name": "renamed too"}])
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert ways_of(run)[RULES] == "whole"
    assert reason_of(run, RULES) is None
    assert await flags_of(case) == opaque_in(case)
    await check_like_whole(case)


async def test_a_flag_that_could_not_be_read_is_tried_again_although_nothing_changed(case: Case) -> None:
    """A permission that is granted moves no figure: the question is asked again, and the table skipped meanwhile."""
    case.simulator.instance.access[RULES] = Access(fields_hidden=frozenset({"script"}))
    await start(case)
    asked = len(case.simulator.requests)
    run = await case.sync()
    assert (ways_of(run)[RULES], verdict_of(run, RULES)) == ("skipped", ("complete", 0))
    assert "opaque" in str(reason_of(run, RULES))
    assert len(asked_of(case, asked, table=RULES)) <= 4
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert (ways_of(run)[RULES], reason_of(run, RULES)) == ("whole", None)
    assert await flags_of(case) == opaque_in(case)


async def test_a_flag_that_an_earlier_slice_could_not_read_is_told_of(case: Case) -> None:
    """What a later slice can read, the pages of the earlier one lack all the same."""
    await case.store_credentials()
    case.simulator.instance.access[RULES] = Access(fields_hidden=frozenset({"script"}))
    run_id = await case.request_run()
    stopping = case.when("request.answered", case.parts.draining.set, table=RULES, endpoint="table", rows=10)
    await stopping.work_slice(run_id, instance_concurrency=1)
    case.parts.draining.clear()
    case.simulator.instance.access.clear()
    while (run := await case.read_run(run_id))["state"] in {"requested", "running"}:
        await case.work_slice(run_id)
    assert set((await flags_of(case)).values()) > {""}
    assert "opaque" in str(reason_of(run, RULES))
    await case.sync()
    assert await flags_of(case) == opaque_in(case)


async def test_a_script_written_while_its_table_is_read_is_not_missed(case: Case) -> None:
    """The flags of a whole table are older than its rows: the next run reads it whole, if one changed in between."""
    await case.store_credentials()
    last = max(sys_id for sys_id, told in opaque_in(case).items() if told == "false")

    def write() -> None:
        case.simulator.instance.store.put(RULES, [{"sys_id": last, "script": SCRIPT}])

    # The first answer of rows, not of a flag: 10 to a page.
    reading = case.when("request.answered", write, table=RULES, endpoint="table", rows=10)
    await reading.sync(instance_concurrency=1)
    run = await case.sync()
    assert ways_of(run)[RULES] == "whole"
    assert await flags_of(case) == opaque_in(case)


async def test_a_value_follows_its_property_and_only_listed_names_are_asked_for(case: Case) -> None:
    await start(case)
    listed = [row for row in case.rows(PROPERTIES) if row["name"] in SURFACE.tables[PROPERTIES].values]
    others = [row for row in case.rows(PROPERTIES) if row["name"] not in SURFACE.tables[PROPERTIES].values]
    store = case.simulator.instance.store
    asked = len(case.simulator.requests)
    store.put(PROPERTIES, [{"sys_id": others[0]["sys_id"], "description": "changed"}])
    run = await case.sync()
    assert ways_of(run)[PROPERTIES] == "delta"
    assert [r for r in asked_of(case, asked, table=PROPERTIES) if ",value" in str(r["query"])] == []
    store.put(PROPERTIES, [{"sys_id": listed[0]["sys_id"], "value": "another"}])
    run = await case.sync()
    assert ways_of(run)[PROPERTIES] == "delta"
    nodes, _ = await case.read_graph()
    assert nodes[f"{PROPERTIES}:{listed[0]['sys_id']}"].attributes["value"] == "another"
    await check_like_whole(case)


async def test_another_list_of_names_has_the_properties_read_whole(case: Case) -> None:
    await start(case)
    name = f"custom.{secrets.token_hex(4)}"
    case.simulator.instance.store.put(
        PROPERTIES, [{"sys_id": "a" * 32, "name": name, "type": "string", "value": "kept now"}]
    )
    run = await case.sync()
    assert ways_of(run)[PROPERTIES] == "delta"
    run = await case.sync(property_names=(name,))
    assert ways_of(run)[PROPERTIES] == "whole"
    nodes, _ = await case.read_graph()
    assert nodes[f"{PROPERTIES}:{'a' * 32}"].attributes["value"] == "kept now"


async def test_a_flag_is_read_again_after_a_change_between_it_and_its_rows_that_moved_no_time(
    case: Case,
) -> None:
    """The count of changes moves with it, but the row is known with it: no delta and no scan would find it later."""
    # On a later page.
    row = max((row for row in case.rows(RULES) if row["script"]), key=lambda row: row["sys_id"])
    still = {"sys_updated_on": row["sys_updated_on"]}

    def change() -> None:
        case.simulator.instance.store.put(RULES, [{"sys_id": row["sys_id"], "script": "", **still}])

    asking = case.when("request.answered", change, endpoint="table", table=RULES, rows=10)
    await asking.sync(instance_concurrency=1)
    assert (await flags_of(case))[row["sys_id"]] == "true"
    run = await case.sync()
    assert ways_of(run)[RULES] == "whole"
    assert await flags_of(case) == opaque_in(case)
    assert ways_of(await case.sync())[RULES] == "skipped"
