"""Routes are told twice, by `graph_v1_routes` and by `graph explain`: of every start, in the same words."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator

import pytest

from jobs.graph import EdgeLine, NodeLine
from jobs.routing.moves import MOVES
from jobs.routing.routes import MOST_ROUTES, find_routes
from jobs.routing.words import Teller
from jobs.verdict import Verdict
from ops.simulator.access import Access
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    node,
    publish,
    read_own,
    stage_table,
)
from tests.integration.slice_case import Case
from tests.integration.test_consumers_routes import (
    CHANNEL,
    LOOKUP,
    MATCH,
    PLAN,
    POOL,
    QUEUE,
    ROW,
    RULE,
    SERVICE,
    SET,
    TASK,
    TEMPLATE,
    link,
    made,
    publish_graph,
)
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.reading import read_head
from worker.postgres.routing import read_surroundings
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

# A step: where it begins and ends, by which edge, why, and whether it is certain.
Told = list[tuple[str, str, str, str, str, bool]]

TABLE, OF_EACH = "sys_db_object", 6
TABLES = [f"{TABLE}:u_made_{number}" for number in range(3)]
NAMED = (ITEM, PLAN, TASK, SERVICE, TEMPLATE, RULE, LOOKUP, ROW, SET, MATCH, CHANNEL, QUEUE, POOL, GROUP)
# Every reference of the surface that work goes by: whose, the edge, whither, and the most that a record has of it.
REFERENCES = (
    (ITEM, "FULFILLED_BY", GROUP, 1), (ITEM, "DELIVERED_BY", PLAN, 1), (ITEM, "CREATES_RECORD_IN", TABLE, 1),
    (ITEM, "RUNS_WORKFLOW", "wf_workflow", 1), (ITEM, "RUNS_FLOW", "sys_hub_flow", 1),
    (PLAN, "CREATES_RECORD_IN", TABLE, 1), (TASK, "STEP_OF", PLAN, 1), (TASK, "FULFILLED_BY", GROUP, 1),
    (SERVICE, "ASKED_BY", ITEM, 1), (SERVICE, "USES_TEMPLATE", TEMPLATE, 1), (SERVICE, "CREATES_RECORD_IN", TABLE, 1),
    (SERVICE, "RUNS_WORKFLOW", "wf_workflow", 1), (SERVICE, "RUNS_FLOW", "sys_hub_flow", 1),
    (TEMPLATE, "ROUTES_TO", GROUP, 1), (TEMPLATE, "CREATES_RECORD_IN", TABLE, 1),
    (RULE, "APPLIES_TO", TABLE, 1), (RULE, "ROUTES_TO", GROUP, 1),
    (LOOKUP, "APPLIES_TO", TABLE, 1), (LOOKUP, "LOOKS_IN", TABLE, 1),
    (SET, "SETS_FOR", LOOKUP, 1), (MATCH, "MATCHES_FOR", LOOKUP, 1),
    (ROW, "ROW_OF", TABLE, 1), (ROW, "NAMES", GROUP, 3),
    (CHANNEL, "CHANNEL_OF", TABLE, 1), (QUEUE, "IN_CHANNEL", CHANNEL, 1), (POOL, "POOL_OF", QUEUE, 1),
    (POOL, "ROUTES_TO", GROUP, 2),
)  # fmt: skip
VALUES = {
    "active": ("true", "true", "false", None), "opaque": ("false", "false", "true", None),
    "condition": ("", "", None, "a=1^EQ", "b='%2$s'; {end}"), "order": ("100", "100", "200", "-5", "", "many", None),
    "matcher_table_field": ("field_0", "field_1", "field_2", None),
}  # fmt: skip
NAMES = ("Desk", "", 'It\'s "one"', "%1$s {start} %", "a\u202eb\nc")
DOUBTED = (ITEM, GROUP, ROW, RULE, LOOKUP, QUEUE, "u_made_0")


def make_graph(chance: random.Random) -> tuple[list[NodeLine], list[EdgeLine]]:
    """Make a few records of every table, with whatever values, that refer to each other, to nobody, and in circles."""
    nodes = []
    for table, number in itertools.product(NAMED, range(1, OF_EACH + 1)):
        chosen = {name: chance.choice(values) for name, values in VALUES.items()}
        attributes = {name: value for name, value in chosen.items() if value is not None}
        nodes.append(node(table, number, name=chance.choice(NAMES), attributes=attributes))
    tables = [NodeLine(name, "made_up", TABLE, name.partition(":")[2], "A table", {}) for name in TABLES[:2]]
    return [*nodes, *tables], list(_refer(nodes, chance))


def _refer(nodes: list[NodeLine], chance: random.Random) -> Iterator[EdgeLine]:
    for line in nodes:
        for table, kind, end, most in REFERENCES:
            if line.id.startswith(f"{table}:"):
                for number in range(most):
                    if chance.random() < 0.8:
                        # one more than there are: a reference that does not resolve
                        to = (
                            chance.choice(TABLES)
                            if end == TABLE
                            else f"{end}:{chance.randint(1, OF_EACH + 1):032x}"
                        )
                        yield link(kind, line, to, field=f"field_{number}")


async def tell_by_sql(app: Connection, tenant: Tenant, start: str) -> list[Told]:
    """Give the routes as consumers are told of them."""
    query = "SELECT * FROM {tenant}.graph_v1_routes(%s) ORDER BY route, step"
    told: list[Told] = []
    for row in await read_own(app, query, start, within=tenant):
        if row["step"] == 1:
            told.append([])
        told[-1].append(
            (row["from_id"], row["direction"], row["kind"], row["to_id"], row["reason"], row["certain"])
        )
    return told


async def tell_by_words(app: Connection, tenant: Tenant, start: str) -> list[Told]:
    """Give the routes as `graph explain` tells them."""
    head = await read_head(app, tenant, None)
    found = await read_surroundings(app, tenant, head.revision, start)
    routes = Teller(found.around, found.nodes, found.verdicts).tell(find_routes(found.around))
    assert not found.around.truncated
    return [
        [
            (
                *(
                    (step.from_id, "out", step.kind, step.to_id)
                    if step.direction == "out"
                    else (step.to_id, "in", step.kind, step.from_id)
                ),
                "; ".join([step.reason, *step.notes]),
                not step.notes,
            )
            for step in route
        ]
        for route in routes
    ]


async def compare(app: Connection, tenant: Tenant) -> tuple[int, set[str]]:
    """Compare what is told of every node, and of everything an edge leads to; give the routes' number and kinds."""
    count, kinds, over = 0, set(), dict[str, set[str]]()
    async with as_tenant(app, tenant.schema_name):
        ids = "SELECT node_id FROM {tenant}.node UNION SELECT to_id FROM {tenant}.edge ORDER BY node_id"
        for row in await read_own(app, ids, within=tenant):
            by_sql = await tell_by_sql(app, tenant, row["node_id"])
            assert len(by_sql) <= MOST_ROUTES
            assert await tell_by_words(app, tenant, row["node_id"]) == by_sql
            count += len(by_sql)
            kinds |= {f"{step[2]} {step[1]}" for route in by_sql for step in route}
            for end in {step[3] for route in by_sql for step in route}:
                over.setdefault(end, set()).add(row["node_id"])
        for end, starts in over.items():
            affected = "SELECT node_id FROM {tenant}.graph_v1_affected(%s)"
            assert {row["node_id"] for row in await read_own(app, affected, end, within=tenant)} >= starts
    return count, kinds


async def test_the_moves_are_the_same_table(app: Connection, tenant: Tenant) -> None:
    async with as_tenant(app, tenant.schema_name):
        rows = await read_own(app, "SELECT * FROM {tenant}.routing_move ORDER BY move", within=tenant)
    places = {"start": "%1$s", "end": "%2$s", "start_key": "%3$s", "end_key": "%4$s", "field": "%5$s"}
    by_words = [
        (
            number,
            move.at,
            move.direction,
            move.kind,
            move.to or None,
            [] if move.is_first else [move.after] if move.after else None,
            [move.not_after] if move.not_after else None,
            move.engine or None,
            re.sub(r"\{(\w+)\}", lambda found: places[found[1]], move.words),
        )
        for number, move in enumerate(MOVES, 1)
    ]
    assert [tuple(row.values()) for row in rows] == by_words


@pytest.mark.parametrize("seed", range(6))
async def test_routes_of_made_graphs_are_told_the_same(seed: int, app: Connection, tenant: Tenant) -> None:
    """Circles, what is inactive, scripted or conditional, what refers to nothing, and tables that were not read."""
    chance = random.Random(seed)  # noqa: S311 - for a made graph
    nodes, edges = make_graph(chance)
    verdicts = {
        table: Verdict(chance.choice(("denied", "hidden", "absent", "failed")))
        for table in chance.sample(DOUBTED, k=seed % 4)
    }
    await publish_graph(app, tenant, nodes, edges, **verdicts)
    count, kinds = await compare(app, tenant)
    assert count > 100  # or nothing was compared
    assert len({f"{move.kind} {move.direction}" for move in MOVES} - kinds) <= 1  # chance may leave one out


async def test_routes_of_an_instance_are_told_the_same(case: Case) -> None:
    """Of the simulator's instance, read by a run."""
    await case.sync()
    count, kinds = await compare(case.app, case.tenant)
    assert count > 200  # or nothing was compared
    assert kinds >= {
        "FULFILLED_BY out",
        "STEP_OF in",
        "USES_TEMPLATE out",
        "NAMES out",
        "POOL_OF in",
        "RUNS_FLOW out",
    }


async def test_an_instance_that_denies_a_lookups_own_table_leaves_its_rules_in_doubt(case: Case) -> None:
    """It has a verdict by its own name, in a crawl as in made graphs."""
    case.simulator.instance.access["dl_u_assignment"] = Access(denied=True)
    await case.sync()
    async with as_tenant(case.app, case.tenant.schema_name):
        routes = await tell_by_sql(case.app, case.tenant, "sys_db_object:incident")
        assert await tell_by_words(case.app, case.tenant, "sys_db_object:incident") == routes
    assert routes
    for route in routes:
        assert "table dl_u_assignment is denied" in route[0][4]


async def test_both_go_by_the_verdicts_of_the_newest_run_that_left_the_revision_in_force(
    app: Connection, tenant: Tenant
) -> None:
    """The second run changes nothing and may no longer read the rules."""
    item, group = made(ITEM, 1, "Laptop"), made(GROUP, 2, "Desk")
    lines = {ITEM: ([item], [link("FULFILLED_BY", item, group)]), GROUP: ([group], [])}
    for verdict in (Verdict("complete"), Verdict("denied")):
        run = await claim_fresh_run(app, tenant)
        for table, (nodes, edges) in lines.items():
            if table == GROUP or verdict.closes:
                await stage_table(app, run, table, nodes, edges)
            else:
                await stage_table(app, run, table, verdict=verdict)
        await publish(app, run, closing=[GROUP])
    async with as_tenant(app, tenant.schema_name):
        [[step]] = await tell_by_words(app, tenant, item.id)
        assert [[step]] == await tell_by_sql(app, tenant, item.id)
    assert step[4:] == ("fulfilment group of the item; table sc_cat_item is denied", False)
