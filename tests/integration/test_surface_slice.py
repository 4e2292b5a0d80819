"""The whole surface read by a slice from a made instance: every table, its flags and values, and nothing else.

The database is real, so what is kept is what the graph says; the simulator's log says what was asked.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from jobs.events import Event
from jobs.filters import name_fields
from jobs.graph import EdgeLine, NodeLine
from jobs.surface import read_surface
from ops.simulator.access import Access
from tests.integration.slice_case import Case, is_canary

pytestmark = pytest.mark.anyio
SURFACE = read_surface()
DISCOVERED = {"dl_u_assignment", "dl_u_priority", "u_dl_site"}
RULES, FLAGGED = "sysrule_assignment", [table.name for table in SURFACE.tables.values() if table.flags]


def verdicts_of(run: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {table["table_name"]: (table["verdict"], table["reason"]) for table in run["tables"]}


def stored(case: Case, table: str) -> dict[str, dict[str, str]]:
    return {row["sys_id"]: row for row in case.simulator.store.rows(table)}


def nodes_of(nodes: dict[str, NodeLine], kind: str) -> list[NodeLine]:
    return [node for node in nodes.values() if node.kind == kind]


def ends_of(edges: list[EdgeLine], kind: str) -> set[tuple[str, str]]:
    return {(edge.from_id, edge.to_id) for edge in edges if edge.kind == kind}


async def test_every_table_of_the_surface_and_every_discovered_one_is_read_whole(case: Case) -> None:
    run = await case.sync()
    verdicts = verdicts_of(run)
    assert run["state"] == "published"
    assert set(verdicts) == {*SURFACE.tables, *DISCOVERED}
    assert set(verdicts.values()) == {("complete", None)}


async def test_what_is_asked_is_the_surface_and_what_follows_from_it_and_nothing_else(case: Case) -> None:
    """The request log names only surface tables and fields; a query compares nothing that only a script has."""
    await case.sync()
    asked = [request for request in case.simulator.requests if request["table"]]
    assert {request["method"] for request in asked} == {"GET"}
    assert {request["table"] for request in asked} == {*SURFACE.tables, *DISCOVERED}
    flags = {column for table in SURFACE.tables.values() for flag in table.flags.values() for column in flag}
    for request in asked:
        table = SURFACE.tables.get(request["table"])
        fields = set(request["query"].get("sysparm_fields", "sys_id").split(","))
        if table is None:
            continue
        allowed = {*table.asked, *(["value"] if table.values else [])}
        if is_canary(request):
            continue
        assert fields <= allowed
        query = re.sub(
            r"\^?(ORDERBYsys_id|sys_id>[0-9a-f]{32})", "", request["query"].get("sysparm_query", "")
        )
        assert name_fields(query) <= allowed | flags
    assert not [request for request in asked if "sysparm_display_value=true" in str(request["query"])]


async def test_no_canary_reaches_the_database(case: Case) -> None:
    """People, scripts, default values, secret properties and forbidden tables: nothing of them is kept."""
    await case.sync()
    names = (
        "node", "edge", "node_history", "edge_history", "table_read", "staged_page", "revision", "described",
    )  # fmt: skip
    for name in names:
        cursor = await case.admin.execute(
            f"SELECT count(*) AS found FROM {case.tenant.schema_name}.{name} n WHERE n::text LIKE '%CANARY%'"  # noqa: S608
        )
        assert await cursor.fetchone() == {"found": 0}, name
    cursor = await case.admin.execute(
        "SELECT count(*) AS found FROM control.audit_events e WHERE e::text LIKE '%CANARY%'"
    )
    assert await cursor.fetchone() == {"found": 0}


@pytest.mark.parametrize("table", FLAGGED)
async def test_a_rule_is_opaque_just_when_it_has_a_script(case: Case, table: str) -> None:
    await case.sync()
    nodes, _ = await case.read_graph()
    columns = SURFACE.tables[table].flags["opaque"]
    rows = stored(case, table)
    told = {sys_id: nodes[f"{table}:{sys_id}"].attributes["opaque"] for sys_id in rows}
    expected = {sys_id: str(any(row[name] for name in columns)).lower() for sys_id, row in rows.items()}
    assert told == expected


@pytest.mark.parametrize(
    "access", [{}, {"refuses_fields": True}], ids=["dropped with 200", "refused with 403"]
)
async def test_a_script_that_may_not_be_asked_about_leaves_the_rule_neither_opaque_nor_clear(
    case: Case, access: dict[str, Any]
) -> None:
    case.simulator.instance.access[RULES] = Access(fields_hidden=frozenset({"script"}), **access)
    run = await case.sync()
    verdict, reason = verdicts_of(run)[RULES]
    assert verdict == "complete"
    assert reason is not None
    assert "opaque" in reason
    nodes, _ = await case.read_graph()
    assert not [node for node in nodes_of(nodes, "assignment_rule") if "opaque" in node.attributes]


async def test_a_dropped_question_is_noticed_behind_hidden_rows_too(case: Case) -> None:
    """Counts see hidden rows and answers do not: fewer rows than counted is no sign that the predicate held."""
    hidden = frozenset(sorted(stored(case, RULES))[:12])
    case.simulator.instance.access[RULES] = Access(fields_hidden=frozenset({"script"}), hidden=hidden)
    run = await case.sync()
    assert verdicts_of(run)[RULES][0] == "hidden"
    nodes, _ = await case.read_graph()
    assert not [node for node in nodes_of(nodes, "assignment_rule") if "opaque" in node.attributes]


async def test_an_instance_that_answers_unknown_fields_with_no_row_clears_no_rule(case: Case) -> None:
    case.simulator.instance.returns_no_rows = True
    del case.simulator.store.declare(RULES).spec.columns["script"]
    await case.sync()
    nodes, _ = await case.read_graph()
    rules = nodes_of(nodes, "assignment_rule")
    assert rules
    assert not [node for node in rules if "opaque" in node.attributes]


@pytest.mark.parametrize("scripted", [True, False], ids=["all", "none"])
async def test_rules_that_all_have_a_script_or_all_have_none_are_told_so(
    case: Case, *, scripted: bool
) -> None:
    script = "gs.info('CANARY');" if scripted else ""
    case.simulator.store.put(RULES, [{"sys_id": sys_id, "script": script} for sys_id in stored(case, RULES)])
    await case.sync()
    nodes, _ = await case.read_graph()
    told = {node.attributes["opaque"] for node in nodes_of(nodes, "assignment_rule")}
    assert told == {str(scripted).lower()}


async def test_a_lookups_row_names_its_groups_and_no_person(case: Case) -> None:
    await case.sync()
    nodes, edges = await case.read_graph()
    rows = stored(case, "u_dl_site")
    named = ends_of(edges, "NAMES")
    for sys_id, row in rows.items():
        node = nodes[f"dl_matcher:{sys_id}"]
        assert (node.kind, node.table) == ("lookup_row", "u_dl_site")
        assert node.attributes == {"active": "true", "order": row["order"], "u_site": row["u_site"]}
        groups = {row["u_group"], *row["u_backups"].split(",")} - {""}
        assert {to for start, to in named if start == node.id} == {
            f"sys_user_group:{group}" for group in groups
        }
        assert (node.id, "sys_db_object:u_dl_site") in ends_of(edges, "ROW_OF")
    lookups = ends_of(edges, "LOOKS_IN")
    assert {to for _, to in lookups} == {f"sys_db_object:{name}" for name in DISCOVERED}


async def test_tables_are_called_by_their_names_and_found_by_them(case: Case) -> None:
    await case.sync()
    nodes, edges = await case.read_graph()
    tables = {node.id: node for node in nodes_of(nodes, "table")}
    assert set(tables) == {
        f"sys_db_object:{name}"
        for name in ("u_dl_site", "u_facility", "x_acme_device", "x_acme_device_printer")
    }
    assert tables["sys_db_object:u_facility"].sys_id == "u_facility"
    extends = ("sys_db_object:x_acme_device_printer", "sys_db_object:x_acme_device")
    assert extends in ends_of(edges, "EXTENDS")
    states = {edge.to_id: edge.state for edge in edges if edge.kind in {"APPLIES_TO", "CREATES_RECORD_IN"}}
    assert states["sys_db_object:u_facility"] == "resolved"
    assert states["sys_db_object:incident"] == "unknown"
    own = {to for _, to in ends_of(edges, "COLUMN_OF")}
    assert {"sys_db_object:incident", "sys_db_object:u_facility"} <= own


async def test_values_are_those_of_the_list_and_of_the_setting_and_no_other(case: Case) -> None:
    await case.sync(property_names=("x_acme.switch.3", "glide.smtp.auth"))
    nodes, _ = await case.read_graph()
    properties = {node.name: node.attributes for node in nodes_of(nodes, "property")}
    assert len(properties) == len(stored(case, "sys_properties"))
    valued = {name: attributes["value"] for name, attributes in properties.items() if "value" in attributes}
    assert valued.pop("x_acme.switch.3") == "CANARY-VALUE-3"
    assert valued["glide.appcreator.company.code"] == "acme"
    assert set(valued) <= set(SURFACE.tables["sys_properties"].values)
    assert not [value for value in valued.values() if "CANARY" in value]


async def test_an_edge_of_a_many_to_many_row_keeps_what_the_row_says(case: Case) -> None:
    await case.sync()
    _, edges = await case.read_graph()
    granted = {edge.source.sys_id: edge.attributes for edge in edges if edge.kind == "GRANTS"}
    rows = stored(case, "sys_group_has_role")
    assert granted == {sys_id: {"inherits": row["inherits"]} for sys_id, row in rows.items()}


async def test_a_filter_that_the_instance_drops_fails_the_table_and_keeps_nothing_of_it(case: Case) -> None:
    case.simulator.instance.access["sys_db_object"] = Access(fields_hidden=frozenset({"name"}))
    run = await case.sync()
    verdict, reason = verdicts_of(run)["sys_db_object"]
    assert verdict == "failed"
    assert reason is not None
    assert "filter" in reason
    nodes, _ = await case.read_graph()
    assert nodes_of(nodes, "table") == []


async def test_a_lookups_table_whose_columns_cannot_be_read_is_not_read_and_says_why(case: Case) -> None:
    """R4: a column left out because the dictionary hid it would be a silent gap."""
    entries = case.simulator.store.rows("sys_dictionary")
    hidden = [row["sys_id"] for row in entries if (row["name"], row["element"]) == ("u_dl_site", "u_group")]
    case.simulator.instance.access["sys_dictionary"] = Access(hidden=frozenset(hidden))
    run = await case.sync()
    verdicts = verdicts_of(run)
    for name in DISCOVERED:
        verdict, reason = verdicts[name]
        assert verdict == "unknown"
        assert reason is not None
        assert reason.startswith("its columns could not be read: 1 rows exist")
    nodes, _ = await case.read_graph()
    kept = {node.table for node in nodes_of(nodes, "lookup_row")}
    assert kept == DISCOVERED, "their rows are known by dl_matcher, with its own columns"


@pytest.mark.parametrize(
    "access", [Access(denied=True), Access(hidden=frozenset("*"))], ids=["403", "no row"]
)
async def test_a_dictionary_that_shows_nothing_leaves_lookups_unread_and_the_rest_whole(
    case: Case, access: Access
) -> None:
    case.simulator.instance.access["sys_dictionary"] = access
    run = await case.sync()
    verdicts = {name: verdict for name, (verdict, _) in verdicts_of(run).items()}
    assert {verdicts.pop(name) for name in DISCOVERED} == {"unknown"}
    assert verdicts.pop("sys_dictionary") in {"denied", "hidden"}
    assert set(verdicts.values()) == {"complete"}


async def test_a_lookup_in_a_table_that_is_none_of_a_lookups_reads_nothing_of_it(case: Case) -> None:
    named = {"name": "Odd", "active": "true", "source_table": "incident"}
    odd = [
        {**named, "sys_id": f"{place:032x}", "matcher_table": table}
        for place, table in enumerate(("incident", "u_employee_list", "sys_user", "not a name!"))
    ]
    case.simulator.store.put("dl_definition", odd)
    run = await case.sync()
    verdicts = verdicts_of(run)
    for name in ("incident", "u_employee_list", "sys_user"):
        verdict, reason = verdicts[name]
        assert verdict == "unknown"
        assert reason is not None
        assert "not read" in reason
    touched = {request["table"] for request in case.simulator.requests}
    assert touched.isdisjoint({"incident", "u_employee_list", "sys_user", "not a name!"})


async def test_an_instance_without_data_lookups_and_hr_has_gaps_and_no_failure(case: Case) -> None:
    for name in SURFACE.tables:
        if name.startswith(("dl_", "sn_hr_")):
            case.simulator.instance.access[name] = Access(absent=True)
    run = await case.sync()
    verdicts = {name: verdict for name, (verdict, _) in verdicts_of(run).items()}
    assert run["state"] == "published"
    assert set(verdicts) == set(SURFACE.tables)
    absent = {name for name, verdict in verdicts.items() if verdict == "absent"}
    assert absent == {name for name in SURFACE.tables if name.startswith(("dl_", "sn_hr_"))}


async def test_discovered_rows_leave_the_graph_when_their_tables_were_read_whole(case: Case) -> None:
    await case.sync()
    gone, *_ = stored(case, "u_dl_site")
    case.simulator.store.delete("u_dl_site", gone)
    run = await case.sync()
    assert run["state"] == "published"
    nodes, _ = await case.read_graph()
    assert f"dl_matcher:{gone}" not in nodes
    assert {node.table for node in nodes_of(nodes, "lookup_row")} == DISCOVERED


async def test_a_lookups_row_gets_its_own_columns_as_soon_as_they_can_be_read(case: Case) -> None:
    """Also while some row of all lookups is hidden: what a subclass says stands in place of what its parent said."""
    case.simulator.instance.access["sys_dictionary"] = Access(denied=True)
    await case.sync()
    hidden, *_ = stored(case, "dl_u_priority")
    del case.simulator.instance.access["sys_dictionary"]
    case.simulator.instance.access["dl_matcher"] = Access(hidden=frozenset({hidden}))
    run = await case.sync(mode="full")
    assert verdicts_of(run)["dl_matcher"][0] == "hidden"
    nodes, _ = await case.read_graph()
    for sys_id, row in stored(case, "u_dl_site").items():
        assert nodes[f"dl_matcher:{sys_id}"].attributes["u_site"] == row["u_site"]


async def test_a_run_in_many_slices_discovers_in_the_last_and_comes_to_the_same_graph(case: Case) -> None:
    await case.sync()
    whole = await case.read_graph()
    run_id = await case.request_run()
    judged: list[Event] = []
    case.events.clear()
    case.simulator.clear_requests()

    def drain_now_and_then(event: Event) -> None:
        case.events.append(event)
        if event.kind.name == "table.judged":
            judged.append(event)
            if len(judged) % 5 == 0:
                case.parts.draining.set()

    parts = dataclasses.replace(case.parts, emit=drain_now_and_then)
    slices = 0
    while (await case.read_run(run_id))["state"] == "requested":
        slices += 1
        case.parts.draining.clear()
        await dataclasses.replace(case, parts=parts).work_slice(run_id, instance_concurrency=1)
    run = await case.read_run(run_id)
    assert slices > 2
    assert run["state"] == "unchanged"
    assert case.names().count("run.yielded") == slices - 1
    described = [request for request in case.simulator.requests if "nameINdl_u" in str(request["query"])]
    assert len(described) < 2 * slices, "discovered by the slice that had come so far, not by each"
    assert set(verdicts_of(run)) == {*SURFACE.tables, *DISCOVERED}
    assert await case.read_graph() == whole
