"""What follows a slice that failed: the run is tried later, ends, or is left to whoever holds its lease now."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from jobs.errors import CredentialsMissing, CredentialsRejected, CredentialsReplaced, Failure, LeaseLost
from jobs.events import (
    BREAKER_OPENED,
    DEPENDENCY_AWAY,
    RUN_CANCELLED,
    RUN_ENDED,
    RUN_FENCED,
    RUN_RETRIED,
    TENANT_PAUSED,
    Event,
    EventKind,
)
from jobs.retry import Fate, plan_fate
from worker.postgres import runs, staging, tenants
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.runs import ClaimedRun
from worker.sync.parts import Parts
from worker.sync.trail import Trail
from worker.telemetry import describe_unforeseen

_PAUSING = (CredentialsMissing, CredentialsRejected)


async def settle_failure(
    parts: Parts, run: ClaimedRun, trail: Trail, raised: Exception, *, credentials_version: int | None
) -> None:
    """Bring what a slice raised into the run's row, on a new connection; nothing is raised.

    `credentials_version` is that of the credentials it opened, None where it opened none. Where the database is away
    too, the lease runs out and the scheduler offers the run again.
    """
    failure = _foresee(parts, raised)
    try:
        async with open_connection(parts.settings.require_database_url(), purpose="settle") as connection:
            # First, while the run is still ours: once it is released its row counts no request of ours any more.
            await _record_unwritten(connection, run, trail)
            if isinstance(failure, _PAUSING):
                failure = await _describe_refusal(connection, run, failure, credentials_version)
            is_ours = await _settle(parts, connection, run, failure)
            if is_ours and isinstance(failure, _PAUSING):
                await _pause(parts, connection, run, failure, credentials_version)
    except Failure as again:
        parts.emit(Event(DEPENDENCY_AWAY, {"dependency": "PostgreSQL", "error": again.message}))


def tell_unclaimed(parts: Parts, raised: Exception) -> None:
    """Tell why no run could be claimed: the bell is rung again."""
    failure = _foresee(parts, raised)
    parts.emit(Event(DEPENDENCY_AWAY, {"dependency": "PostgreSQL", "error": failure.message}))


def run_seconds(run: ClaimedRun) -> float:
    """Give how long a run has been going, from its first claim, by the database's clock and ours."""
    return max(0.0, (datetime.now(UTC) - run.started_at).total_seconds())


async def _record_unwritten(connection: Connection, run: ClaimedRun, trail: Trail) -> None:
    """Write the events that the failed slice's own transactions did not take along."""
    taken = trail.take_unwritten()
    try:
        await staging.record_alone(connection, run, requests=taken.requests, events=taken.events)
    except LeaseLost:
        # The run is another worker's by now; what was asked of the instance is recorded all the same.
        async with in_tenant_rows(connection, run.tenant_id):
            await tenants.insert_events(connection, taken.events)
    taken.mark_written()


async def _settle(parts: Parts, connection: Connection, run: ClaimedRun, failure: Failure) -> bool:
    """Bring the failure into the run's row; False where another worker holds the run by now."""
    settings = parts.settings
    fate = plan_fate(
        failure,
        attempt=run.attempt,
        max_attempts=settings.max_attempts,
        base_seconds=settings.retry_base_seconds,
        cap_seconds=settings.retry_cap_seconds,
        draw=random.Random(),  # noqa: S311  spreads retries, guards nothing
    )
    # A lease that is lost leaves nothing to release: whoever has the run now decides about it.
    ended = None if isinstance(failure, LeaseLost) else await runs.release_failed(connection, run, fate)
    if ended is None or not ended.released:
        await _tell_lost(parts, connection, run)
        return False
    if ended.opened_seconds is not None:
        fields = {"code": failure.code, "seconds": round(ended.opened_seconds)}
        await _record(parts, connection, run, BREAKER_OPENED, fields)
    _tell_fate(parts, run, fate)
    return True


async def _describe_refusal(
    connection: Connection, run: ClaimedRun, failure: Failure, version: int | None
) -> Failure:
    """Say what to do next; that the run goes on, where others have replaced the credentials it had."""
    if await _read_newest_version(connection, run) != version:
        return CredentialsReplaced(
            f"{run.tenant} was given other credentials while this run had the earlier ones, which the instance "
            "refused: it goes on with the new ones."
        )
    if isinstance(failure, CredentialsMissing):
        return failure
    return CredentialsRejected(
        f"{failure.message} {run.tenant} is paused until somebody acts: "
        f"`zaptik credential set {run.tenant} --client-id ID` with what the instance takes, or "
        f"`zaptik tenant resume {run.tenant}` once the instance takes what is stored."
    )


async def _pause(
    parts: Parts, connection: Connection, run: ClaimedRun, failure: Failure, version: int | None
) -> None:
    """Hold the tenant, unless it was given other credentials at the last moment."""
    async with in_tenant_rows(connection, run.tenant_id):
        await tenants.change_state(connection, run.tenant_id, "paused", reason=failure.message)
        # Asked after the tenant's row is ours: who stores credentials changes it last, and so after this, if at all.
        if await _read_newest_version(connection, run) != version:
            await tenants.change_state(connection, run.tenant_id, "active", reason=None)
            return
        await _record(parts, connection, run, TENANT_PAUSED, {"reason": failure.code})


async def _read_newest_version(connection: Connection, run: ClaimedRun) -> int | None:
    newest = await tenants.read_credentials(connection, run.tenant_id)
    return newest.version if newest else None


async def _tell_lost(parts: Parts, connection: Connection, run: ClaimedRun) -> None:
    """Tell why the run is this worker's no more: somebody cancelled it, or another worker has it."""
    if await runs.read_run_state(connection, run) == "cancelled":
        parts.emit(_bind(run, RUN_CANCELLED, {"seconds": run_seconds(run)}))
    else:
        await _record(parts, connection, run, RUN_FENCED, {})


def _tell_fate(parts: Parts, run: ClaimedRun, fate: Fate) -> None:
    code = fate.error["code"]
    if fate.ending == "retried":
        fields: dict[str, object] = {"code": code, "after_seconds": round(fate.wait_seconds, 1)}
        parts.emit(_bind(run, RUN_RETRIED, fields))
    else:
        fields = {"outcome": "failed", "code": code, "seconds": run_seconds(run)}
        parts.emit(_bind(run, RUN_ENDED, fields))


async def _record(
    parts: Parts, connection: Connection, run: ClaimedRun, kind: EventKind, fields: dict[str, object]
) -> None:
    event = _bind(run, kind, fields)
    async with in_tenant_rows(connection, run.tenant_id):
        await tenants.insert_events(connection, [event])
    parts.emit(event)


def _bind(run: ClaimedRun, kind: EventKind, fields: dict[str, object]) -> Event:
    return Event(kind, fields, tenant=str(run.tenant_id), run=str(run.run_id))


def _foresee(parts: Parts, raised: Exception) -> Failure:
    """Give a foreseen failure as it is; of another only its type and our own lines, since its text may hold rows."""
    if isinstance(raised, Failure):
        return raised
    parts.emit(describe_unforeseen(raised, where="slice"))
    return Failure(
        f"A defect of ours: {type(raised).__name__}. The log's failure.unforeseen says where; please report it."
    )
