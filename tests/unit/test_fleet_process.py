"""What both processes do: they tell of what is away and of what is back, and stop when they are asked to."""

from __future__ import annotations

import subprocess
import sys

from jobs.events import DEPENDENCY_AWAY, Event
from tests.house.sources import ROOT
from worker.fleet.process import Process
from worker.settings import read_settings

# A wait for an Event holds the Event's lock when it begins and when it ends: for a moment, which is held on to here.
STOPPED_IN_A_WAIT = """
import os, signal, time
from tests.unit.test_fleet_process import make_process

process = make_process()
with process.running():
    with process.stopping._cond:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
    assert process.stopping.wait(10)
"""


def make_process() -> Process:
    settings = read_settings(
        {
            "ZAPTIK_DATABASE_URL": "postgresql://zaptik_app@127.0.0.1:1/none",
            "ZAPTIK_REDIS_URL": "redis://127.0.0.1:1/0",
            "ZAPTIK_METRICS_PORT": "0",
        }
    )
    return Process("worker", settings, threads=1)


def is_up(process: Process) -> float | None:
    return process.metrics.registry.get_sample_value("zaptik_dependency_up", {"dependency": "PostgreSQL"})


def test_a_database_that_a_slice_missed_is_told_to_be_back_by_the_next_report() -> None:
    process = make_process()
    process.emit(Event(DEPENDENCY_AWAY, {"dependency": "PostgreSQL", "error": "no answer"}))
    assert is_up(process) == 0
    process.become_ready()
    assert is_up(process) == 1
    assert process.health.why_not_ready() == ""


def test_a_signal_that_comes_in_the_middle_of_a_wait_stops_the_process_all_the_same() -> None:
    ended = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-c", STOPPED_IN_A_WAIT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "process.stopped" in ended.stderr
