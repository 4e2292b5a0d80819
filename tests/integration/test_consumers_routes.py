"""Who handles what: the routes from an item, a service or a table to groups, each step with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.graph import EdgeLine, NodeLine, Source
from jobs.verdict import Verdict
from tests.integration.consumer_case import ask
from tests.integration.postgres_steps import (
    COMPLETE,
    GROUP,
    ITEM,
    claim_fresh_run,
    node,
    publish,
    stage_table,
)
from tests.integration.test_postgres_plans import walk
from worker.postgres.connection import Connection
from worker.postgres.staging import begin_table, judge_table
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

RULE, LOOKUP, ROW, SET, MATCH = (
    "sysrule_assignment", "dl_definition", "dl_matcher", "dl_definition_rel_set", "dl_definition_rel_match",
)  # fmt: skip
PLAN, TASK = "sc_cat_item_delivery_plan", "sc_cat_item_delivery_task"
SERVICE, TEMPLATE = "sn_hr_core_service", "sn_hr_core_template"
CHANNEL, QUEUE, POOL = "awa_service_channel", "awa_queue", "awa_eligibility_pool"
ENGINES = (RULE, LOOKUP, ROW, CHANNEL, QUEUE, POOL)
INCIDENT, MATCHER = "sys_db_object:incident", "sys_db_object:dl_u_assignment"
PLAIN = {"active": "true", "opaque": "false", "condition": ""}

GROUPS = [node(GROUP, number, name=f"group {number}", attributes={"active": "true"}) for number in range(6)]
Route = list[tuple[str, str, bool]]


def made(table: str, number: int, name: str, **attributes: str) -> NodeLine:
    """Make an active node without condition and script, unless told otherwise."""
    return node(table, number, name=name, attributes={**PLAIN, **attributes})


def link(kind: str, start: NodeLine, end: NodeLine | str, *, field: str = "field") -> EdgeLine:
    table, target = start.id.partition(":")[0], end if isinstance(end, str) else end.id
    return EdgeLine(kind, start.id, target, Source(table, start.sys_id, field), {})


async def publish_graph(
    app: Connection, tenant: Tenant, nodes: list[NodeLine], edges: list[EdgeLine], **verdicts: Verdict
) -> None:
    """Publish a graph, with all engines' tables read whole unless a verdict says otherwise; lookups' own tables too."""
    run = await claim_fresh_run(app, tenant)
    tables = {GROUP, *ENGINES, *(line.id.partition(":")[0] for line in nodes)}
    for table in sorted(tables):
        own = [line for line in nodes if line.id.startswith(f"{table}:")]
        said = [line for line in edges if line.source.table == table]
        await stage_table(app, run, table, own, said, verdict=verdicts.get(table, COMPLETE))
    for table in sorted({line.to_id.partition(":")[2] for line in edges if line.kind == "LOOKS_IN"}):
        await begin_table(app, run, table=table, counted=0, requests=1, events=[])
        verdict = verdicts.get(table, COMPLETE)
        await judge_table(app, run, table=table, verdict=verdict, requests=1, events=[])
    await publish(app, run, closing=sorted(tables - set(verdicts)))


async def read_routes(reader: Connection, tenant: Tenant, node_id: str) -> list[Route]:
    """Give each route as its steps: the kind, the reason, and whether it is certain. The steps must join."""
    rows = await ask(
        reader, "SELECT * FROM {tenant}.graph_v1_routes(%s) ORDER BY route, step", node_id, within=tenant
    )
    routes: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        routes.setdefault(row["route"], []).append(row)
    for steps in routes.values():
        assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
        assert [step["from_id"] for step in steps] == [node_id, *(step["to_id"] for step in steps[:-1])]
    assert list(routes) == list(range(1, len(routes) + 1))
    return [[(step["kind"], step["reason"], step["certain"]) for step in steps] for steps in routes.values()]


async def test_an_items_own_group_is_certain_where_nothing_else_assigns(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    item = made(ITEM, 10, "Laptop")
    await publish_graph(app, tenant, [*GROUPS, item], [link("FULFILLED_BY", item, GROUPS[0])])
    assert await read_routes(reader, tenant, item.id) == [
        [("FULFILLED_BY", "fulfilment group of the item", True)]
    ]


DOUBTS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, Verdict], str]] = {
    "inactive item": ({"active": "false"}, {}, {}, "the start is inactive"),
    "inactive group": ({}, {"active": "false"}, {}, "it is inactive"),
    "table denied": ({}, {}, {ITEM: Verdict("denied")}, "table sc_cat_item is denied"),
    "table hidden": ({}, {}, {ITEM: Verdict("hidden")}, "table sc_cat_item is hidden"),
}


@pytest.mark.parametrize("case", DOUBTS)
async def test_a_step_that_is_not_certain_says_why(
    case: str, app: Connection, reader: Connection, tenant: Tenant
) -> None:
    of_item, of_group, verdicts, reason = DOUBTS[case]
    item, group = made(ITEM, 10, "Laptop", **of_item), made(GROUP, 1, "Desk", **of_group)
    await publish_graph(app, tenant, [group, item], [link("FULFILLED_BY", item, group)], **verdicts)
    assert await read_routes(reader, tenant, item.id) == [
        [("FULFILLED_BY", f"fulfilment group of the item; {reason}", False)]
    ]


async def test_a_group_that_is_no_node_ends_a_route_that_is_not_certain(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    item = made(ITEM, 10, "Laptop")
    await publish_graph(app, tenant, [item], [link("FULFILLED_BY", item, GROUPS[0])])
    [[(_, reason, certain)]] = await read_routes(reader, tenant, item.id)
    assert (reason, certain) == ("fulfilment group of the item; the other end is unknown", False)


async def test_a_workflow_is_where_what_is_read_ends(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    """An item with a group and a workflow: neither is said to win."""
    item = made(ITEM, 10, "Laptop")
    edges = [link("FULFILLED_BY", item, GROUPS[0]), link("RUNS_WORKFLOW", item, f"wf_workflow:{7:032x}")]
    await publish_graph(app, tenant, [*GROUPS, item], edges)
    routes = await read_routes(reader, tenant, item.id)
    assert [[certain for *_, certain in route] for route in routes] == [[False], [False]]
    reasons = {kind: reason for [(kind, reason, _)] in routes}
    assert reasons["FULFILLED_BY"].endswith("so may a workflow, in no defined order")
    assert "what it assigns is never read" in reasons["RUNS_WORKFLOW"]


async def test_a_delivery_plan_gives_each_task_to_its_group(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    item, plan = made(ITEM, 10, "Laptop"), made(PLAN, 20, "Delivery")
    tasks = [
        made(TASK, 30, "Order", order="100"),
        made(TASK, 31, "Ship", order="200", condition="active=true"),
        made(TASK, 32, "Install", order="300", opaque="true"),
    ]
    edges = [link("DELIVERED_BY", item, plan)]
    for place, task in enumerate(tasks):
        edges += [link("STEP_OF", task, plan), link("FULFILLED_BY", task, GROUPS[place])]
    await publish_graph(app, tenant, [*GROUPS, item, plan, *tasks], edges)
    first = ("DELIVERED_BY", "delivery plan 'Delivery' of the item", True)
    assert await read_routes(reader, tenant, item.id) == [
        [first, ("STEP_OF", "delivery task 'Order' of its plan (order 100)", True),
         ("FULFILLED_BY", "group of the delivery task 'Order'", True)],
        [first, ("STEP_OF", "delivery task 'Ship' of its plan (order 200); only if active=true", False),
         ("FULFILLED_BY", "group of the delivery task 'Ship'", True)],
        [first, ("STEP_OF", "delivery task 'Install' of its plan (order 300); a script decides, which is never read",
                 False),
         ("FULFILLED_BY", "group of the delivery task 'Install'", True)],
    ]  # fmt: skip


def build_rules() -> tuple[NodeLine, list[NodeLine], list[EdgeLine]]:
    """Give a producer of incidents and two rules of that table: the first with a condition, the second takes all."""
    producer = made(ITEM, 10, "Report a fault")
    rules = [
        made(RULE, 40, "Network", order="100", condition="category=network"),
        made(RULE, 41, "Rest", order="200"),
        made(RULE, 42, "Late", order="300"),
    ]
    edges = [link("CREATES_RECORD_IN", producer, INCIDENT)]
    for place, rule in enumerate(rules):
        edges += [link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[place])]
    return producer, rules, edges


async def test_a_producers_records_go_by_the_rules_of_their_table(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    producer, rules, edges = build_rules()
    await publish_graph(app, tenant, [*GROUPS, producer, *rules], edges)
    routes = await read_routes(reader, tenant, producer.id)
    first = ("CREATES_RECORD_IN", "the producer creates records in table incident", True)
    assert [route[0] for route in routes] == [first] * 3
    rule = "assignment rule '{}' of table incident (order {})"
    assert [route[1] for route in routes] == [
        ("APPLIES_TO", rule.format("Network", 100) + "; only if category=network", False),
        ("APPLIES_TO", rule.format("Rest", 200) + "; unless an earlier rule matches", False),
        ("APPLIES_TO", rule.format("Late", 300) + "; unless an earlier rule matches", False),
    ]
    assert {route[2][1:] for route in routes} == {("group of the assignment rule", True)}


async def test_a_rule_that_takes_all_is_certain_and_a_table_has_routes_though_it_is_no_node(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    rule = made(RULE, 41, "All", order="100")
    edges = [link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[0])]
    await publish_graph(app, tenant, [*GROUPS, rule], edges)
    assert [[step[2] for step in route] for route in await read_routes(reader, tenant, INCIDENT)] == [
        [True, True]
    ]


async def test_nothing_is_certain_of_a_table_while_an_engine_cannot_be_read(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    rule = made(RULE, 41, "All", order="100")
    edges = [link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[0])]
    await publish_graph(
        app, tenant, [*GROUPS, rule], edges, **{LOOKUP: Verdict("denied"), QUEUE: Verdict("absent")}
    )
    [[(_, reason, certain), _]] = await read_routes(reader, tenant, INCIDENT)
    assert (certain, reason.partition("; ")[2]) == (False, "table dl_definition is denied")


async def test_nothing_is_certain_of_a_table_while_what_its_lookup_looks_in_cannot_be_read(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    rule, lookup = made(RULE, 41, "All", order="100"), made(LOOKUP, 50, "By category")
    edges = [
        link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[0]), link("APPLIES_TO", lookup, INCIDENT),
        link("LOOKS_IN", lookup, MATCHER),
    ]  # fmt: skip
    await publish_graph(app, tenant, [*GROUPS, rule, lookup], edges, dl_u_assignment=Verdict("denied"))
    [[(_, reason, certain), _]] = await read_routes(reader, tenant, INCIDENT)
    assert (certain, reason.partition("; ")[2]) == (False, "table dl_u_assignment is denied")


def build_lookup() -> tuple[list[NodeLine], list[EdgeLine]]:
    """Give a lookup of incidents with one row, which is matched by one group and sets another."""
    lookup, row = made(LOOKUP, 50, "By category"), made(ROW, 51, "row", order="10")
    sets = made(SET, 52, "set", matcher_table_field="assignment_group")
    match = made(MATCH, 53, "match", matcher_table_field="u_owner_group")
    return [lookup, row, sets, match], [
        link("APPLIES_TO", lookup, INCIDENT),
        link("LOOKS_IN", lookup, MATCHER),
        link("SETS_FOR", sets, lookup),
        link("MATCHES_FOR", match, lookup),
        link("ROW_OF", row, MATCHER),
        link("NAMES", row, GROUPS[4], field="assignment_group"),
        link("NAMES", row, GROUPS[5], field="u_owner_group"),
    ]


async def test_a_lookup_leads_to_the_group_it_sets_and_not_to_the_one_it_matches_by(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    nodes, edges = build_lookup()
    await publish_graph(app, tenant, [*GROUPS, *nodes], edges)
    [route] = await read_routes(reader, tenant, INCIDENT)
    assert [(kind, certain) for kind, _, certain in route] == [
        ("APPLIES_TO", True), ("LOOKS_IN", True), ("ROW_OF", False), ("NAMES", True)
    ]  # fmt: skip
    assert route[2][1] == "a row of that table (order 10); only for records that the row fits"
    assert route[3][1] == "group in the row's column assignment_group"


async def test_the_work_grows_with_the_rows_of_a_lookup_and_not_with_their_square(
    admin: Connection, app: Connection, reader: Connection, tenant: Tenant
) -> None:
    """Many rules and many rows that share their tables: no row looks at what else is in them."""
    nodes, edges = build_lookup()
    rows = [made(ROW, 1000 + number, "row", order="10") for number in range(1500)]
    rules = [made(RULE, 5000 + number, "rule", order="10") for number in range(1500)]
    for row in rows:
        edges += [link("ROW_OF", row, MATCHER), link("NAMES", row, GROUPS[4], field="assignment_group")]
    for rule in rules:
        edges += [link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[3])]
    await publish_graph(app, tenant, [*GROUPS, *nodes, *rows, *rules], edges)
    await admin.execute(f"ANALYZE {tenant.schema_name}.node, {tenant.schema_name}.edge".encode())

    explain = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM {tenant}.graph_v1_routes(%s)"
    [plan] = await ask(reader, explain, INCIDENT, within=tenant)
    looked_at = sum(
        (part["Actual Rows"] + part.get("Rows Removed by Filter", 0)) * part["Actual Loops"]
        for part in walk(plan["QUERY PLAN"][0]["Plan"])
        if part.get("Relation Name") == "edge"
    )
    assert len(rows) < looked_at < 20 * len(edges)


async def test_no_engine_is_said_to_win_over_another(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    nodes, edges = build_lookup()
    rule = made(RULE, 41, "All", order="100")
    channel, queue, pool = (
        made(CHANNEL, 60, "Chat"),
        made(QUEUE, 61, "Desk", order="5"),
        made(POOL, 62, "pool"),
    )
    edges += [
        link("APPLIES_TO", rule, INCIDENT), link("ROUTES_TO", rule, GROUPS[0]),
        link("CHANNEL_OF", channel, INCIDENT), link("IN_CHANNEL", queue, channel), link("POOL_OF", pool, queue),
        link("ROUTES_TO", pool, GROUPS[1]), link("ROUTES_TO", pool, GROUPS[2]),
    ]  # fmt: skip
    await publish_graph(app, tenant, [*GROUPS, *nodes, rule, channel, queue, pool], edges)
    routes = await read_routes(reader, tenant, INCIDENT)
    assert len(routes) == 4
    assert not any(route[-1][2] for route in routes)
    told = {route[-1][1].partition("; ")[2] for route in routes}
    assert told == {
        "so may data lookups, work assignment, in no defined order",
        "so may assignment rules, work assignment, in no defined order",
        "so may assignment rules, data lookups, in no defined order",
    }


async def test_an_hr_service_goes_by_its_template_and_its_producer_leads_to_it(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    service, template, producer = (
        made(SERVICE, 70, "Payslip"),
        made(TEMPLATE, 71, "Pay"),
        made(ITEM, 72, "Ask HR"),
    )
    other = made(SERVICE, 73, "Other")
    edges = [
        link("USES_TEMPLATE", service, template), link("ROUTES_TO", template, GROUPS[0]),
        link("ASKED_BY", service, producer), link("ASKED_BY", other, producer),
        link("RUNS_FLOW", other, f"sys_hub_flow:{8:032x}"),
    ]  # fmt: skip
    await publish_graph(app, tenant, [*GROUPS, service, other, template, producer], edges)
    by_template = [
        ("USES_TEMPLATE", "template 'Pay' of the service", True),
        ("ROUTES_TO", "assignment group of the template", True),
    ]
    # the other service, which is asked for by the same producer, is no way of this one
    assert await read_routes(reader, tenant, service.id) == [by_template]
    from_producer = await read_routes(reader, tenant, producer.id)
    assert [[kind for kind, *_ in route] for route in from_producer] == [
        ["ASKED_BY", "RUNS_FLOW"], ["ASKED_BY", "USES_TEMPLATE", "ROUTES_TO"]
    ]  # fmt: skip


async def test_what_has_no_way_to_a_group_has_no_route(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    item, rule = made(ITEM, 10, "Laptop"), made(RULE, 41, "Scripted", opaque="true")
    edges = [link("CREATES_RECORD_IN", item, INCIDENT), link("APPLIES_TO", rule, INCIDENT)]
    await publish_graph(app, tenant, [*GROUPS, item, rule], edges)
    assert await read_routes(reader, tenant, item.id) == []
    assert await read_routes(reader, tenant, GROUPS[0].id) == []


async def test_what_is_affected_by_a_node_is_whatever_has_a_route_over_it(
    app: Connection, reader: Connection, tenant: Tenant
) -> None:
    """Each start's routes are compared with what its ends say of it."""
    producer, rules, edges = build_rules()
    nodes, of_lookup = build_lookup()
    plan, task, item = made(PLAN, 20, "Delivery"), made(TASK, 30, "Order"), made(ITEM, 11, "Laptop")
    service, template = made(SERVICE, 70, "Payslip"), made(TEMPLATE, 71, "Pay")
    edges += [
        *of_lookup,
        link("DELIVERED_BY", item, plan), link("STEP_OF", task, plan), link("FULFILLED_BY", task, GROUPS[3]),
        link("USES_TEMPLATE", service, template), link("ROUTES_TO", template, GROUPS[3]),
        link("ASKED_BY", service, producer),
    ]  # fmt: skip
    everything = [*GROUPS, producer, *rules, *nodes, plan, task, item, service, template]
    await publish_graph(app, tenant, everything, edges)
    over: dict[str, set[str]] = {}
    for start in (*(line.id for line in everything), INCIDENT):
        for row in await ask(reader, "SELECT * FROM {tenant}.graph_v1_routes(%s)", start, within=tenant):
            over.setdefault(row["to_id"], set()).add(start)
    for end in (GROUPS[0], GROUPS[3], GROUPS[4]):
        rows = await ask(
            reader, "SELECT node_id, steps FROM {tenant}.graph_v1_affected(%s)", end.id, within=tenant
        )
        assert {row["node_id"] for row in rows} == over[end.id]
        assert len(rows) == len(over[end.id])
    names = "SELECT name, steps FROM {tenant}.graph_v1_affected(%s) ORDER BY steps, name"
    assert [tuple(row.values()) for row in await ask(reader, names, GROUPS[3].id, within=tenant)] == [
        ("Order", 1), ("Pay", 1), ("Delivery", 2), ("Payslip", 2), ("Laptop", 3), ("Report a fault", 3)
    ]  # fmt: skip
    assert GROUPS[5].id not in over


async def test_a_circle_ends(app: Connection, reader: Connection, tenant: Tenant) -> None:
    """A matcher that is its own lookup's source, and a service that its own producer asks for."""
    nodes, edges = build_lookup()
    edges += [link("APPLIES_TO", nodes[0], MATCHER)]
    producer, service = made(ITEM, 72, "Ask"), made(SERVICE, 70, "Payslip")
    edges += [link("ASKED_BY", service, producer), link("CREATES_RECORD_IN", producer, MATCHER)]
    await publish_graph(app, tenant, [*GROUPS, *nodes, producer, service], edges)
    assert await read_routes(reader, tenant, service.id) == []
    assert [row[0][0] for row in await read_routes(reader, tenant, INCIDENT)] == ["APPLIES_TO"]
    affected = await ask(reader, "SELECT * FROM {tenant}.graph_v1_affected(%s)", GROUPS[4].id, within=tenant)
    assert INCIDENT in {row["node_id"] for row in affected}
