"""A run reads only what may differ, and its graph is the one that reading everything would give."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any, Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.events import Event
from jobs.surface import read_surface
from ops.simulator.access import Access
from ops.simulator.aggregates import Wanted
from tests.integration.slice_case import Case, is_canary, verdict_of

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, LINKS = "sys_user_group", "sc_cat_item", "sc_cat_item_category"
RULES, PROPERTIES = "sysrule_assignment", "sys_properties"
PRODUCERS, GUIDES = "sc_cat_item_producer", "sc_cat_item_guide"
REREAD = [table for table in read_surface().tables.values() if table.can_be_reread]
NODE_TABLES = [table.name for table in REREAD if not table.link]
LINK_TABLES = [table.name for table in REREAD if table.link]
DISCOVERED = ("dl_u_assignment", "dl_u_priority", "u_dl_site")
CLASSES = (ITEMS, PRODUCERS, GUIDES)
Op = Literal[
    "rename", "found", "insert", "delete", "move", "relink", "clear", "link", "unlink", "reorder", "script", "value",
    "match",
]  # fmt: skip
EXAMPLES = settings().max_examples // 10  # each is up to four runs
HISTORIES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(get_args(Op)),
            st.integers(0, 10_000),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)


def ways_of(run: dict[str, Any]) -> dict[str, str]:
    return {table["table_name"]: table["way"] for table in run["tables"]}


def asked_of(case: Case, since: int, *, table: str = "") -> list[dict[str, Any]]:
    requests = list(case.simulator.requests)[since:]
    reads = [dict(request) for request in requests if not is_canary(request)]
    return [request for request in reads if not table or request["table"] == table]


async def start(case: Case) -> int:
    """Read everything once; give how many requests there were so far."""
    await case.store_credentials()
    run = await case.sync()
    assert set(ways_of(run).values()) == {"whole"}
    return len(case.simulator.requests)


async def check_like_whole(case: Case) -> None:
    """Check the graph: reading everything finds nothing to change."""
    nodes, edges = await case.read_graph()
    run = await case.sync(mode="full")
    nodes_now, edges_now = await case.read_graph()
    assert [node for key, node in nodes.items() if nodes_now.get(key) != node] == []
    assert [edge for edge in edges if edge not in edges_now] == []
    assert run["state"] == "unchanged"


async def test_an_idle_run_asks_once_for_each_table_that_can_be_reread(case: Case) -> None:
    asked = await start(case)
    before = (await case.read_run((await case.sync())["run_id"]))["tables"]
    asked = len(case.simulator.requests)
    run = await case.sync()
    assert run["state"] == "unchanged"
    assert {table: way for table, way in ways_of(run).items() if table in NODE_TABLES} == dict.fromkeys(
        NODE_TABLES, "skipped"
    )
    for table in NODE_TABLES:
        for request in asked_of(case, asked, table=table):
            assert request["path"] == f"/api/now/stats/{table}"
    assert [
        asked_of(case, asked, table=table) for table in DISCOVERED if ways_of(run)[table] != "skipped"
    ] == []
    of_nodes = [r for r in asked_of(case, asked) if r["table"] in {*NODE_TABLES, *DISCOVERED}]
    assert len(of_nodes) == len(NODE_TABLES) + len(DISCOVERED) + 1, (
        "and one for the columns of those discovered"
    )
    kept = {row["table_name"]: (row["verdict"], row["as_of"], row["known"]) for row in before}
    for row in run["tables"]:
        if row["table_name"] in NODE_TABLES:
            assert (row["verdict"], row["as_of"], row["known"]) == kept[row["table_name"]]
            assert row["read"] == "skipped"


async def test_an_idle_run_writes_no_row_of_the_graph_or_of_what_is_known(case: Case) -> None:
    """Nor locks one, which would be written into the row and into the server's log."""
    await start(case)
    name = case.tenant.schema_name
    rows = " UNION ALL ".join(
        f"SELECT '{table}', xmin::text, xmax::text, ctid::text FROM {name}.{table}"  # noqa: S608  our own names
        for table in ("node", "edge", "node_history", "edge_history", "record", "feed")
    )
    before = await (await case.admin.execute(rows)).fetchall()
    assert (await case.sync())["state"] == "unchanged"
    assert await (await case.admin.execute(rows)).fetchall() == before


async def test_a_change_is_read_as_a_delta_and_checked(case: Case) -> None:
    asked = await start(case)
    [first, *_] = case.rows(GROUPS)
    case.simulator.instance.store.put(GROUPS, [{"sys_id": first["sys_id"], "name": "Renamed"}])
    new = {"sys_id": "f" * 32, "name": "New", "parent": first["sys_id"]}
    case.simulator.instance.store.put(GROUPS, [new])
    run = await case.sync()
    assert ways_of(run)[GROUPS] == "delta"
    assert (run["added"], run["changed"], run["removed"]) == (2, 1, 0)
    paths = [request["path"].split("/")[3] for request in asked_of(case, asked, table=GROUPS)]
    assert paths == ["stats", "table"]
    [page] = [r for r in asked_of(case, asked, table=GROUPS) if "/table/" in r["path"]]
    assert page["query"]["sysparm_query"].startswith("sys_updated_on>=")
    assert page["query"]["sysparm_display_value"] == "false"
    await check_like_whole(case)


async def test_a_deletion_is_found_by_the_keys_and_looked_up(case: Case) -> None:
    asked = await start(case)
    gone, renamed, *_ = case.rows(GROUPS)
    case.simulator.instance.store.delete(GROUPS, gone["sys_id"])
    case.simulator.instance.store.put(GROUPS, [{"sys_id": renamed["sys_id"], "name": "Renamed"}])
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("fetch", ("complete", 0))
    scans = [
        request
        for request in asked_of(case, asked, table=GROUPS)
        if request["query"].get("sysparm_fields") == "sys_id,sys_mod_count,sys_updated_on"
    ]
    assert len(scans) == 1
    nodes, _ = await case.read_graph()
    assert f"{GROUPS}:{gone['sys_id']}" not in nodes
    assert nodes[f"{GROUPS}:{renamed['sys_id']}"].name == "Renamed"
    await check_like_whole(case)


async def test_a_change_that_is_dated_back_is_found_by_the_keys(case: Case) -> None:
    """R13: nor do rows dated in the future keep a delta from seeing what changed before their date."""
    await start(case)
    first, second, *_ = case.rows(GROUPS)
    future, past = "2031-05-06 07:08:09", "2001-01-01 00:00:00"
    store = case.simulator.instance.store
    store.put(GROUPS, [{"sys_id": first["sys_id"], "name": "Future", "sys_updated_on": future}])
    assert ways_of(await case.sync())[GROUPS] == "delta"
    store.put(GROUPS, [{"sys_id": second["sys_id"], "name": "Now"}])
    assert ways_of(await case.sync())[GROUPS] == "delta"
    store.put(GROUPS, [{"sys_id": second["sys_id"], "name": "Past", "sys_updated_on": past}])
    assert ways_of(await case.sync())[GROUPS] == "fetch"
    nodes, _ = await case.read_graph()
    assert nodes[f"{GROUPS}:{first['sys_id']}"].name == "Future"
    assert nodes[f"{GROUPS}:{second['sys_id']}"].name == "Past"
    await check_like_whole(case)


async def test_keys_and_content_are_read_again_by_force_after_some_runs(case: Case) -> None:
    await start(case)
    ways = [ways_of(await case.sync(scan_every_runs=2, whole_every_runs=5))[GROUPS] for _ in range(6)]
    assert ways == ["skipped", "fetch", "skipped", "fetch", "whole", "skipped"]


async def test_a_row_that_is_shown_again_is_found_by_the_next_forced_read(case: Case) -> None:
    """Aggregates are blind to row ACLs: what is hidden is skipped with its verdict until then."""
    await case.store_credentials()
    hidden = case.rows(GROUPS)[4]["sys_id"]
    case.simulator.instance.access[GROUPS] = Access(hidden=frozenset({hidden}))
    run = await case.sync()
    assert verdict_of(run, GROUPS) == ("hidden", 1)
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("skipped", ("hidden", 1))
    run = await case.sync(scan_every_runs=1)
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("whole", ("complete", 0))
    nodes, _ = await case.read_graph()
    assert f"{GROUPS}:{hidden}" in nodes


async def test_a_change_in_a_table_with_hidden_rows_is_read_whole(case: Case) -> None:
    await case.store_credentials()
    hidden, first, *_ = (row["sys_id"] for row in case.rows(GROUPS))
    case.simulator.instance.access[GROUPS] = Access(hidden=frozenset({hidden}))
    await case.sync()
    case.simulator.instance.store.put(GROUPS, [{"sys_id": first, "name": "Renamed"}])
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("whole", ("hidden", 1))


async def test_a_bound_that_is_dropped_has_the_table_read_whole(case: Case) -> None:
    await start(case)
    case.simulator.instance.store.put(GROUPS, [{"sys_id": case.rows(GROUPS)[0]["sys_id"], "name": "R"}])
    case.simulator.instance.access[GROUPS] = Access(fields_hidden=frozenset({"sys_updated_on"}))
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("whole", ("complete", 0))
    nodes, _ = await case.read_graph()
    assert "R" in {node.name for node in nodes.values()}


async def test_what_may_not_be_aggregated_has_its_table_read_whole(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its count alone is told, with 200: no change would ever show in it."""
    said = Wanted.stats
    monkeypatch.setattr(Wanted, "stats", lambda wanted, rows: {**said(wanted, rows), "max": {}, "sum": {}})
    await start(case)
    case.simulator.instance.store.put(GROUPS, [{"sys_id": case.rows(GROUPS)[0]["sys_id"], "name": "R"}])
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("whole", ("complete", 0))
    nodes, _ = await case.read_graph()
    assert "R" in {node.name for node in nodes.values()}


async def test_a_table_that_was_refused_is_read_whole_when_it_is_allowed_again(case: Case) -> None:
    await start(case)
    case.simulator.instance.access[GROUPS] = Access(denied=True)
    assert verdict_of(await case.sync(), GROUPS) == ("denied", 0)
    case.simulator.instance.access.clear()
    assert ways_of(await case.sync())[GROUPS] == "whole"
    assert ways_of(await case.sync())[GROUPS] == "skipped"


async def test_a_run_goes_on_with_the_way_it_was_on(case: Case) -> None:
    """Each slice does one request of a table, be it of a delta, of a scan or of what differs."""
    await start(case)
    for table in (GROUPS, ITEMS):
        case.simulator.instance.store.put(
            table, [{"sys_id": row["sys_id"], "name": f"{row['name']} 2"} for row in case.rows(table)[:15]]
        )
    case.simulator.instance.store.delete(ITEMS, case.rows(ITEMS)[16]["sys_id"])
    run_id = await case.request_run()

    def drain_after_one(event: Event) -> None:
        case.events.append(event)
        if event.kind.name == "request.answered" and event.fields["table"] in {GROUPS, ITEMS}:
            case.parts.draining.set()

    stopping = dataclasses.replace(case, parts=dataclasses.replace(case.parts, emit=drain_after_one))
    slices = 0
    while (await case.read_run(run_id))["state"] in {"requested", "running"}:
        await stopping.work_slice(run_id, instance_concurrency=1)
        case.parts.draining.clear()
        slices += 1
    run = await case.read_run(run_id)
    assert slices > 3
    assert (ways_of(run)[GROUPS], ways_of(run)[ITEMS]) == ("delta", "fetch")
    await check_like_whole(case)


async def test_what_a_quarantined_run_read_is_read_again(case: Case) -> None:
    await start(case)
    for row in case.rows("sc_catalog"):
        case.simulator.instance.store.delete("sc_catalog", row["sys_id"])
    case.simulator.instance.store.put(GROUPS, [{"sys_id": "e" * 32, "name": "New"}])
    for _ in range(2):
        run = await case.sync()
        assert (run["state"], ways_of(run)[GROUPS]) == ("quarantined", "delta")


def change(case: Case, what: Op, number: int) -> None:
    """Change the instance as its administrators may."""
    store = case.simulator.instance.store

    def pick(table: str) -> str:
        rows = case.rows(table)
        return rows[number % len(rows)]["sys_id"]

    def put(table: str, **values: str) -> None:
        store.put(table, [{"sys_id": secrets.token_hex(16), **values}])

    def is_last(table: str, sys_id: str) -> bool:
        """Say whether it is the last of its class: an emptied table would wait for a person."""
        classes = {row["sys_id"]: row.get("sys_class_name", "") for row in case.rows(table)}
        return list(classes.values()).count(classes[sys_id]) == 1

    def delete(table: str) -> None:
        if not is_last(table, pick(table)):
            store.delete(table, pick(table))

    def move() -> None:
        if not is_last(ITEMS, item):
            put(ITEMS, sys_id=item, sys_class_name=made)

    renamed, made, gone = (
        (GROUPS, ITEMS)[number % 2],
        CLASSES[number % 3],
        (GROUPS, ITEMS, PRODUCERS)[number % 3],
    )
    item = pick(ITEMS)
    acts: dict[Op, Callable[[], None]] = {
        "rename": lambda: put(renamed, sys_id=pick(renamed), name=f"renamed {number}"),
        "found": lambda: put(GROUPS, name=f"founded {number}", parent=pick(GROUPS)),
        "insert": lambda: put(made, name=f"inserted {number}", group=pick(GROUPS)),
        "delete": lambda: delete(gone),
        "move": move,
        "relink": lambda: put(ITEMS, sys_id=item, group=pick(GROUPS)),
        "clear": lambda: put(ITEMS, sys_id=item, group="", category=""),
        "reorder": lambda: put("io_set_item", sys_id=pick("io_set_item"), order=str(number)),
        "script": lambda: put(RULES, sys_id=pick(RULES), script="gs.log(1);" if number % 3 else ""),
        "value": lambda: put(PROPERTIES, sys_id=pick(PROPERTIES), value=f"set {number}"),
        "match": lambda: put("u_dl_site", sys_id=pick("u_dl_site"), u_site=f"site {number}"),
        "link": lambda: put(LINKS, sc_cat_item=item, sc_category=pick("sc_category")),
        "unlink": lambda: delete(LINKS),
    }
    acts[what]()


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
async def test_whatever_happened_the_graph_is_that_of_a_whole_read(
    case: Case, history: list[list[tuple[Op, int]]]
) -> None:
    """Several runs that read less, on the same tenant over all histories: reading everything then changes nothing."""
    if not case.simulator.requests:
        await start(case)
    for steps in history:
        for what, number in steps:
            change(case, what, number)
        run = await case.sync()
        assert run["state"] in {"published", "unchanged"}, run["error"]
        assert {row["verdict"] for row in run["tables"]} == {"complete"}
    await check_like_whole(case)
