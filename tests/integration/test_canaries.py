"""A run's canaries: sent once, kept on the run with their event, and no read rests on times that cannot be trusted."""

from __future__ import annotations

import pytest

from jobs.canary import read_honesty
from ops.simulator.access import Access
from tests.integration.slice_case import CANARIES, Case, is_canary

pytestmark = pytest.mark.anyio
GROUPS, ITEMS = "sys_user_group", "sc_cat_item"
HONEST = {"table": "sc_catalog", "unknown_field": "drops_term", "range": "holds", "times": "utc"}


async def test_canaries_are_sent_once_a_run_however_many_slices_it_takes(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    slices = 0
    while (await case.read_run(run_id))["state"] == "requested":
        await case.work_slice(run_id, slice_seconds=0.05, instance_concurrency=1)
        slices += 1
    assert slices > 1
    assert len([request for request in case.simulator.requests if is_canary(request)]) == CANARIES
    run = await case.read_run(run_id)
    assert run["canaries"] == HONEST == case.fields("canaries.checked")
    assert (await case.read_actions(run_id)).count("canaries.checked") == 1
    await case.sync()
    assert len([request for request in case.simulator.requests if is_canary(request)]) == 2 * CANARIES


async def test_times_in_another_zone_are_told_and_no_read_is_bounded_by_them(case: Case) -> None:
    """R14: a user in another zone; the table that changed is scanned by key, and the graph is right all the same."""
    await case.sync()
    case.simulator.instance.zone_offset_seconds = -7 * 3_600
    first, *_ = case.rows(GROUPS)
    case.simulator.instance.store.put(GROUPS, [{"sys_id": first["sys_id"], "name": "Renamed"}])
    asked = len(case.simulator.requests)
    run = await case.sync()
    ways = {table["table_name"]: table["way"] for table in run["tables"]}
    assert (run["state"], ways[GROUPS]) == ("published", "fetch")
    assert run["canaries"] == {**HONEST, "times": "shifted"}
    honesty = read_honesty(run["canaries"])
    assert honesty is not None
    [warning] = honesty.warnings()
    assert warning.startswith("times_shifted")
    since = [r for r in list(case.simulator.requests)[asked:] if not is_canary(r)]
    assert not [r for r in since if "sys_updated_on>" in r["query"].get("sysparm_query", "")]
    nodes, _ = await case.read_graph()
    assert nodes[f"{GROUPS}:{first['sys_id']}"].name == "Renamed"


async def test_a_run_whose_canaries_find_nothing_goes_on(case: Case) -> None:
    for table in ("sc_catalog", GROUPS):
        case.simulator.instance.access[table] = Access(denied=True)
    run = await case.sync()
    assert run["state"] == "published"
    assert set(run["canaries"].values()) == {"", "unknown"}


async def test_a_verdict_that_is_another_than_before_is_told_once(case: Case) -> None:
    first = await case.sync()
    assert first["coverage_changes"] == []
    case.simulator.instance.access[ITEMS] = Access(denied=True)
    denied = await case.sync()
    change = {"table": ITEMS, "from": "complete", "to": "denied"}
    assert denied["coverage_changes"] == [change]
    assert case.fields("coverage.changed") == change
    assert (await case.sync())["coverage_changes"] == []
    case.simulator.instance.access[ITEMS] = Access()
    back = await case.sync()
    assert back["coverage_changes"] == [{"table": ITEMS, "from": "denied", "to": "complete"}]
