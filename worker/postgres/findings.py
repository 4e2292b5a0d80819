"""What a revision has that somebody should look at: computed by PostgreSQL as it is published, and read back.

The rules stand in the query `publish_findings`, their reasons in docs/reference/findings.md. Here is only when they
are applied: with every published revision, and for the one in force when a run found it unchanged on other verdicts or
a release brought other rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.surface import Surface
from schema import read_queries
from worker.postgres.connection import Connection, fetch_rows, fetch_value
from worker.postgres.reading import at_one_moment, read_head
from worker.postgres.runs import ClaimedRun
from worker.postgres.tenants import Tenant


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: its kind, the node it is about and that one's name, and how far it is known."""

    finding: str
    node_id: str
    name: str | None
    detail: dict[str, Any]
    certain: bool
    rests_on: list[str]


async def publish_findings(
    connection: Connection, run: ClaimedRun, *, surface: Surface, revision: int, outcome: str
) -> None:
    """Bring the findings to what the graph says, in the publishing transaction.

    A run that left the graph, the verdicts and the rules as they were writes nothing and computes nothing.
    """
    within = run.schema_name
    unfiltered = [
        name for name in surface.bases if name in surface.tables and not surface.tables[name].filter
    ]
    differing = await fetch_value(
        connection,
        "tenant",
        "remember_verdicts",
        within=within,
        run=run.run_id,
        rules=_name_rules(unfiltered),
    )
    if outcome == "unchanged" and not differing:
        return
    # The first publication has no statistics yet, and a part that is believed to have one row would be joined row by
    # row: quadratic. Hashing is right here whatever the sizes.
    await connection.execute("SET LOCAL enable_nestloop = off")
    await fetch_rows(
        connection, "tenant", "publish_findings", within=within, revision=revision, unfiltered=unfiltered
    )
    await connection.execute("SET LOCAL enable_nestloop = DEFAULT")


def _name_rules(unfiltered: Sequence[str]) -> str:
    """Name the rules of this release and the tables that they take as read in full: others are applied anew."""
    text = "\n".join((read_queries("tenant")["publish_findings"].sql, *sorted(unfiltered)))
    return hashlib.sha256(text.encode()).hexdigest()


async def read_findings(
    connection: Connection, tenant: Tenant, revision: int | None
) -> tuple[int, list[Finding]]:
    """Give the revision in force, or the one asked for, and its findings; UnknownRevision where there is none."""
    async with at_one_moment(connection, tenant):
        head = await read_head(connection, tenant, revision)
        rows = await fetch_rows(
            connection, "tenant", "read_findings_at", within=tenant.schema_name, revision=head.revision
        )
    return head.revision, [Finding(**row) for row in rows]
