"""A year and a month of hourly revisions, and what retention leaves of them."""

from __future__ import annotations

import time
from typing import Any

from ops.bench.made_store import Store, as_mega
from worker.postgres.connection import compose_text
from worker.postgres.retention import Keeping, let_go

_TABLES_READ = 44  # as many verdicts a run as the surface gives; the made graph has five of them
_ROWS = """SELECT (SELECT count(*) FROM {tenant}.revision) AS revisions,
                  (SELECT count(*) FROM {tenant}.node_history)
                  + (SELECT count(*) FROM {tenant}.edge_history) AS history,
                  (SELECT count(*) FROM {tenant}.table_read) AS verdicts"""
_SIZE = """SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class
           WHERE relnamespace = '{tenant}'::regnamespace AND relkind = 'r'"""
_AGE = (
    """UPDATE {tenant}.revision SET published_at = clock_timestamp()
       - ((SELECT max(revision) FROM {tenant}.revision) - revision) * interval '1 hour'""",
    """UPDATE {tenant}.feed f SET published_at = r.published_at FROM {tenant}.revision r
       WHERE r.revision = f.revision""",
    """UPDATE {tenant}.table_read t SET begun_at = r.published_at FROM {tenant}.revision r
       WHERE r.run_id = t.run_id""",
)


async def measure_year(store: Store, *, nodes: int, hours: int) -> list[dict[str, Any]]:
    """Publish a revision an hour, in which one percent changes, date them, and let the old ones go."""
    await store.publish(await store.stage(nodes=nodes, version=""), step=1)
    for hour in range(1, hours):
        run = await store.stage(nodes=nodes, version=f" {hour}", step=100)
        await store.admin.execute(
            compose_text(
                "INSERT INTO {tenant}.table_read (run_id, table_name, verdict) "
                "SELECT %s, 'other ' || n, 'complete' FROM generate_series(6, %s) AS n",
                within=store.tenant.schema_name,
            ),
            [run.run_id, _TABLES_READ],
        )
        await store.publish(run, step=100)
    for text in _AGE:
        await store.admin.execute(compose_text(text, within=store.tenant.schema_name))
    await store.admin.execute("VACUUM FULL")  # what it came to, without what dating it left behind
    found = [{"when": "before", **await _describe(store), "seconds": ""}]
    began = time.perf_counter()
    await let_go(store.app, store.tenant, Keeping("bench", 365))
    seconds = round(time.perf_counter() - began, 2)
    found.append({"when": "after", **await _describe(store), "seconds": seconds})
    await store.admin.execute("VACUUM FULL")
    found.append({"when": "after, packed", **await _describe(store), "seconds": ""})
    return found


async def _describe(store: Store) -> dict[str, Any]:
    return {**await store.ask(_ROWS), "MB": as_mega((await store.ask(_SIZE))["bytes"])}
