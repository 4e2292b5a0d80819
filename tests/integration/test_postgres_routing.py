"""The neighbourhood of a node, read at a revision; and how a node is called."""

from __future__ import annotations

import pytest

from jobs.errors import UnknownNode
from jobs.routing.routes import find_routes
from tests.integration.postgres_steps import GROUP, ITEM, edge, node, publish_tables
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.routing import find_node, read_surroundings
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio

OLD, NEW, LAPTOP = (
    node(GROUP, 1, name="Old desk"),
    node(GROUP, 2, name="New desk"),
    node(ITEM, 1, name="Laptop"),
)


async def publish_twice(app: Connection, tenant: Tenant) -> None:
    """Let the laptop go to another group in the second revision, and the first group go."""
    for group in (OLD, NEW):
        tables = {GROUP: ([group], []), ITEM: ([LAPTOP, node(ITEM, 2, name="Twin"), node(ITEM, 3, name="twin")],
                  [edge(LAPTOP, group.id)])}  # fmt: skip
        await publish_tables(app, tenant, tables)


async def test_routes_are_those_of_the_revision(app: Connection, tenant: Tenant) -> None:
    await publish_twice(app, tenant)
    async with as_tenant(app, tenant.schema_name):
        for revision, group in ((1, OLD), (2, NEW)):
            found = await read_surroundings(app, tenant, revision, LAPTOP.id)
            [route] = find_routes(found.around)
            assert [step.end for step in route] == [group.id]
            assert found.nodes[group.id].name == group.name
            turned = await read_surroundings(app, tenant, revision, group.id)
            assert [hop.from_id for hop in turned.around.leading_to_group()] == [LAPTOP.id]


async def test_a_node_is_called_by_its_id_or_by_a_name_of_its_own(app: Connection, tenant: Tenant) -> None:
    await publish_twice(app, tenant)
    async with as_tenant(app, tenant.schema_name):
        for called in (LAPTOP.id, "Laptop", "laptop"):
            assert await find_node(app, tenant, 2, called) == LAPTOP.id
        assert await find_node(app, tenant, 1, "old desk") == OLD.id
        with pytest.raises(UnknownNode, match="no node of that id or name"):
            await find_node(app, tenant, 2, "old desk")
        with pytest.raises(UnknownNode, match=f"{ITEM}:{2:032x}, {ITEM}:{3:032x}"):
            await find_node(app, tenant, 2, "TWIN")


async def test_what_an_edge_leads_to_can_be_asked_for_though_it_is_no_node(
    app: Connection, tenant: Tenant
) -> None:
    outside = f"sys_user:{1:032x}"
    await publish_tables(app, tenant, {GROUP: ([OLD], [edge(OLD, outside)])})
    async with as_tenant(app, tenant.schema_name):
        assert await find_node(app, tenant, 1, outside) == outside
