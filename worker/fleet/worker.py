"""`zaptik worker`: answers the bell with slices, on a few threads, until a signal; then drains."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from jobs.errors import DatabaseAway, KeyMissing, QueueAway
from jobs.events import KEYRING_CHANGED, KEYRING_UNREADABLE
from jobs.surface import read_surface
from worker.fleet.process import REPORT_SECONDS, Process
from worker.servicenow import build_trust
from worker.settings import Settings
from worker.sync import Parts, check_keys, run_slice
from worker.vault import HeldKeyring, find_source

# Beside a slice's own bound: publishing is not cut short, and a slice at it must not count as stuck.
_PUBLISH_SECONDS = 300
_LOOK_SECONDS = 1.0


def run_worker(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; gives the exit code."""
    held = HeldKeyring(find_source(settings))
    process = Process(
        "worker", settings, threads=settings.worker_threads, read_key_ids=lambda: sorted(held.now().keys)
    )
    parts = Parts(
        settings=settings,
        keyring=held,
        renew_keys=lambda: _renew(process, held, held.press),
        trust=build_trust(settings.ca_file),
        surface=read_surface(),
        worker=process.name,
        emit=process.emit,
    )
    with process.running():
        if process.wait_for_dependencies(lambda connection: check_keys(connection, held)):
            _answer(process, parts, held)
    return 0


def _answer(process: Process, parts: Parts, held: HeldKeyring) -> None:
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
    report_due = time.monotonic() + REPORT_SECONDS
    while not process.stopping.wait(_LOOK_SECONDS):
        # Whoever rotates the keys waits for every worker to say that it holds the new one.
        if _renew(process, held, held.refresh) or time.monotonic() >= report_due:
            _report(process)
            report_due = time.monotonic() + REPORT_SECONDS
    parts.draining.set()
    process.tell_stopping()
    # Slices see `draining`, ask nothing more and give their runs back, which this waits for.
    process.drained = answering.stop(within_seconds=settings.drain_seconds)


def _report(process: Process) -> None:
    try:
        process.report()
        process.doorbell.check()
    except (DatabaseAway, QueueAway) as away:
        process.tell_away(away)
    else:
        process.become_ready()


def _renew(process: Process, held: HeldKeyring, look: Callable[[], bool]) -> bool:
    """Look for another keyring, and say what came of it; True where it is another now."""
    try:
        changed = look()
    except KeyMissing as failure:
        process.tell(KEYRING_UNREADABLE, error=failure.message)
        return False
    if changed:
        process.tell(KEYRING_CHANGED, primary=held.now().primary, key_ids=sorted(held.now().keys))
    return changed
