"""Routes over a small graph that is read level by level, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.routing import routes as bounds
from jobs.routing.moves import ENGINE_TABLES, MOVES
from jobs.routing.routes import MOST_STEPS, Hop, Neighbourhood, Route, find_routes
from jobs.routing.words import Named, Teller, ToldStep
from jobs.surface import read_surface

ITEM, GROUP, TABLE, RULE = "sc_cat_item:1", "sys_user_group:1", "sys_db_object:u_desk", "sysrule_assignment:1"
LOOKUP, ROWS, ROW = "dl_definition:1", "sys_db_object:u_dl", "dl_matcher:1"
COMPLETE = dict.fromkeys([*ENGINE_TABLES, *read_surface().tables], "complete")


def hop(start: str, kind: str, end: str, *, field: str = "f", state: str = "resolved") -> Hop:
    table = start.partition(":")[0]
    return Hop(start, kind, end, f"{start}:{field}", state, table)


def gather(start: str, hops: list[Hop]) -> Neighbourhood:
    """Read a neighbourhood as the database would answer its questions."""
    around = Neighbourhood(start)
    while asked := around.ask():
        around.add(
            edge
            for edge in hops
            if (edge.from_id in asked.out_of and edge.kind in asked.out_kinds)
            or (edge.to_id in asked.in_to and edge.kind in asked.in_kinds)
        )
    return around


def nodes_of(route: Route) -> list[str]:
    return [route[0].start, *(step.end for step in route)]


def walk(start: str, hops: list[Hop]) -> list[list[str]]:
    return [nodes_of(route) for route in find_routes(gather(start, hops))]


def tell(
    start: str,
    hops: list[Hop],
    attributes: Mapping[str, Mapping[str, str]] | None = None,
    *,
    verdicts: Mapping[str, str] = COMPLETE,
) -> list[list[ToldStep]]:
    around = gather(start, hops)
    nodes = {
        node: Named("kind", f"name of {node}", {"opaque": "false", **(attributes or {}).get(node, {})})
        for node in around.nodes()
    }
    return Teller(around, nodes, verdicts).tell(find_routes(around))


RULED = [
    hop(ITEM, "CREATES_RECORD_IN", TABLE),
    hop(RULE, "APPLIES_TO", TABLE),
    hop(RULE, "ROUTES_TO", GROUP),
]
LOOKED_UP = [
    hop(LOOKUP, "APPLIES_TO", TABLE),
    hop(LOOKUP, "LOOKS_IN", ROWS),
    hop(ROW, "ROW_OF", ROWS),
    hop(ROW, "NAMES", GROUP, field="u_group"),
]


def test_every_way_of_the_platform_to_a_group_is_a_route() -> None:
    plan, task = "sc_cat_item_delivery_plan:1", "sc_cat_item_delivery_task:1"
    service, template = "sn_hr_core_service:1", "sn_hr_core_template:1"
    channel, queue, pool = "awa_service_channel:1", "awa_queue:1", "awa_eligibility_pool:1"
    hops = [
        *RULED,
        *LOOKED_UP,
        hop(ITEM, "FULFILLED_BY", GROUP),
        hop(ITEM, "DELIVERED_BY", plan),
        hop(task, "STEP_OF", plan),
        hop(task, "FULFILLED_BY", GROUP),
        hop(service, "ASKED_BY", ITEM),
        hop(service, "USES_TEMPLATE", template),
        hop(template, "ROUTES_TO", GROUP),
        hop(channel, "CHANNEL_OF", TABLE),
        hop(queue, "IN_CHANNEL", channel),
        hop(pool, "POOL_OF", queue),
        hop(pool, "ROUTES_TO", GROUP),
    ]
    assert sorted(walk(ITEM, hops)) == sorted(
        [
            [ITEM, GROUP],
            [ITEM, plan, task, GROUP],
            [ITEM, service, template, GROUP],
            [ITEM, TABLE, RULE, GROUP],
            [ITEM, TABLE, LOOKUP, ROWS, ROW, GROUP],
            [ITEM, TABLE, channel, queue, pool, GROUP],
        ]
    )
    assert [ITEM, "wf_workflow:1"] in walk(ITEM, [hop(ITEM, "RUNS_WORKFLOW", "wf_workflow:1")])


def test_every_move_goes_by_an_edge_that_the_surface_gives() -> None:
    tables = read_surface().tables.values()
    kinds = {reference.kind for table in tables for reference in table.references.values()}
    kinds |= {table.link.kind for table in tables if table.link} | {"NAMES"}
    assert {move.kind for move in MOVES} <= kinds


IDS = [f"{table}:{number}" for table in ("sys_db_object", "sysrule_assignment", "dl_definition", "sc_cat_item",
       "sn_hr_core_service", "dl_matcher", "sys_user_group") for number in (1, 2)]  # fmt: skip
KINDS = sorted({move.kind for move in MOVES})


@given(
    st.lists(st.builds(hop, st.sampled_from(IDS), st.sampled_from(KINDS), st.sampled_from(IDS)), max_size=60)
)
def test_whatever_goes_round_in_a_circle_the_routes_come_to_an_end(hops: list[Hop]) -> None:
    for start in IDS:
        for route in find_routes(gather(start, hops)):
            nodes = nodes_of(route)
            assert nodes[0] == start
            assert len(nodes) == len(set(nodes)) <= MOST_STEPS + 1


def test_more_edges_or_routes_than_are_followed_are_said_to_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_ROUTES", 3)
    hops = [hop(ITEM, "FULFILLED_BY", f"sys_user_group:{number}") for number in range(4)]
    around = gather(ITEM, hops)
    assert len(find_routes(around)) == 3
    assert around.truncated
    cut = Neighbourhood(ITEM)
    cut.add(hops, cut=True)
    assert (cut.truncated, cut.ask()) == (True, None)


def test_a_certain_route_has_reasons_and_no_doubt() -> None:
    [route] = tell(ITEM, RULED, {RULE: {"order": "100"}})
    assert [step.reason for step in route] == [
        "the producer creates records in table u_desk",
        f"assignment rule 'name of {RULE}' of table u_desk (order 100)",
        "group of the assignment rule",
    ]
    assert [step.notes for step in route] == [(), (), ()]


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        ({"opaque": "true"}, "a script decides, which is never read"),
        ({"active": "false"}, "it is inactive"),
        ({"condition": "priority=1"}, "only if priority=1"),
    ],
)
def test_what_is_not_certain_about_a_rule_is_said(attributes: dict[str, str], note: str) -> None:
    [route] = tell(ITEM, RULED, {RULE: attributes})
    assert note in route[1].notes


def test_a_table_that_was_not_read_whole_and_a_dangling_group_are_doubts() -> None:
    dangling = [*RULED[:2], hop(RULE, "ROUTES_TO", GROUP, state="hidden")]
    [route] = tell(ITEM, dangling, verdicts={**COMPLETE, "sysrule_assignment": "denied"})
    assert route[1].notes == ("table sysrule_assignment is denied",)
    assert "the other end is hidden" in route[2].notes


def test_an_earlier_rule_may_take_the_work_and_engines_have_no_order() -> None:
    other = "sysrule_assignment:2"
    hops = [*RULED, *LOOKED_UP, hop(other, "APPLIES_TO", TABLE), hop(other, "ROUTES_TO", GROUP)]
    told = tell(ITEM, hops, {RULE: {"order": "200"}, other: {"order": "100"}})
    notes = {step.from_id: step.notes for route in told for step in route if step.kind == "APPLIES_TO"}
    assert "unless an earlier rule matches" in notes[RULE]
    assert "unless an earlier rule matches" not in notes[other]
    assert all(any("in no defined order" in note for note in route[-1].notes) for route in told)


def test_a_row_that_is_only_matched_by_its_group_leads_nowhere() -> None:
    match = [hop("dl_definition_rel_match:1", "MATCHES_FOR", LOOKUP)]
    sets = [hop("dl_definition_rel_set:1", "SETS_FOR", LOOKUP)]
    column = {"matcher_table_field": "u_group"}
    named = {"dl_definition_rel_match:1": column, "dl_definition_rel_set:1": column}
    assert tell(LOOKUP, [*LOOKED_UP, *match], named) == []
    assert len(tell(LOOKUP, [*LOOKED_UP, *match, *sets], named)) == 1


def test_a_group_is_told_what_leads_to_it() -> None:
    around = gather(GROUP, [*RULED, hop(ITEM, "FULFILLED_BY", GROUP)])
    assert find_routes(around) == []
    assert {edge.from_id for edge in around.leading_to_group()} == {RULE, ITEM}


def test_rows_are_gone_through_only_where_a_lookup_looks_and_rules_only_where_none_does() -> None:
    into_rows = hop(ITEM, "CREATES_RECORD_IN", ROWS)
    assert walk(ITEM, [into_rows, *LOOKED_UP[2:]]) == []
    looked_at = [*LOOKED_UP[:2], hop(RULE, "APPLIES_TO", ROWS), hop(RULE, "ROUTES_TO", GROUP)]
    assert walk(LOOKUP, looked_at) == []
