"""What holds of a fleet after whatever was done to it; asked of the database as its superuser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobs.names import schema_name


class Ask(Protocol):
    """Asks the database; `{tenant}` stands for the schema `within`."""

    def __call__(self, query: str, *values: object, within: str | None = None) -> list[dict[str, Any]]: ...


_ODD_RUNS = """
SELECT r.run_id, r.state, r.revision, r.fence, told.*
FROM control.run r JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.action = 'run.requested') AS requested,
           count(*) FILTER (WHERE e.action = 'run.ended') AS ended,
           count(*) FILTER (WHERE e.action = 'run.claimed') AS claimed,
           array_agg((e.detail ->> 'fence')::bigint ORDER BY e.audit_id) FILTER (WHERE e.action = 'run.claimed')
               AS fences,
           count(*) FILTER (WHERE e.action IN ('request.answered', 'request.failed', 'token.fetched', 'token.refused'))
               AS requests
    FROM control.audit_events e WHERE e.run_id = r.run_id) told ON true
WHERE told.requested <> 1 OR told.ended <> 1 OR told.claimed <> r.fence
   OR told.fences IS DISTINCT FROM (SELECT array_agg(n) FROM generate_series(1, r.fence) n)
   OR told.requests < r.requests
"""


def check_invariants(ask: Ask, *, names: Sequence[str], rows: Mapping[str, set[str]]) -> None:
    """Check every one; `rows` are the sys_ids that the tenants' instance holds, by table.

    Each run was asked for once, ended once, and its claims have the fences 1, 2, 3 …; every request is audited.
    """
    assert ask(_ODD_RUNS) == []
    assert ask("SELECT run_id FROM control.run WHERE state IN ('requested', 'running')") == []
    for name in names:
        within = schema_name(name)
        _check_revisions(ask, name, within)
        staged = ask("SELECT run_id FROM {tenant}.staged_page LIMIT 1", within=within)
        assert staged == [], "something staged was left behind"
        for table, held in rows.items():
            nodes = ask(
                "SELECT node_id FROM {tenant}.node WHERE node_id LIKE %s", f"{table}:%", within=within
            )
            assert {row["node_id"].partition(":")[2] for row in nodes} == held


def _check_revisions(ask: Ask, name: str, within: str) -> None:
    """One revision a published run, numbered without a gap, and the newest is the tenant's."""
    revisions = ask("SELECT revision, run_id FROM {tenant}.revision ORDER BY revision", within=within)
    runs = ask(
        """SELECT r.revision, r.run_id FROM control.run r JOIN control.tenant t USING (tenant_id)
           WHERE t.name = %s AND r.state = 'published' ORDER BY r.revision""",
        name,
    )
    assert revisions == runs
    assert [row["revision"] for row in revisions] == list(range(1, len(revisions) + 1))
    [tenant] = ask("SELECT revision FROM control.tenant WHERE name = %s", name)
    assert tenant["revision"] == len(revisions)
