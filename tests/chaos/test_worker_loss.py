"""A worker that is lost in the middle of a crawl: the run still ends, once, with all it should have."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ops.local.instance import Tenant
from ops.local.processes import Child, wait_until
from ops.local.stack import Stack

TENANT = "acme"
ROWS_A_PAGE = 5
SLOW_MILLISECONDS = 250  # until what is to happen in the middle has happened, also on a busy machine
SETTINGS = {
    "ZAPTIK_PAGE_ROWS": str(ROWS_A_PAGE),
    "ZAPTIK_LEASE_SECONDS": "2",
    "ZAPTIK_SCHEDULER_TICK_SECONDS": "0.3",
    "ZAPTIK_INSTANCE_CONCURRENCY": "2",
}
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack whose one tenant has its first revision, and whose instance then changed."""
    tenants = [Tenant(TENANT, groups=60, items=60, seed=3)]
    with Stack(logs=tmp_path_factory.mktemp("logs"), tenants=tenants, overrides=SETTINGS) as started:
        assert wait_until(lambda: has_ended(started), deadline_seconds=60)
        instance = started.instances[TENANT]
        renamed, deleted, *_ = instance.fetch_rows("sys_user_group")
        instance.put_rows("sys_user_group", [{"sys_id": renamed["sys_id"], "name": "Renamed"}])
        instance.delete_row("sys_user_group", deleted["sys_id"])
        yield started


def has_ended(stack: Stack) -> bool:
    runs = read_runs(stack)
    return bool(runs) and runs[0]["state"] == "published"


def begin_run(stack: Stack) -> tuple[Child, Child]:
    """Wait until a run of the slow instance is in the middle; give its worker and the other one."""
    stack.instances[TENANT].forget_requests()
    stack.instances[TENANT].set_latency(SLOW_MILLISECONDS)
    stack.run_zaptik("sync", TENANT, "--full")
    assert wait_until(lambda: len(read_runs(stack)) > 1, deadline_seconds=30)
    workers = [child for child in stack.children if child.name.startswith("worker")]
    holder: list[Child] = []

    def is_in_the_middle() -> bool:
        run = read_runs(stack)[0]
        holder[:] = [child for child in workers if said(child, "run.claimed", run["run_id"])]
        return bool(holder) and run["state"] == "running" and run["records"] >= 8 * ROWS_A_PAGE

    assert wait_until(is_in_the_middle, deadline_seconds=60), read_runs(stack)
    [other] = [child for child in workers if child is not holder[0]]
    return holder[0], other


def said(child: Child, event: str, run_id: str) -> bool:
    return any(f'"{event}"' in line and run_id in line for line in child.read_log().splitlines())


def read_runs(stack: Stack) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = stack.run_zaptik("runs", TENANT)["runs"]
    return runs


def wait_for_end(stack: Stack, run_id: str) -> dict[str, Any]:
    def find() -> dict[str, Any]:
        return next(run for run in read_runs(stack) if run["run_id"] == run_id)

    assert wait_until(lambda: find()["state"] not in {"requested", "running"}, deadline_seconds=90), find()
    return find()


def read_actions(stack: Stack, run_id: str) -> Counter[str]:
    with psycopg.connect(stack.admin_settings()["ZAPTIK_ADMIN_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT action, count(*) FROM control.audit_events WHERE run_id = %s GROUP BY action", [run_id]
        ).fetchall()
    return Counter(dict(rows))


def read_table_rows(stack: Stack, table: str) -> set[str]:
    return {row["sys_id"] for row in stack.instances[TENANT].fetch_rows(table)}


def check_one_whole_revision(stack: Stack, run: dict[str, Any]) -> None:
    """Check that the run made exactly the second revision, with all that the instance holds."""
    assert (run["state"], run["revision"]) == ("published", 2), run
    assert {table["verdict"] for table in run["tables"]} == {"complete"}
    with psycopg.connect(stack.admin_settings()["ZAPTIK_ADMIN_DATABASE_URL"]) as connection:
        revisions = connection.execute("SELECT revision FROM tenant_acme.revision ORDER BY 1").fetchall()
        nodes = connection.execute("SELECT node_id FROM tenant_acme.node").fetchall()
        staged = connection.execute("SELECT count(*) FROM tenant_acme.staged_page").fetchone()
    assert revisions == [(1,), (2,)]
    assert staged == (0,)
    for table in ("sys_user_group", "sc_cat_item"):
        found = {node.partition(":")[2] for (node,) in nodes if node.startswith(f"{table}:")}
        assert found == read_table_rows(stack, table)


def is_aside(request: dict[str, Any]) -> bool:
    fields = request["query"]["sysparm_fields"].split(",")
    return fields == ["sys_id"] or "value" in fields[3:]


def check_little_was_read_twice(stack: Stack) -> None:
    """At most one page of each table was asked for again; its asides are read by each slice that reads its rows."""
    asked = Counter(
        (request["path"], request["query"].get("sysparm_query"), request["query"].get("sysparm_offset"))
        for request in stack.instances[TENANT].fetch_requests()
        if "/table/" in request["path"] and not is_aside(request)
    )
    again = Counter(path for (path, *_), times in asked.items() for _ in range(times - 1))
    assert all(times <= 1 for times in again.values()), again


def test_a_run_survives_sigkill_of_its_worker_with_one_revision(stack: Stack) -> None:
    holder, _ = begin_run(stack)
    run_id = read_runs(stack)[0]["run_id"]

    holder.kill()

    stack.instances[TENANT].set_latency(0)
    run = wait_for_end(stack, run_id)
    check_one_whole_revision(stack, run)
    actions = read_actions(stack, run_id)
    assert actions["run.rescued"] == 1
    assert actions["run.claimed"] == 2
    assert actions["run.ended"] == 1
    check_little_was_read_twice(stack)


def test_a_worker_asked_to_stop_hands_its_run_over_without_a_rescue(stack: Stack) -> None:
    holder, other = begin_run(stack)
    run_id = read_runs(stack)[0]["run_id"]

    holder.send(signal.SIGTERM)

    assert holder.wait(deadline_seconds=40) == 0
    stack.instances[TENANT].set_latency(0)
    assert said(holder, "run.yielded", run_id)
    run = wait_for_end(stack, run_id)
    assert said(other, "run.ended", run_id)
    check_one_whole_revision(stack, run)
    actions = read_actions(stack, run_id)
    assert actions["run.rescued"] == 0
    assert actions["run.claimed"] == 2
    check_little_was_read_twice(stack)


def test_a_worker_that_was_stopped_too_long_is_fenced_and_writes_nothing(stack: Stack) -> None:
    holder, other = begin_run(stack)
    run_id = read_runs(stack)[0]["run_id"]

    holder.send(signal.SIGSTOP)
    stack.instances[TENANT].set_latency(0)
    run = wait_for_end(stack, run_id)
    holder.send(signal.SIGCONT)

    holder.wait_for_event("run.fenced")
    assert said(other, "run.ended", run_id)
    check_one_whole_revision(stack, run)
    assert read_actions(stack, run_id)["run.fenced"] == 1
