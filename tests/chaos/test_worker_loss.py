"""A worker that is lost in the middle of a crawl: the run still ends, once, with all it should have."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.names import schema_name
from ops.local.instance import Instance, Tenant
from ops.local.processes import Child, wait_until
from ops.local.stack import ZAPTIK, Stack
from tests.chaos.asking import Asking

TENANT = "acme"
ROWS_A_PAGE = 5
SLOW_MILLISECONDS = 250  # until what is to happen in the middle has happened, also on a busy machine
SETTINGS = {
    "ZAPTIK_PAGE_ROWS": str(ROWS_A_PAGE),
    "ZAPTIK_LEASE_SECONDS": "2",
    "ZAPTIK_SCHEDULER_TICK_SECONDS": "0.3",
    "ZAPTIK_INSTANCE_CONCURRENCY": "2",
}
LIVE = {"requested", "running"}
RUNS = "SELECT run_id::text, state, revision, records FROM control.run ORDER BY requested_at DESC"
pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Case:
    """A stack, and a run of its one tenant that is in the middle: its worker, the other one, the revision before."""

    stack: Stack
    ask: Asking
    run_id: str
    holder: Child
    other: Child
    revision: int

    @property
    def instance(self) -> Instance:
        return self.stack.instances[TENANT]

    def read_run(self) -> dict[str, Any]:
        return next(run for run in self.ask(RUNS) if run["run_id"] == self.run_id)

    def wait_for_end(self) -> dict[str, Any]:
        has_ended = wait_until(lambda: self.read_run()["state"] not in LIVE, deadline_seconds=90)
        assert has_ended, self.read_run()
        return self.read_run()

    def read_actions(self) -> Counter[str]:
        rows = self.ask(
            "SELECT action, count(*) AS events FROM control.audit_events WHERE run_id = %s GROUP BY action",
            self.run_id,
        )
        return Counter({row["action"]: row["events"] for row in rows})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack whose one tenant has its first revision."""
    tenants = [Tenant(TENANT, groups=60, items=60, seed=3)]
    with Stack(logs=tmp_path_factory.mktemp("logs"), tenants=tenants, overrides=SETTINGS) as started:
        yield started


@pytest.fixture(scope="module")
def ask(stack: Stack) -> Iterator[Asking]:
    asking = Asking(stack)
    assert wait_until(lambda: [run["state"] for run in asking(RUNS)] == ["published"], deadline_seconds=60)
    yield asking
    asking.close()


@pytest.fixture
def case(stack: Stack, ask: Asking) -> Iterator[Case]:
    """Give a run of an instance that has changed and is slow, in the middle; at the end there are two workers again."""
    runs = ask(RUNS)
    instance = stack.instances[TENANT]
    renamed, deleted, *_ = instance.fetch_rows("sys_user_group")
    instance.put_rows("sys_user_group", [{"sys_id": renamed["sys_id"], "name": f"Renamed {len(runs)}"}])
    instance.delete_row("sys_user_group", deleted["sys_id"])
    workers = find_workers(stack)
    assert len(workers) == 2
    instance.forget_requests()
    instance.set_latency(SLOW_MILLISECONDS)
    stack.run_zaptik("sync", TENANT, "--full")
    assert wait_until(lambda: len(ask(RUNS)) > len(runs), deadline_seconds=30)
    holder: list[Child] = []

    def is_in_the_middle() -> bool:
        run = ask(RUNS)[0]
        holder[:] = [child for child in workers if said(child, "run.claimed", run["run_id"])]
        return bool(holder) and run["state"] == "running" and run["records"] >= 8 * ROWS_A_PAGE

    assert wait_until(is_in_the_middle, deadline_seconds=60), ask(RUNS)
    [other] = [child for child in workers if child is not holder[0]]
    [newest] = ask("SELECT max(revision) AS revision FROM {tenant}.revision", within=schema_name(TENANT))
    yield Case(stack, ask, ask(RUNS)[0]["run_id"], holder[0], other, newest["revision"])
    instance.set_latency(0)
    for number in range(len(find_workers(stack)), 2):
        name = f"worker-{len(runs)}-{number}"
        child = stack.start_process(name, ZAPTIK, "worker", environment=stack.settings())
        child.wait_for_event("process.started")


def find_workers(stack: Stack) -> list[Child]:
    return [child for child in stack.children if child.name.startswith("worker") and child.is_running]


def said(child: Child, event: str, run_id: str) -> bool:
    return any(f'"{event}"' in line and run_id in line for line in child.read_log().splitlines())


def says(child: Child, event: str, run_id: str) -> bool:
    """Wait for what is said after it is in the database."""
    return wait_until(lambda: said(child, event, run_id), deadline_seconds=30)


def check_one_whole_revision(case: Case, run: dict[str, Any]) -> None:
    """Check that the run made exactly the next revision, with all that the instance holds."""
    within = schema_name(TENANT)
    assert (run["state"], run["revision"]) == ("published", case.revision + 1), run
    read = case.ask("SELECT verdict FROM {tenant}.table_read WHERE run_id = %s", case.run_id, within=within)
    assert {table["verdict"] for table in read} == {"complete"}
    revisions = case.ask("SELECT revision FROM {tenant}.revision ORDER BY 1", within=within)
    assert [row["revision"] for row in revisions] == list(range(1, case.revision + 2))
    assert case.ask("SELECT run_id FROM {tenant}.staged_page", within=within) == []
    nodes = [row["node_id"] for row in case.ask("SELECT node_id FROM {tenant}.node", within=within)]
    for table in ("sys_user_group", "sc_cat_item"):
        found = {node.partition(":")[2] for node in nodes if node.startswith(f"{table}:")}
        assert found == {row["sys_id"] for row in case.instance.fetch_rows(table)}


def is_aside(request: dict[str, Any]) -> bool:
    fields = request["query"]["sysparm_fields"].split(",")
    return fields == ["sys_id"] or "value" in fields[3:]


def check_little_was_read_twice(case: Case) -> None:
    """At most one page of each table was asked for again; its asides are read by each slice that reads its rows."""
    asked = Counter(
        (request["path"], request["query"].get("sysparm_query"), request["query"].get("sysparm_offset"))
        for request in case.instance.fetch_requests()
        if "/table/" in request["path"] and not is_aside(request)
    )
    again = {question: times - 1 for question, times in asked.items() if times > 1}
    of_a_table: Counter[str] = Counter()
    for (path, *_), times in again.items():
        of_a_table[path] += times
    assert all(times <= 1 for times in of_a_table.values()), again


def test_a_run_survives_sigkill_of_its_worker_with_one_revision(case: Case) -> None:
    case.holder.kill()

    case.instance.set_latency(0)
    check_one_whole_revision(case, case.wait_for_end())
    actions = case.read_actions()
    assert actions["run.rescued"] == 1
    assert actions["run.claimed"] == 2
    assert actions["run.ended"] == 1
    check_little_was_read_twice(case)


def test_a_worker_asked_to_stop_hands_its_run_over_without_a_rescue(case: Case) -> None:
    case.holder.send(signal.SIGTERM)

    assert case.holder.wait(deadline_seconds=40) == 0
    case.instance.set_latency(0)
    assert said(case.holder, "run.yielded", case.run_id)
    run = case.wait_for_end()
    assert says(case.other, "run.ended", case.run_id)
    check_one_whole_revision(case, run)
    actions = case.read_actions()
    assert actions["run.rescued"] == 0
    assert actions["run.claimed"] == 2
    check_little_was_read_twice(case)


def test_a_worker_that_was_stopped_too_long_is_fenced_and_writes_nothing(case: Case) -> None:
    case.holder.send(signal.SIGSTOP)
    case.instance.set_latency(0)
    run = case.wait_for_end()
    case.holder.send(signal.SIGCONT)

    assert says(case.holder, "run.fenced", case.run_id)
    assert says(case.other, "run.ended", case.run_id)
    check_one_whole_revision(case, run)
    assert case.read_actions()["run.fenced"] == 1
