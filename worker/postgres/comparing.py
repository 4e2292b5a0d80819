"""What differs between two published revisions, computed from the history by the database. As the tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from jobs.export.changes import Change, What
from worker.postgres.connection import Connection
from worker.postgres.reading import stream_rows
from worker.postgres.tenants import Tenant

_QUERIES: dict[What, str] = {"node": "read_node_changes", "edge": "read_edge_changes"}
Order = Literal["kind", "id"]


async def stream_changes(
    connection: Connection, tenant: Tenant, *, from_revision: int, to_revision: int, order: Order = "id"
) -> AsyncIterator[Change]:
    """Give the changes from one revision to another, earlier or later, a batch at a time.

    Nodes, then edges; of each the added, the changed, then the removed; of those by `order`.
    """
    values = {"from": from_revision, "to": to_revision, "by_kind": order == "kind"}
    for what, query in _QUERIES.items():
        async for row in stream_rows(connection, tenant, query, values):
            yield Change(
                what=what,
                change=row["change"],
                kind=row["kind"],
                id=row["id"],
                before=row["before"],
                after=row["after"],
                alike=row["alike"],
                names=(row["from_name"], row["to_name"]),
            )
