"""`zaptik worker`: answers the bell with slices, on a few threads, until a signal; then drains."""

from __future__ import annotations

from uuid import UUID

from jobs.errors import DatabaseAway, QueueAway
from jobs.surface import read_surface
from worker.fleet.process import REPORT_SECONDS, Process
from worker.postgres import tenants
from worker.postgres.connection import Connection
from worker.servicenow import build_trust
from worker.settings import Settings
from worker.sync import Parts, run_slice
from worker.vault import Keyring, check_keys_present, read_keyring

_PUBLISH_SECONDS = 300


def run_worker(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; gives the exit code."""
    keyring = read_keyring(settings)
    process = Process("worker", settings, threads=settings.worker_threads)
    parts = Parts(
        settings=settings,
        keyring=keyring,
        trust=build_trust(settings.ca_file),
        surface=read_surface(),
        worker=process.name,
        emit=process.emit,
    )
    with process.running():
        if process.wait_for_dependencies(lambda connection: _check_keys(connection, keyring)):
            _answer(process, parts)
    return 0


def _answer(process: Process, parts: Parts) -> None:
    settings = process.settings

    def work(run_id: UUID) -> None:
        if parts.draining.is_set():
            return  # it goes on waiting in its row, and is rung for again
        part = f"run {run_id}"
        process.health.beat(part, within_seconds=parts.slice_bound_seconds + _PUBLISH_SECONDS)
        try:
            run_slice(parts, run_id)
        finally:
            process.health.end(part)

    answering = process.doorbell.answer(work, threads=settings.worker_threads)
    while not process.stopping.wait(REPORT_SECONDS):
        _report(process)
    parts.draining.set()
    process.tell_stopping()
    process.drained = answering.stop(within_seconds=settings.drain_seconds)


def _report(process: Process) -> None:
    try:
        process.report()
        process.doorbell.check()
    except (DatabaseAway, QueueAway) as away:
        process.tell_away(away)
    else:
        process.become_ready()


async def _check_keys(connection: Connection, keyring: Keyring) -> None:
    check_keys_present(keyring, await tenants.read_key_ids(connection))
