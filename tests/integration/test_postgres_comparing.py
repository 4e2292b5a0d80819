"""The difference of any two revisions, in either order, is that of their exports."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish,
    publish_tables,
    read_lines,
    stage_table,
)
from tests.integration.test_postgres_history import READS, Model, Read, table_of
from worker.postgres.comparing import Order, stream_changes
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

Lines = dict[tuple[str, str], dict[str, Any]]


async def read_changes(
    app: Connection, tenant: Tenant, start: int, end: int, *, order: Order = "id"
) -> list[Any]:
    async with as_tenant(app, tenant.schema_name):
        stream = stream_changes(app, tenant, from_revision=start, to_revision=end, order=order)
        return [change async for change in stream]


async def read_keyed(app: Connection, tenant: Tenant, revision: int) -> Lines:
    """Give a revision's lines by what they are and are called."""
    keyed: Lines = {}
    for line in await read_lines(app, tenant, revision):
        found = json.loads(line)
        what = found.pop("type")
        source = ":".join(found["source"].values()) if what == "edge" else ""
        name = found["id"] if what == "node" else f"{found['from']} {found['kind']} {found['to']} {source}"
        keyed[what, name] = found
    return keyed


def compare(before: Lines, after: Lines) -> set[tuple[str, str, str]]:
    """Give what differs between two exports: what, how, and its id."""
    return {
        (what, "added" if (what, name) not in before else "removed", name)
        for what, name in before.keys() ^ after.keys()
    } | {
        (what, "changed", name)
        for what, name in before.keys() & after.keys()
        if before[what, name] != after[what, name]
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=st.lists(READS, min_size=2, max_size=5))
async def test_two_revisions_differ_as_their_exports_do(
    app: Connection, add_fresh_tenant: AddTenant, reads: list[Read]
) -> None:
    tenant = await add_fresh_tenant()
    model, revisions = Model(), 0
    for read in reads:
        nodes, edges = model.apply(read)
        run = await claim_fresh_run(app, tenant)
        for table in (GROUP, ITEM):
            own = [line for line in nodes if table_of(line.id) == table]
            await stage_table(app, run, table, own, [e for e in edges if e.source.table == table])
        revisions += (await publish(app, run, closing=read.whole)).outcome == "published"
    exports = {number: await read_keyed(app, tenant, number) for number in range(1, revisions + 1)}
    for start, end in itertools.product(exports, repeat=2):
        found = await read_changes(app, tenant, start, end)
        assert {(c.what, c.change, c.id) for c in found} == compare(exports[start], exports[end])
        for change in found:
            assert change.before == exports[start].get((change.what, change.id))
            assert change.after == exports[end].get((change.what, change.id))
        sections = [(c.what == "edge", c.change) for c in found]
        assert sections == sorted(sections)


async def test_changes_have_the_names_of_both_ends_and_how_many_are_alike(
    app: Connection, tenant: Tenant
) -> None:
    group, items = (
        node(GROUP, 1, name="Network"),
        [node(ITEM, number, name=f"i{number}") for number in (1, 2)],
    )
    await publish_tables(app, tenant, {GROUP: ([group], []), ITEM: ([], [])})
    edges = [edge(item, group.id) for item in items]
    await publish_tables(app, tenant, {GROUP: ([group], []), ITEM: (items, edges)})
    changes = await read_changes(app, tenant, 1, 2, order="kind")
    assert [(c.what, c.change, c.alike) for c in changes] == [("node", "added", 2)] * 2 + [
        ("edge", "added", 2)
    ] * 2
    assert {c.names for c in changes if c.what == "edge"} == {("i1", "Network"), ("i2", "Network")}
    assert {c.names for c in await read_changes(app, tenant, 2, 1) if c.what == "edge"} == {
        ("i1", "Network"),
        ("i2", "Network"),
    }
