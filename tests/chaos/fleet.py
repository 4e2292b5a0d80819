"""A fleet under chaos: tenants that share one simulated instance, real processes, and what is done to them.

A round makes every tenant due at once; whatever happens meanwhile, each is served in the end, and the invariants hold.
"""

from __future__ import annotations

import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ops.bench.many import add_tenants
from ops.local.instance import Instance, Row, Tenant
from ops.local.processes import Child, wait_until
from ops.local.stack import ZAPTIK, Stack
from tests.chaos.asking import Asking
from tests.chaos.invariants import check_invariants

INSTANCE = "busy"
SETTINGS = {
    "ZAPTIK_PAGE_ROWS": "10",
    "ZAPTIK_LEASE_SECONDS": "2",
    "ZAPTIK_SCHEDULER_TICK_SECONDS": "0.3",
    "ZAPTIK_SLICE_SECONDS": "2",
    "ZAPTIK_REQUEST_TIMEOUT_SECONDS": "5",
    "ZAPTIK_RETRY_BASE_SECONDS": "0.2",
    "ZAPTIK_RETRY_CAP_SECONDS": "0.5",
    "ZAPTIK_MAX_ATTEMPTS": "8",
    "ZAPTIK_WORKER_THREADS": "2",
    "ZAPTIK_DRAIN_SECONDS": "10",
    "ZAPTIK_WHOLE_EVERY_RUNS": "1",  # so that a turn has something in the middle of which things happen
}
SHIFTED_CLOCK = Path(__file__).with_name("shifted_clock.py")
SERVED_SECONDS = 120


class Fleet:
    """Some tenants, the processes that serve them, and rounds in which all are due."""

    def __init__(self, stack: Stack, *, tenants: int) -> None:
        self.stack = stack
        self.ask = Asking(stack)
        self.names = [INSTANCE, *(f"{INSTANCE}-{number}" for number in range(2, tenants + 1))]
        self.draw = random.Random(f"{INSTANCE}:{tenants}")  # noqa: S311  chooses victims
        self._started = len(stack.children)
        self._served = dict.fromkeys(self.names, 0)
        self._last_audit_id = 0

    def __repr__(self) -> str:
        return f"<Fleet of {len(self.names)} tenants, {self.stack}>"

    @property
    def instance(self) -> Instance:
        """The one instance that all tenants read."""
        return self.stack.instances[INSTANCE]

    def add_tenants(self) -> None:
        """Add all but the first, which the stack has added, to the same instance with the same credentials."""
        add_tenants(self.stack, INSTANCE, self.names[1:], every_seconds=86_400)

    # What is done to it.

    def workers(self) -> list[Child]:
        """Give the workers that run."""
        return [
            child for child in self.stack.children if child.name.startswith("worker") and child.is_running
        ]

    def start(self, kind: Literal["worker", "scheduler"], *, clock_seconds: float = 0) -> Child:
        """Start one more process of a kind, whose own clock may be off."""
        self._started += 1
        name = f"{kind}-{self._started}"
        command = [sys.executable, SHIFTED_CLOCK, str(clock_seconds)] if clock_seconds else [ZAPTIK]
        child = self.stack.start_process(name, *command, kind, environment=self.stack.settings())
        child.wait_for_event("process.started")
        return child

    def find_worker(self) -> Child:
        """Wait for a worker that holds a run, and give it."""
        found: list[Child] = []

        def is_found() -> bool:
            rows = self.ask("SELECT worker FROM control.run WHERE state = 'running'")
            holding = {row["worker"].split("/")[1] for row in rows}
            found[:] = [child for child in self.workers() if str(child.pid) in holding]
            return bool(found)

        assert wait_until(is_found, deadline_seconds=SERVED_SECONDS), "no worker holds a run"
        return self.draw.choice(found)

    def wait_for_pages(self, more: int) -> None:
        """Wait until so many more records are written, or the round is over."""
        before = self._read_progress()
        wait_until(lambda: self._has_gone_on(before, more), deadline_seconds=SERVED_SECONDS)

    def _has_gone_on(self, before: int, more: int) -> bool:
        return self._read_progress() >= before + more or self._is_served()

    def _read_progress(self) -> int:
        return int(self.ask("SELECT coalesce(sum(records), 0) AS records FROM control.run")[0]["records"])

    def count_requests(self) -> tuple[int, int]:
        """Count this round's requests to the instance's tables: those that it had, and those in the audit trail."""
        had = [row["path"] for row in self.instance.fetch_requests()]
        [told] = self.ask(
            """SELECT count(*) AS requests FROM control.audit_events
               WHERE audit_id > %s AND action IN ('request.answered', 'request.failed')""",
            self._last_audit_id,
        )
        return sum(path.startswith("/api/") for path in had), told["requests"]

    def count_events(self) -> Counter[str]:
        """Count the audit events by action."""
        rows = self.ask("SELECT action, count(*) AS events FROM control.audit_events GROUP BY action")
        return Counter({row["action"]: row["events"] for row in rows})

    def count_live(self) -> int:
        """Count the runs that wait or are under way."""
        query = "SELECT count(*) AS live FROM control.run WHERE state IN ('requested', 'running')"
        return int(self.ask(query)[0]["live"])

    @contextmanager
    def faults(self, *faults: Row) -> Iterator[None]:
        """Let the instance err for a while."""
        self.instance.set_faults(*faults)
        try:
            yield
        finally:
            self.instance.set_faults()

    # A round.

    def begin_round(self, *, latency_milliseconds: float = 0) -> None:
        """Change the instance, and make every tenant due at once."""
        self.instance.set_latency(latency_milliseconds)
        rows = self.instance.fetch_rows("sys_user_group")
        changed = self.draw.choice(rows)
        name = f"Changed {self.draw.randrange(10**9)}"
        self.instance.put_rows("sys_user_group", [{"sys_id": changed["sys_id"], "name": name}])
        self._served = {row["name"]: row["ended"] for row in self._count_ended()}
        self.instance.forget_requests()
        [last] = self.ask("SELECT coalesce(max(audit_id), 0) AS id FROM control.audit_events")
        self._last_audit_id = last["id"]
        self.ask("UPDATE control.tenant SET next_due_at = now() RETURNING 1")

    def wait_until_served(self) -> None:
        """Wait until each tenant's turn of this round has come to its end, and check all invariants."""
        self.instance.set_latency(0)
        assert wait_until(self._is_served, deadline_seconds=SERVED_SECONDS), self._tell_late()
        check_invariants(self.ask, names=self.names, rows=self._rows())

    def _is_served(self) -> bool:
        ended = {row["name"]: row["ended"] for row in self._count_ended()}
        return all(ended[name] > self._served.get(name, 0) for name in self.names) and not self.count_live()

    def _count_ended(self) -> Sequence[dict[str, Any]]:
        return self.ask(
            """SELECT t.name, count(r.run_id) FILTER (WHERE r.state IN ('published', 'unchanged')) AS ended
               FROM control.tenant t LEFT JOIN control.run r USING (tenant_id) GROUP BY t.name"""
        )

    def _tell_late(self) -> object:
        return self.ask(
            """SELECT t.name, t.state AS tenant, r.state, r.attempt, r.fence, r.error, r.not_before - now() AS waits
               FROM control.tenant t JOIN control.run r USING (tenant_id)
               WHERE r.requested_at = (SELECT max(requested_at) FROM control.run n WHERE n.tenant_id = t.tenant_id)"""
        )

    def _rows(self) -> dict[str, set[str]]:
        tables = ("sys_user_group", "sc_cat_item")
        return {table: {row["sys_id"] for row in self.instance.fetch_rows(table)} for table in tables}


@contextmanager
def running_fleet(logs: Path, *, tenants: int) -> Iterator[Fleet]:
    """Run a fleet whose tenants have their first revisions."""
    busy = [Tenant(INSTANCE, groups=40, items=60, seed=3)]
    with Stack(logs=logs, tenants=busy, overrides=SETTINGS) as stack:
        fleet = Fleet(stack, tenants=tenants)
        fleet.add_tenants()
        fleet.begin_round()
        fleet.wait_until_served()
        yield fleet
        fleet.ask.close()
        for child in stack.children:  # a process that we stopped could not be asked to end
            child.send(signal.SIGCONT)
