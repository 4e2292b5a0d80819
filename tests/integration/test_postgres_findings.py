"""Findings: what is there is found, with its reason, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from jobs.graph import EdgeLine, NodeLine
from tests.integration.conftest import AddTenant
from tests.integration.findings_steps import (
    CATEGORY,
    CHANNEL,
    GROUP,
    ITEM,
    LOOKUP,
    LOOKUP_SET,
    PLAN,
    PRODUCER,
    RULE,
    SERVICE,
    TABLE,
    TASK,
    TEMPLATE,
    find,
    link,
    make,
    rule,
    run_once,
    told,
)
from worker.postgres.connection import Connection
from worker.postgres.findings import Finding, read_findings
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio


async def test_a_route_to_a_group_nobody_works_in_is_found_once_with_what_names_it(
    app: Connection, tenant: Tenant
) -> None:
    closed, item = make(GROUP, 1, active="false"), make(ITEM, 11)
    routes = [link("FULFILLED_BY", item, closed), link("FULFILLED_BY", item, closed, field="backup")]
    [found] = await find(app, tenant, [closed, item], routes)
    assert found == Finding(
        "route_to_inactive_group", item.id, item.name,
        {"group": closed.id, "name": closed.name, "state": "resolved",
         "by": ["FULFILLED_BY backup", "FULFILLED_BY group"]},
        certain=True, rests_on=[ITEM, GROUP],
    )  # fmt: skip


async def test_an_inactive_record_routes_nothing_and_what_only_names_a_group_is_no_route(
    app: Connection, tenant: Tenant
) -> None:
    closed, parent = make(GROUP, 1, active="false"), make(GROUP, 2)
    off = rule(21, 100, "a=b", active="false")
    edges = [link("ROUTES_TO", off, closed), link("CHILD_OF", parent, closed, field="parent")]
    assert await find(app, tenant, [closed, parent, off], edges) == []


async def test_a_group_that_was_deleted_is_missing_for_certain_and_one_never_seen_may_be_hidden(
    app: Connection, tenant: Tenant
) -> None:
    group, item, other = make(GROUP, 1), make(ITEM, 11), make(ITEM, 12)
    edges = [link("FULFILLED_BY", item, group), link("FULFILLED_BY", other, f"{GROUP}:{9:032x}")]
    [found] = await find(app, tenant, [group, item, other], edges)
    assert told([found]) == {("route_to_missing_group", other.id, False)}
    assert found.detail["cannot_know"].startswith("cannot know: the group was never read")
    await note_deleted(app, tenant, [group, item, other], edges, gone=group)
    _, both = await read_findings(app, tenant, None)
    assert told(both) == {
        ("route_to_missing_group", item.id, True),
        ("route_to_missing_group", other.id, False),
    }


async def note_deleted(
    app: Connection, tenant: Tenant, nodes: Sequence[NodeLine], edges: Sequence[EdgeLine], *, gone: NodeLine
) -> None:
    """Publish a run that did not give a node and learnt by looking it up that it is deleted."""
    schema = tenant.schema_name
    kept = [node for node in nodes if node.id != gone.id]
    async with app.transaction():
        await app.execute(f"SET LOCAL ROLE {schema}")
        await app.execute(f"INSERT INTO {schema}.missing VALUES (%s, 'deleted')", [gone.id])  # noqa: S608
    await run_once(app, tenant, kept, edges)


async def test_a_reference_to_what_was_deleted_dangles_and_one_to_what_no_complete_read_has_may(
    app: Connection, tenant: Tenant
) -> None:
    parent, group, other = make(GROUP, 1), make(GROUP, 2), make(GROUP, 3)
    edges = [
        link("CHILD_OF", group, parent, field="parent"),
        link("CHILD_OF", other, f"{GROUP}:{9:032x}", field="parent"),
        link("COSTED_TO", group, f"cmn_cost_center:{9:032x}", field="cost_center"),
    ]
    assert told(await find(app, tenant, [parent, group, other], edges)) == {
        ("dangling_reference", other.id, False)
    }
    await note_deleted(app, tenant, [parent, group, other], edges, gone=parent)
    _, found = await read_findings(app, tenant, None)
    assert told(found) == {("dangling_reference", group.id, True), ("dangling_reference", other.id, False)}
    assert found[0].detail == {"to": parent.id, "state": "deleted", "by": ["CHILD_OF parent"]}


async def test_what_is_not_there_after_an_incomplete_read_does_not_dangle(
    app: Connection, tenant: Tenant
) -> None:
    category = make(CATEGORY, 1)
    edges = [link("IN_CATALOGUE", category, f"sc_catalog:{9:032x}", field="sc_catalog")]
    assert await find(app, tenant, [category], edges) == []


ROUTES: dict[str, list[tuple[str, NodeLine | str]]] = {
    "group": [("FULFILLED_BY", make(GROUP, 1))],
    "workflow": [("RUNS_WORKFLOW", f"wf_workflow:{1:032x}")],
    "flow": [("RUNS_FLOW", f"sys_hub_flow:{1:032x}")],
    "plan": [("DELIVERED_BY", make(PLAN, 31))],
}
AROUND = [make(GROUP, 1), make(PLAN, 31), make(TASK, 41), make(PLAN, 32), make(TASK, 42)]
STEPS = [
    link("STEP_OF", AROUND[2], AROUND[1], field="delivery_plan"), link("FULFILLED_BY", AROUND[2], AROUND[0]),
    link("STEP_OF", AROUND[4], AROUND[3], field="delivery_plan"),
]  # fmt: skip


@pytest.mark.parametrize("way", ROUTES)
async def test_an_item_with_a_way_to_a_group_has_a_route(app: Connection, tenant: Tenant, way: str) -> None:
    item = make(ITEM, 11)
    edges = [link(kind, item, end, field="f") for kind, end in ROUTES[way]]
    assert await find(app, tenant, [*AROUND, item], [*STEPS, *edges]) == []


async def test_an_item_whose_plan_has_no_task_with_a_group_has_none(app: Connection, tenant: Tenant) -> None:
    item, off = make(ITEM, 11), make(ITEM, 12, active="false")
    edges = [*STEPS, link("DELIVERED_BY", item, AROUND[3], field="delivery_plan")]
    [found] = await find(app, tenant, [*AROUND, item, off], edges)
    assert told([found]) == {("item_without_route", item.id, True)}
    assert (found.detail, found.rests_on) == (
        {"kind": "catalogue_item", "creates_in": []}, sorted([ITEM, PLAN, TASK, RULE, LOOKUP]),
    )  # fmt: skip


async def test_an_item_that_something_else_may_route_is_uncertain_with_the_reason(
    app: Connection, add_fresh_tenant: AddTenant
) -> None:
    item, scripted = make(ITEM, 11), make(PLAN, 33, opaque="true")
    requested = rule(21, 100, "a=b")
    for nodes, edges, reason in (
        (
            [item, requested],
            [link("APPLIES_TO", requested, f"{TABLE}:sc_req_item", field="table")],
            "a rule of",
        ),
        (
            [item, scripted],
            [link("DELIVERED_BY", item, scripted, field="p")],
            "its delivery plan has a script",
        ),
        (
            [item],
            [link("DELIVERED_BY", item, f"{PLAN}:{9:032x}", field="p")],
            "its delivery plan is not there",
        ),
    ):
        found = await find(app, await add_fresh_tenant(), nodes, edges)
        [one] = [one for one in found if one.finding == "item_without_route"]
        assert not one.certain
        assert one.detail["cannot_know"].startswith(f"cannot know: {reason}")


def by_rule(target: str, **attributes: str) -> tuple[list[NodeLine], list[EdgeLine]]:
    one = rule(21, 100, "a=b", **attributes)
    return [one], [link("APPLIES_TO", one, target, field="table")]


def by_lookup(target: str, sets: str) -> tuple[list[NodeLine], list[EdgeLine]]:
    lookup, setting = make(LOOKUP, 51), make(LOOKUP_SET, 52, source_table_field=sets)
    return [lookup, setting], [
        link("APPLIES_TO", lookup, target, field="t"), link("SETS_FOR", setting, lookup, field="d"),
    ]  # fmt: skip


def by_channel(target: str) -> tuple[list[NodeLine], list[EdgeLine]]:
    channel = make(CHANNEL, 61)
    return [channel], [link("CHANNEL_OF", channel, target, field="table")]


OWN, ABOVE = make(TABLE, 1), make(TABLE, 2)


@pytest.mark.parametrize(
    ("around", "is_found"),
    [
        pytest.param(by_rule(OWN.id), False, id="a rule"),
        pytest.param(by_rule(ABOVE.id), False, id="a rule of the table it extends"),
        pytest.param(by_rule(OWN.id, active="false"), True, id="an inactive rule"),
        pytest.param(by_rule(f"{TABLE}:u_other"), True, id="a rule of another table"),
        pytest.param(by_lookup(OWN.id, "assignment_group"), False, id="a lookup of groups"),
        pytest.param(by_lookup(OWN.id, "priority"), True, id="a lookup of something else"),
        pytest.param(by_channel(OWN.id), False, id="a channel"),
        pytest.param(([], []), True, id="nothing"),
    ],
)
async def test_a_record_producer_has_a_route_where_its_table_has_one(
    app: Connection, tenant: Tenant, around: tuple[list[NodeLine], list[EdgeLine]], *, is_found: bool
) -> None:
    producer = make(PRODUCER, 11)
    edges = [
        link("CREATES_RECORD_IN", producer, OWN, field="table_name"), link("EXTENDS", OWN, ABOVE, field="super_class"),
        *around[1],
    ]  # fmt: skip
    found = await find(app, tenant, [producer, OWN, ABOVE, *around[0]], edges)
    assert told(found) == ({("item_without_route", producer.id, True)} if is_found else set())


async def test_a_table_whose_parents_are_not_read_leaves_a_producers_route_unknown(
    app: Connection, tenant: Tenant
) -> None:
    producer = make(PRODUCER, 11)
    [found] = await find(
        app, tenant, [producer], [link("CREATES_RECORD_IN", producer, f"{TABLE}:incident", field="t")]
    )
    assert found.detail["cannot_know"] == "cannot know: what incident extends is not read"


async def test_a_producer_that_an_hr_service_is_asked_by_is_routed_by_the_service(
    app: Connection, tenant: Tenant
) -> None:
    group, producer, service, template = (
        make(GROUP, 1),
        make(PRODUCER, 11),
        make(SERVICE, 71),
        make(TEMPLATE, 72),
    )
    edges = [
        link("ASKED_BY", service, producer, field="producer"),
        link("USES_TEMPLATE", service, template, field="template"),
        link("ROUTES_TO", template, group),
    ]  # fmt: skip
    assert await find(app, tenant, [group, producer, service, template], edges) == []


async def test_a_rule_after_one_that_takes_all_is_never_reached(app: Connection, tenant: Tenant) -> None:
    group = make(GROUP, 1)
    first, every, later, same = rule(1, 100, "a=b"), rule(2, 200, "^EQ"), rule(3, 1000), rule(4, 200, "c=d")
    off, elsewhere = rule(5, 300, active="false"), rule(6, 300)
    edges = [
        *(
            link("APPLIES_TO", one, f"{TABLE}:incident", field="table")
            for one in (first, every, later, same, off)
        ),
        link("APPLIES_TO", elsewhere, f"{TABLE}:problem", field="table"),
        *(link("ROUTES_TO", one, group) for one in (first, every, later, same, off, elsewhere)),
    ]
    [found] = await find(app, tenant, [group, first, every, later, same, off, elsewhere], edges)
    assert told([found]) == {("rule_never_reached", later.id, True)}
    assert found.detail == {"rule": every.id, "order": 200, "table": f"{TABLE}:incident"}


async def test_a_rule_with_a_script_or_none_that_was_read_does_not_take_all_for_certain(
    app: Connection, add_fresh_tenant: AddTenant
) -> None:
    group = make(GROUP, 1)
    known = rule(1, 100)
    attributes = {name: value for name, value in known.attributes.items() if name != "opaque"}
    unread = msgspec.structs.replace(known, attributes=attributes)
    for before, expected in ((rule(1, 100, opaque="true"), None), (unread, False)):
        after = rule(2, 200, "a=b")
        edges = [link("APPLIES_TO", one, f"{TABLE}:incident", field="table") for one in (before, after)]
        edges += [link("ROUTES_TO", one, group) for one in (before, after)]
        found = await find(app, await add_fresh_tenant(), [group, before, after], edges)
        assert [one.certain for one in found] == ([] if expected is None else [expected])


async def test_cycles_of_parents_are_found_whatever_hangs_below_them(app: Connection, tenant: Tenant) -> None:
    groups = [make(GROUP, number) for number in range(1, 40)]
    up = {number: number + 1 for number in range(1, 39)}  # a long chain
    up |= {20: 5, 30: 30, 38: 31}  # 5 to 20, 30 alone, 31 to 38; 1 to 4 and 21 to 29 hang below
    edges = [link("CHILD_OF", groups[a - 1], groups[b - 1], field="parent") for a, b in up.items()]
    one, other = make(CATEGORY, 1), make(CATEGORY, 2)
    edges += [link("CHILD_OF", one, other, field="parent"), link("CHILD_OF", other, one, field="parent")]
    found = await find(app, tenant, [*groups, one, other], edges)
    assert {one.finding for one in found} == {"parent_cycle"}
    assert {(found.node_id, found.detail["length"]) for found in found} == {
        (groups[4].id, 16), (groups[29].id, 1), (groups[30].id, 8), (one.id, 2),
    }  # fmt: skip
    [short] = [found for found in found if found.node_id == one.id]
    assert short.detail["nodes"] == [one.id, other.id]
    assert short.rests_on == [CATEGORY]


async def test_an_hr_service_without_template_or_group_is_found_with_what_else_may_give_it_one(
    app: Connection, tenant: Tenant
) -> None:
    group, good, bare = make(GROUP, 1), make(TEMPLATE, 72), make(TEMPLATE, 73)
    routed, none, no_group, by_flow = (make(SERVICE, number) for number in range(80, 84))
    off = make(SERVICE, 84, active="false")
    edges = [
        link("ROUTES_TO", good, group), link("USES_TEMPLATE", routed, good, field="template"),
        link("USES_TEMPLATE", no_group, bare, field="template"), link("USES_TEMPLATE", by_flow, bare, field="template"),
        link("RUNS_FLOW", by_flow, f"sys_hub_flow:{1:032x}", field="flow"),
    ]  # fmt: skip
    found = await find(app, tenant, [group, good, bare, routed, none, no_group, by_flow, off], edges)
    assert told(found) == {
        ("service_without_template", none.id, True),
        ("service_without_group", no_group.id, True),
        ("service_without_group", by_flow.id, False),
    }
