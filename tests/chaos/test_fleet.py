"""A fleet that loses nothing: whatever is killed, restarted, lost or slow meanwhile, each tenant has its turn.

A short form in `make test`; with `ZAPTIK_TEST_PROFILE=soak` more tenants, more acts, longer.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ops.local.processes import wait_until
from tests.chaos.fleet import Fleet, running_fleet
from tests.conftest import PROFILE_VARIABLE
from worker.queue import Doorbell

pytestmark = pytest.mark.timeout(900)

IS_SOAK = os.environ.get(PROFILE_VARIABLE) == "soak"
TENANTS, TIMES, AWAY_SECONDS = (24, 10, 60.0) if IS_SOAK else (4, 2, 3.0)
SLOW_MILLISECONDS = 60


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("logs"), tenants=TENANTS) as started:
        yield started


def kill_workers(fleet: Fleet) -> None:
    for _ in range(TIMES):
        fleet.wait_for_pages(more=20)
        fleet.find_worker().kill()
        fleet.start("worker")


def stop_a_worker_for_longer_than_its_lease(fleet: Fleet) -> None:
    fleet.wait_for_pages(more=20)
    victim = fleet.find_worker()
    victim.send(signal.SIGSTOP)
    rescued = fleet.count_events()["run.rescued"]
    wait_until(lambda: fleet.count_events()["run.rescued"] > rescued, deadline_seconds=30)
    victim.send(signal.SIGCONT)


def roll_over_the_workers(fleet: Fleet) -> None:
    for worker in fleet.workers():
        fleet.wait_for_pages(more=20)
        fleet.start("worker")
        worker.send(signal.SIGTERM)
    for child in fleet.stack.children:
        if child.name.startswith("worker") and child not in fleet.workers():
            child.wait(deadline_seconds=30)


def flush_redis(fleet: Fleet) -> None:
    for _ in range(TIMES):
        fleet.wait_for_pages(more=20)
        fleet.stack.valkey.kill()
        fleet.stack.valkey.restart()


def take_redis_away(fleet: Fleet) -> None:
    fleet.wait_for_pages(more=20)
    fleet.stack.valkey.kill()
    time.sleep(AWAY_SECONDS)
    fleet.stack.valkey.restart()


def restart_postgres(fleet: Fleet) -> None:
    for _ in range(TIMES):
        fleet.wait_for_pages(more=30)
        fleet.stack.postgres.kill()
        fleet.stack.postgres.restart()


def cut_connections(fleet: Fleet) -> None:
    for _ in range(2 * TIMES):
        fleet.wait_for_pages(more=10)
        fleet.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zaptik_app'")


def start_further_schedulers(fleet: Fleet) -> None:
    started = [fleet.start("scheduler") for _ in range(4)]
    fleet.wait_for_pages(more=60)
    for child in started:
        child.send(signal.SIGTERM)
        assert child.wait(deadline_seconds=30) == 0


def ring_a_hundred_times(fleet: Fleet) -> None:
    fleet.wait_for_pages(more=10)
    doorbell = Doorbell(fleet.stack.valkey.url())
    for row in fleet.ask("SELECT run_id FROM control.run ORDER BY requested_at DESC LIMIT 4"):
        for _ in range(100):
            doorbell.ring(row["run_id"])
    doorbell.close()


def throttle(fleet: Fleet) -> None:
    with fleet.faults({"kind": "throttled", "share": 0.5, "times": 0, "retry_after": "1"}):
        fleet.wait_for_pages(more=60)


def drip(fleet: Fleet) -> None:
    """Let answers come byte by byte: the request's own time-out cuts them off."""
    with fleet.faults({"kind": "dripping", "share": 0.2, "times": 0, "seconds": 0.2}):
        fleet.wait_for_pages(more=60)


def set_clocks_a_minute_apart(fleet: Fleet) -> None:
    """Begin and end leases by the database's clock, whatever that of a process says."""
    for child in fleet.stack.children:
        if child.name.startswith(("worker", "scheduler")) and child.is_running:
            child.send(signal.SIGTERM)
    fleet.start("scheduler", clock_seconds=60)
    for seconds in (-60, 60):
        fleet.start("worker", clock_seconds=seconds)
    before = fleet.count_events()
    # The workers before them still read to the end of their slices: pages alone do not say whose they are.
    assert wait_until(
        lambda: fleet.count_events()["run.claimed"] > before["run.claimed"], deadline_seconds=60
    ), "the workers with shifted clocks claim nothing"
    fleet.wait_for_pages(more=60)
    met = fleet.count_events() - before
    assert 4 * met["run.rescued"] < met["run.claimed"], "leases are over before their time"
    rescued = fleet.count_events()["run.rescued"]
    fleet.find_worker().kill()
    fleet.start("worker", clock_seconds=60)
    assert wait_until(lambda: fleet.count_events()["run.rescued"] > rescued, deadline_seconds=30), (
        "a lease is not over in time"
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """What an act leaves in the audit trail where it came in the middle of something.

    `loses` says that whoever asked an instance may be gone before it could write down what it asked.
    """

    event: str = ""
    loses: bool = False


ACTS: dict[Callable[[Fleet], None], Mark] = {
    kill_workers: Mark("run.rescued", loses=True),
    stop_a_worker_for_longer_than_its_lease: Mark("run.fenced", loses=True),
    roll_over_the_workers: Mark(),
    flush_redis: Mark(),
    take_redis_away: Mark(),
    restart_postgres: Mark("run.rescued", loses=True),
    cut_connections: Mark("run.retried"),
    start_further_schedulers: Mark(),
    ring_a_hundred_times: Mark(),
    throttle: Mark("request.failed"),
    drip: Mark("request.failed"),
    set_clocks_a_minute_apart: Mark("run.rescued", loses=True),
}


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_every_tenant_has_its_turn_and_the_invariants_hold(
    fleet: Fleet, act: Callable[[Fleet], None]
) -> None:
    fleet.begin_round(latency_milliseconds=SLOW_MILLISECONDS)
    before = fleet.count_events()
    act(fleet)
    fleet.wait_until_served()
    met = fleet.count_events() - before
    assert met["run.ended"] >= TENANTS
    mark = ACTS[act]
    assert not mark.event or met[mark.event], met
    had, told = fleet.count_requests()
    assert mark.loses or told >= had, f"the instance had {had} requests, the audit trail tells of {told}"
