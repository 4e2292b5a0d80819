"""Thirteen months of hourly revisions, as publishing would have left them, and what retention leaves of them.

The first revision is published; the others are written by SQL, since nine thousand runs would take an hour: each
changes one percent of the nodes and of the edges, in turn, and brings its line in the feed and its run's verdicts.
"""

from __future__ import annotations

import time
from typing import Any

from ops.bench.made_store import Store, as_mega
from worker.postgres.connection import compose_text
from worker.postgres.reading import at_one_moment, stream_edges, stream_nodes
from worker.postgres.retention import Keeping, let_go

_TABLES_READ = 44  # as many verdicts a run as the surface gives
_TURN = 100  # each row changes once in so many revisions
_WRITE = (
    """INSERT INTO {tenant}.revision
           (revision, run_id, state, as_of, published_at, nodes, edges, added, changed, removed, digest)
       SELECT n, gen_random_uuid(), 'published', r.as_of, r.published_at, r.nodes, r.edges, 0, 1, 0, r.digest
       FROM {tenant}.revision r, generate_series(2, %(hours)s::integer) AS n WHERE r.revision = 1""",
    """UPDATE {tenant}.revision
       SET published_at = clock_timestamp() - (%(hours)s::integer - revision) * interval '1 hour'""",
    """INSERT INTO {tenant}.feed (number, revision, published_at, added, changed, removed)
       SELECT revision, revision, published_at, 0, 1, 0 FROM {tenant}.revision WHERE revision > 1""",
    "UPDATE {tenant}.feed SET published_at = (SELECT min(published_at) FROM {tenant}.revision) WHERE revision = 1",
    """INSERT INTO {tenant}.table_read (run_id, table_name, verdict, begun_at, rows, requests)
       SELECT run_id, 'sc_table_' || n, 'complete', published_at, 100, 1
       FROM {tenant}.revision, generate_series(1, %(tables)s::integer) AS n WHERE revision > 1""",
    """INSERT INTO {tenant}.node_history
           (node_id, kind, table_name, name, attributes, read_table, hash, since, until)
       SELECT node_id, kind, table_name, name, attributes, read_table, hash, greatest(1, u - %(turn)s::integer), u
       FROM (SELECT *, row_number() OVER (ORDER BY node_id) %% %(turn)s::integer AS place FROM {tenant}.node) n
            JOIN generate_series(2, %(hours)s::integer) AS u ON u %% %(turn)s::integer = n.place""",
    """INSERT INTO {tenant}.edge_history
           (from_id, kind, to_id, source, state, attributes, read_table, hash, since, until)
       SELECT from_id, kind, to_id, source, state, attributes, read_table, hash, greatest(1, u - %(turn)s::integer), u
       FROM (SELECT *, row_number() OVER (ORDER BY from_id, kind, to_id, source) %% %(turn)s::integer AS place
             FROM {tenant}.edge) e
            JOIN generate_series(2, %(hours)s::integer) AS u ON u %% %(turn)s::integer = e.place""",
    """UPDATE {tenant}.node n SET since = h.until
       FROM (SELECT node_id, max(until) AS until FROM {tenant}.node_history GROUP BY 1) h
       WHERE h.node_id = n.node_id""",
    """UPDATE {tenant}.edge e SET since = h.until
       FROM (SELECT from_id, kind, to_id, source, max(until) AS until FROM {tenant}.edge_history GROUP BY 1, 2, 3, 4) h
       WHERE (h.from_id, h.kind, h.to_id, h.source) = (e.from_id, e.kind, e.to_id, e.source)""",
)
_ROWS = """SELECT (SELECT count(*) FROM {tenant}.revision) AS revisions,
                  (SELECT count(*) FROM {tenant}.node_history)
                  + (SELECT count(*) FROM {tenant}.edge_history) AS history,
                  (SELECT count(*) FROM {tenant}.table_read) AS verdicts"""
_SIZE = """SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class
           WHERE relnamespace = '{tenant}'::regnamespace AND relkind = 'r'"""


async def measure_year(store: Store, *, nodes: int, hours: int) -> list[dict[str, Any]]:
    """Fill the store with a revision an hour, and let those go that are older than a year."""
    await store.publish(await store.stage(nodes=nodes, version=""), step=1)
    graph = [{"when": "one revision", **await _describe(store), "seconds": ""}]
    for text in _WRITE:
        values = {"hours": hours, "tables": _TABLES_READ, "turn": _TURN}
        await store.admin.execute(compose_text(text, within=store.tenant.schema_name), values)
    await store.admin.execute("VACUUM FULL ANALYZE")  # what publishing alone would have left
    kept = (hours, hours - 1, hours - 4_000)
    whole = [await _count_rows(store, revision) for revision in kept]
    found = [*graph, {"when": "before", **await _describe(store), "seconds": ""}]
    began = time.perf_counter()
    await let_go(store.app, store.tenant, Keeping("bench", 365))
    seconds = round(time.perf_counter() - began, 2)
    if [await _count_rows(store, revision) for revision in kept] != whole:
        raise RuntimeError("a kept revision is not what it was")
    found.append({"when": "after", **await _describe(store), "seconds": seconds})
    await store.admin.execute("VACUUM FULL")
    return [*found, {"when": "after, packed", **await _describe(store), "seconds": ""}]


async def _count_rows(store: Store, revision: int) -> int:
    async with at_one_moment(store.app, store.tenant):
        nodes = [line.id async for line in stream_nodes(store.app, store.tenant, revision)]
        edges = [line.from_id async for line in stream_edges(store.app, store.tenant, revision)]
    return len(nodes) + len(edges)


async def _describe(store: Store) -> dict[str, Any]:
    return {**await store.ask(_ROWS), "MB": as_mega((await store.ask(_SIZE))["bytes"])}
