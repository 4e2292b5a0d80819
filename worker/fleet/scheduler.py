"""`zaptik scheduler`: round after round, turns what is due or asked for into runs and rings for them.

Any number of schedulers may run: PostgreSQL hands each tenant and each run to one of them, so there is no leader.
A round that fails changes nothing for good; the next one does what it left.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from jobs.audit import count_months_ahead
from jobs.errors import DatabaseAway, QueueAway
from jobs.events import RUN_ENDED, RUN_REQUESTED, RUN_RESCUED, SCHEDULER_TICKED, Event
from jobs.leaving import tell_standing
from jobs.rounds import plan_pause
from worker.fleet.audit_retention import AuditRetentionTurns
from worker.fleet.certificates import CertificateTurns
from worker.fleet.isolation import IsolationTurns
from worker.fleet.process import REPORT_SECONDS, Process
from worker.fleet.retention import RetentionTurns
from worker.fleet.sealing import SealingTurns
from worker.fleet.waking import listening
from worker.postgres import audit, keys, reading, runs
from worker.postgres.audit_retention import read_overdue_seconds
from worker.postgres.connection import Connection
from worker.postgres.isolation import read_check
from worker.postgres.offboarding import read_offboardings
from worker.postgres.runs import Round
from worker.settings import Settings
from worker.telemetry import FleetFigures

_RING_AGAIN_SECONDS = 30  # without an answer: the message, or all of Redis, may be lost
_TICKS_MISSED = 10  # after so many the scheduler counts as stuck


def run_scheduler(settings: Settings) -> int:
    """Schedule until SIGTERM or SIGINT; gives the exit code."""
    process = Process("scheduler", settings, threads=1)
    with process.running():
        if process.wait_for_dependencies():
            with listening(process):
                _schedule(process)
    return 0


def _schedule(process: Process) -> None:
    tick_seconds = process.settings.scheduler_tick_seconds
    report_due = time.monotonic()
    turns = (
        SealingTurns(process),
        RetentionTurns(process),
        AuditRetentionTurns(process),
        IsolationTurns(process),
        CertificateTurns(process),
    )
    rang_at = -math.inf
    while not process.stopping.is_set():
        process.health.beat("round", within_seconds=_TICKS_MISSED * tick_seconds + REPORT_SECONDS)
        try:
            if time.monotonic() >= report_due:
                process.report()
                process.metrics.set_fleet(_read_figures(process))
                report_due = time.monotonic() + REPORT_SECONDS
            # Asked before the round: a run that is marked as rung for and was not would wait for the next ring.
            away: DatabaseAway | QueueAway | None = _find_redis_away(process)
            if _do_round(process, can_ring=away is None):
                rang_at = time.monotonic()
            # After the round, so that no other work delays a run; each bounds its own time.
            for turn in turns:
                turn.take()
        except (DatabaseAway, QueueAway) as gone:
            away = gone
        if away is None:
            process.become_ready()
        else:
            process.tell_away(away)
        process.pause(plan_pause(tick_seconds=tick_seconds, seconds_since_ring=time.monotonic() - rang_at))
    process.tell_stopping()


def _read_figures(process: Process) -> FleetFigures:
    keep_months = process.settings.audit_retention
    return process.ask(
        lambda connection: read_figures(connection, keep_months=keep_months), purpose="figures"
    )


def _find_redis_away(process: Process) -> QueueAway | None:
    try:
        process.doorbell.check()
    except QueueAway as away:
        return away
    return None


def _do_round(process: Process, *, can_ring: bool) -> bool:
    """Plan a round, and ring; True where it rang. While Redis is away, runs are made and wait to be rung for."""
    began = time.monotonic()
    done = process.ask(
        lambda connection: _plan(connection, process.settings, can_ring=can_ring), purpose="round"
    )
    for event in _describe_round(done):
        process.emit(event)
    for run in done.to_ring:
        process.doorbell.ring(run)
    ticked = {
        "requested": len(done.asked) + len(done.due),
        "rescued": len(done.lost),
        "rung": len(done.to_ring),
        "seconds": round(time.monotonic() - began, 3),
    }
    process.tell(SCHEDULER_TICKED, **ticked)
    return bool(done.to_ring)


def _describe_round(done: Round) -> Iterator[Event]:
    for reason, planned in (("request", done.asked), ("cadence", done.due)):
        for run in planned:
            yield Event(RUN_REQUESTED, {"reason": reason}, tenant=str(run.tenant_id), run=str(run.run_id))
    for lost in done.lost:
        kind, fields = RUN_RESCUED, {"worker": lost.worker}
        if lost.gave_up:
            kind, fields = RUN_ENDED, {"outcome": "failed", "code": "gave_up"}
        yield Event(kind, fields, tenant=str(lost.tenant_id), run=str(lost.run_id))


async def _plan(connection: Connection, settings: Settings, *, can_ring: bool) -> Round:
    return await runs.plan_round(
        connection,
        most_rings=runs.RING_BATCH if can_ring else 0,
        max_attempts=settings.max_attempts,
        again_after_seconds=_RING_AGAIN_SECONDS,
        starts_per_second=settings.starts_per_second,
    )


async def read_figures(connection: Connection, *, keep_months: int = 24) -> FleetFigures:
    """Read how the fleet stands."""
    fleet = await reading.read_fleet(connection)
    active = [row for row in fleet if row["state"] == "active"]
    checked_at, reached_at = await read_check(connection)
    in_use = [key for key in await keys.read_keys(connection) if key.tenants]
    trail = await audit.read_partitions(connection)
    now = datetime.now(UTC)
    oldest = min((part.oldest_unsealed for part in trail if part.oldest_unsealed), default=now)
    return FleetFigures(
        runs=await reading.count_runs(connection),
        tenants=Counter(row["state"] for row in fleet),
        staleness_ratios=[row["staleness_seconds"] / row["every_seconds"] for row in active],
        waiting=sum(row["waiting_seconds"] > 0 for row in active),
        oldest_due_seconds=max((row["waiting_seconds"] for row in active), default=0.0),
        processes=Counter(row["kind"] for row in await reading.read_processes(connection)),
        breakers=Counter(row["breaker"] for row in fleet),
        quarantined=sum(row["last_state"] == "quarantined" for row in fleet),
        keys_in_use=len(in_use),
        oldest_key_seconds=max((key.age_seconds for key in in_use), default=0.0),
        retention_overdue_seconds=await read_overdue_seconds(connection, keep_months),
        offboardings=Counter(
            tell_standing(one.due_at, now=now) for one in await read_offboardings(connection)
        ),
        audit_unsealed=sum(part.unsealed for part in trail),
        audit_oldest_seconds=max(0.0, (now - oldest).total_seconds()),
        audit_months_ahead=count_months_ahead(
            (part.frontier.bound for part in trail), year=now.year, month=now.month
        ),
        isolation_checked_at=checked_at,
        isolation_reached_at=reached_at,
    )
