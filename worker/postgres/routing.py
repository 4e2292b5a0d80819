"""The neighbourhood of a node at a revision, as far as work can go from it. As the tenant."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.errors import UnknownNode
from jobs.routing.routes import MOST_EDGES, Hop, Neighbourhood
from jobs.routing.words import Named
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.tenants import Tenant

_MOST_NAMESAKES = 10


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A start's neighbourhood, the nodes in it by id, and each table's verdict.

    What is no node of the revision is absent. Of the revision in force the verdicts are those of the newest run that
    left it so, as for consumers.
    """

    around: Neighbourhood
    nodes: dict[str, Named]
    verdicts: dict[str, str]


async def find_node(connection: Connection, tenant: Tenant, revision: int, called: str) -> str:
    """Give the id of the node that is called so, by its id or by a name that no other has; else UnknownNode."""
    found = await fetch_rows(
        connection, "tenant", "read_called", within=tenant.schema_name, revision=revision, called=called,
        limit=_MOST_NAMESAKES + 1,
    )  # fmt: skip
    ids = [str(row["node_id"]) for row in found]
    if ids and (ids[0] == called or len(ids) == 1):
        return ids[0]
    if not ids:
        raise UnknownNode(
            f"Revision {revision} of {tenant.name} has no node of that id or name: `zaptik graph export "
            f"{tenant.name}` has them all."
        )
    more = ", and more" if len(ids) > _MOST_NAMESAKES else ""
    raise UnknownNode(
        f"Several nodes have that name: name one by its id. They are {', '.join(ids[:_MOST_NAMESAKES])}{more}."
    )


async def read_surroundings(
    connection: Connection, tenant: Tenant, revision: int, start: str
) -> Surroundings:
    """Read what routes from a node can lead over, level by level, at most MOST_EDGES edges."""
    around = Neighbourhood(start)
    while (asked := around.ask()) is not None:
        rows = await fetch_rows(
            connection, "tenant", "read_steps", within=tenant.schema_name, revision=revision,
            out_of=asked.out_of, out_kinds=asked.out_kinds, in_to=asked.in_to, in_kinds=asked.in_kinds,
            limit=MOST_EDGES + 1,
        )  # fmt: skip
        around.add((Hop(**row) for row in rows), cut=len(rows) > MOST_EDGES)
    named = await fetch_rows(
        connection,
        "tenant",
        "read_nodes_by_id",
        within=tenant.schema_name,
        revision=revision,
        nodes=around.nodes(),
    )
    judged = await fetch_rows(
        connection, "tenant", "read_verdicts_at", within=tenant.schema_name, revision=revision
    )
    return Surroundings(
        around,
        {row["node_id"]: Named(row["kind"], row["name"], row["attributes"]) for row in named},
        {row["table_name"]: row["verdict"] for row in judged},
    )
