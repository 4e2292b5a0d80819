"""A process tells of what it depends on in pairs: whoever is told to be away is told to be back."""

from __future__ import annotations

from jobs.events import DEPENDENCY_AWAY, Event
from worker.fleet.process import Process
from worker.settings import read_settings


def make_process() -> Process:
    settings = read_settings(
        {
            "ZAPTIK_DATABASE_URL": "postgresql://zaptik_app@127.0.0.1:1/none",
            "ZAPTIK_REDIS_URL": "redis://127.0.0.1:1/0",
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
