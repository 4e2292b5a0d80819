"""After a full run nothing that may not be read is anywhere: database, Redis, logs, metrics, exports.

The instances hold canaries in every column and table that is never read: people, scripts, default values, secret
properties, requests. Secrets are looked for in `test_hygiene`, after everything that can fail has failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.conftest import Deployed
from tests.e2e.sinks import read_database, read_files, read_metrics, read_redis
from tests.leak_search import LeakSearch

CANARY = "CANARY"
_FEWEST_PLACES = 200


def read_everything(deployed: Deployed) -> Iterator[tuple[str, bytes]]:
    stack = deployed.stack
    yield from read_database(stack)
    yield from read_redis(stack)
    yield from read_metrics(stack.metrics_ports.values())
    yield from read_files(stack.logs)


def test_after_a_full_run_no_canary_is_anywhere(deployed: Deployed) -> None:
    for tenant in ("acme", "globex-prod"):
        deployed.sync(tenant, "--full")
    [person, *_] = deployed.stack.instances["acme"].fetch_rows("sys_user")
    assert CANARY in str(person), "there is something to find"
    exported = deployed.call("graph", "export", "acme", "--format", "html").stdout
    places = [*read_everything(deployed), ("the export", exported.encode())]
    assert [where for where, text in places if CANARY.encode() in text] == []
    search = LeakSearch(deployed.stack.client_secrets)
    assert [(where, leak) for where, text in places for leak in search.find(text)] == []
    assert len(places) > _FEWEST_PLACES
    logs = {where.rpartition("/")[2] for where, _ in places}
    assert {"scheduler.log", "worker-1.log"} <= logs
