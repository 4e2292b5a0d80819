"""The steps that tests of findings have in common: records by their tables, one run of all of them, what it found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jobs.graph import EdgeLine, NodeLine, Source
from jobs.guard import Guard
from jobs.surface import read_surface
from jobs.verdict import Verdict
from tests.integration.postgres_steps import claim_fresh_run, publish, stage_table
from worker.postgres.connection import Connection
from worker.postgres.findings import Finding, read_findings
from worker.postgres.publishing import Publication
from worker.postgres.tenants import Tenant

GROUP, ITEM, PRODUCER, RULE = "sys_user_group", "sc_cat_item", "sc_cat_item_producer", "sysrule_assignment"
SERVICE, TEMPLATE = "sn_hr_core_service", "sn_hr_core_template"
LOOKUP, LOOKUP_SET, CHANNEL = "dl_definition", "dl_definition_rel_set", "awa_service_channel"
PLAN, TASK, TABLE, CATEGORY = (
    "sc_cat_item_delivery_plan", "sc_cat_item_delivery_task", "sys_db_object", "sc_category",
)  # fmt: skip
TABLES = (
    GROUP, CATEGORY, ITEM, PRODUCER, PLAN, TASK, RULE, LOOKUP, LOOKUP_SET, CHANNEL, SERVICE, TEMPLATE, TABLE,
)  # fmt: skip
SURFACE = read_surface()


def make(table: str, number: int, **attributes: str) -> NodeLine:
    """Make an active node, of the kind that the surface gives it."""
    described = SURFACE.tables[table]
    sys_id = f"u_table_{number}" if table == TABLE else f"{number:032x}"
    given = {"active": "true", **attributes}
    return NodeLine(
        f"{described.base}:{sys_id}", described.kind or "", table, sys_id, f"{table} {number}", given
    )


def link(kind: str, start: NodeLine, end: NodeLine | str, *, field: str = "group") -> EdgeLine:
    """Make an edge from a record's field."""
    table = start.id.partition(":")[0]
    return EdgeLine(
        kind, start.id, end if isinstance(end, str) else end.id, Source(table, start.sys_id, field), {}
    )


def rule(number: int, order: int, condition: str = "", **attributes: str) -> NodeLine:
    """Make an active assignment rule without a script."""
    return make(RULE, number, order=str(order), condition=condition, **{"opaque": "false", **attributes})


async def run_once(
    app: Connection, tenant: Tenant, nodes: Sequence[NodeLine], edges: Sequence[EdgeLine] = (), *,
    verdicts: Mapping[str, str] | None = None, without: Collection[str] = (), guard: Guard | None = None,
) -> Publication:  # fmt: skip
    """Read all tables, complete but for those whose verdict is given, and publish."""
    given = verdicts or {}
    run = await claim_fresh_run(app, tenant)
    for table in TABLES:
        if table not in without:
            await stage_table(
                app, run, table,
                [node for node in nodes if node.table == table],
                [edge for edge in edges if edge.from_id in {node.id for node in nodes if node.table == table}],
                depth=1 if table == PRODUCER else 0, verdict=Verdict(given.get(table, "complete")),  # type: ignore[arg-type]
            )  # fmt: skip
    closing = [table for table in TABLES if table not in given and table not in without]
    return await publish(app, run, closing=closing, guard=guard)


async def find(
    app: Connection, tenant: Tenant, nodes: Sequence[NodeLine], edges: Sequence[EdgeLine] = (), **changes: Any
) -> list[Finding]:
    """Publish and give the findings."""
    await run_once(app, tenant, nodes, edges, **changes)
    return (await read_findings(app, tenant, None))[1]


def told(findings: Sequence[Finding]) -> set[tuple[str, str, bool]]:
    """Give what was found of which nodes, and whether it is certain."""
    return {(one.finding, one.node_id, one.certain) for one in findings}
