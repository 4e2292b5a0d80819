"""Defects that systems of this kind had, tried against a whole run: a table is judged by what was read of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ops.simulator import Fault
from ops.simulator.access import Access
from tests.integration.slice_case import Case
from worker.postgres import runs, staging

pytestmark = pytest.mark.anyio

GROUPS, ITEMS = "sys_user_group", "sc_cat_item"
EVER: dict[str, Any] = {"times": 0}


async def work_run(case: Case, *, mode: str = "full") -> dict[str, Any]:
    """Work on a new run to its end; give it with its tables' verdicts. No forbidden table was touched."""
    run_id = await case.request_run(mode=mode)
    await case.work_slice(run_id)
    run = await case.read_run(run_id)
    assert case.simulator.instance.touches == {}
    return {**run, "verdicts": {table["table_name"]: table["verdict"] for table in run["tables"]}}


async def read_names(case: Case, kind: str = GROUPS) -> dict[str, str]:
    """Give the names of the nodes of a table in the current graph."""
    cursor = await case.admin.execute(
        f"SELECT node_id, name FROM {case.tenant.schema_name}.node WHERE node_id LIKE %s",  # noqa: S608  our own schema's name
        [f"{kind}:%"],
    )
    return {row["node_id"].partition(":")[2]: row["name"] for row in await cursor.fetchall()}


def stored_ids(case: Case, table: str = GROUPS) -> set[str]:
    return {row["sys_id"] for row in case.simulator.store.rows(table)}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "failing"},
        {"kind": "cancelled", "row": 3},
        {"kind": "truncated", "row": 3},
        {"kind": "null_body"},
        {"kind": "duplicated"},
        {"kind": "gzip_bomb"},
        {"kind": "said", "status": 404, "text": "{}"},
        {"kind": "said", "status": 200, "text": '{"result":"1 record"}'},
        {"kind": "said", "status": 200, "text": '{"result":[],"unserviced_requests":[{"id":"1"}],"status":"failure"}'},
    ],
    ids=lambda fault: " ".join(str(value) for value in fault.values())[:40],
)  # fmt: skip
@pytest.mark.parametrize("table", [GROUPS, ITEMS])
async def test_a_page_that_fails_in_mid_table_fails_the_table_and_takes_nothing_out_of_the_graph(
    case: Case, table: str, fault: dict[str, Any]
) -> None:
    """R4, R5, R8, R12: what came before the failing page is no reason to call the table read, or to skip it."""
    await case.store_credentials()
    first = await work_run(case)
    assert set(first["verdicts"].values()) == {"complete"}
    before = await read_names(case, table)
    case.simulator.instance.set_faults(Fault(**fault, **EVER, table=table, endpoint="table", first=2))
    gone = max(before)
    case.simulator.store.delete(table, gone)
    run = await work_run(case)
    assert run["verdicts"].pop(table) == "failed"
    assert set(run["verdicts"].values()) == {"complete"}
    assert await read_names(case, table) == before


async def test_a_window_that_is_hidden_where_nothing_is_counted_is_not_called_complete(case: Case) -> None:
    """R3: an empty page looks like the end, and the Aggregate API says that it is not."""
    await case.store_credentials()
    await work_run(case)
    before = await read_names(case)
    hidden = frozenset(sorted(stored_ids(case))[10:20])
    case.simulator.instance.access[GROUPS] = Access(hidden=hidden)
    case.simulator.instance.set_faults(Fault(kind="uncounted", table=GROUPS, **EVER))
    run = await work_run(case)
    assert run["verdicts"][GROUPS] == "hidden"
    assert await read_names(case) == before


@pytest.mark.parametrize("mode", ["full", "delta"])
@pytest.mark.parametrize("missing", [1, 7, 44, 45])
async def test_a_count_that_tells_of_fewer_rows_than_came_is_no_evidence(
    case: Case, missing: int, mode: str
) -> None:
    """R6: totals and counts that under-report; the table is unknown and nothing is removed."""
    await case.store_credentials()
    await work_run(case)
    before = await read_names(case)
    case.simulator.store.delete(GROUPS, min(before))
    case.simulator.instance.set_faults(Fault(kind="undercounted", table=GROUPS, row=missing, **EVER))
    run = await work_run(case, mode=mode)
    assert run["verdicts"][GROUPS] == "unknown"
    assert await read_names(case) == before


async def test_rows_of_the_future_stop_no_later_run_from_reading_what_changes(case: Case) -> None:
    """R13: demo data dated 2031 is read, and so is what changes today."""
    await case.store_credentials()
    ids = sorted(stored_ids(case))
    for sys_id in ids[:3]:
        case.simulator.store.put(
            GROUPS,
            [{"sys_id": sys_id, "name": f"of the future {sys_id}", "sys_updated_on": "2031-01-01 00:00:00"}],
        )
    await work_run(case, mode="delta")
    names = await read_names(case)
    assert [names[sys_id] for sys_id in ids[:3]] == [f"of the future {sys_id}" for sys_id in ids[:3]]
    case.simulator.store.put(GROUPS, [{"sys_id": ids[9], "name": "changed today"}])
    run = await work_run(case, mode="delta")
    assert run["state"] == "published"
    assert (await read_names(case))[ids[9]] == "changed today"


async def test_no_cursor_that_is_stored_depends_on_anybodys_time_zone(case: Case) -> None:
    """R10, R14: the account's zone is seven hours off, and where reading stands is a key, or nothing yet."""
    await case.store_credentials()
    case.simulator.instance.latency_seconds = 0.02
    run_id = await case.request_run()
    await case.work_slice(run_id, slice_seconds=0.05, instance_concurrency=1)
    claimed = await runs.claim_run(case.app, run_id, worker="another", lease_seconds=60)
    assert claimed
    progress = await staging.read_progress(case.app, claimed)
    assert progress
    assert all(re.fullmatch(r"(?:[0-9a-f]{32})?", read.cursor) for read in progress.values())
    asked = [request["query"] for request in case.simulator.requests if "/table/" in request["path"]]
    assert {query["sysparm_display_value"] for query in asked} == {"false"}


@pytest.mark.parametrize("mode", ["full", "delta"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_changes_in_mid_scan_nothing_that_stayed_is_missing_or_removed(
    case: Case, seed: int, mode: str
) -> None:
    """R9: rows come, go and change before every page of every table."""
    await case.store_credentials()
    await work_run(case)
    before = stored_ids(case)
    kinds = ("row_inserted", "row_deleted", "row_updated", "row_updated_silently")
    case.simulator.instance.set_faults(*(Fault(kind=kind, table=GROUPS, **EVER) for kind in kinds), seed=seed)
    run = await work_run(case, mode=mode)
    stayed = before & stored_ids(case)
    assert stayed <= (await read_names(case)).keys()
    case.simulator.instance.set_faults()
    run = await work_run(case)
    assert run["verdicts"][GROUPS] == "complete"
    assert (await read_names(case)) == {
        row["sys_id"]: row["name"] for row in case.simulator.store.rows(GROUPS)
    }


@pytest.mark.parametrize("rounds", [1, 3])
async def test_an_instance_that_gets_in_the_way_in_every_passing_manner_is_read_whole(
    case: Case, rounds: int
) -> None:
    await case.store_credentials()
    passing = ("cancelled", "truncated", "null_body", "failing", "throttled", "dropped", "reset")
    case.simulator.instance.set_faults(
        *(Fault(kind=kind, first=3 * place, times=rounds) for place, kind in enumerate(passing, start=1))
    )
    run_id = await case.request_run()
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id, max_attempts=10)
    run = await case.read_run(run_id)
    assert run["state"] == "published"
    complete = [table["table_name"] for table in run["tables"] if table["verdict"] == "complete"]
    assert len(complete) >= len(run["tables"]) - rounds
    if GROUPS in complete:
        assert (await read_names(case)).keys() == stored_ids(case)
    assert run["requests"] == len(case.simulator.requests)


async def test_a_megabyte_in_a_name_and_characters_that_are_none_are_kept_as_a_name(case: Case) -> None:
    """A name of any length is stored; NUL and half a character come as U+FFFD, and the table is complete."""
    await case.store_credentials()
    [first, second, *_] = sorted(stored_ids(case))
    case.simulator.store.put(
        GROUPS, [{"sys_id": first, "name": "x" * (1 << 20)}, {"sys_id": second, "name": "a\0b"}]
    )
    run = await work_run(case)
    assert run["verdicts"][GROUPS] == "complete"
    names = await read_names(case)
    assert names[first] == "x" * (1 << 20)
    assert names[second] == "a\ufffdb"


async def test_a_page_that_was_made_smaller_over_a_hidden_window_skips_nothing_after_it(case: Case) -> None:
    """R7: the offset goes on by the rows that were asked for, not by those that the setting says."""
    await case.store_credentials()
    case.simulator.store.put(GROUPS, [{"sys_id": f"{number:032x}", "name": "made"} for number in range(200)])
    every = sorted(stored_ids(case))
    case.simulator.instance.access[GROUPS] = Access(hidden=frozenset(every[:50]))
    case.simulator.instance.set_faults(Fault(kind="cancelled", table=GROUPS, endpoint="table"))
    run_id = await case.request_run()
    await case.work_slice(run_id, page_rows=100)
    run = await case.read_run(run_id)
    [table] = [table for table in run["tables"] if table["table_name"] == GROUPS]
    assert (table["verdict"], table["rows"], table["hidden"]) == ("hidden", 195, 50)
    assert set(await read_names(case)) == set(every[50:])
