"""One slice of a run, as a list of steps: claim, open, send canaries, crawl, look up what is gone, publish or yield.

A slice is one thread, one event loop and one short database connection (beside the lease's), bounded in time, so
that no tenant keeps others waiting. All it has read is staged page by page: the next slice, on any worker, goes on
from there. What follows a failure is in `settling`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from uuid import UUID

from jobs.coverage import compare_coverage
from jobs.errors import RunGaveUp
from jobs.events import (
    CANARIES_CHECKED,
    COVERAGE_CHANGED,
    PUBLISHED,
    REVISION_QUARANTINED,
    RUN_CLAIMED,
    RUN_ENDED,
    RUN_YIELDED,
    Event,
)
from jobs.guard import Guard
from jobs.pace import Pace
from jobs.rereading import Forced, KnownTable
from jobs.surface import Table
from worker.postgres import publishing, rereading, runs, staging
from worker.postgres.connection import Connection, open_connection
from worker.postgres.pace import read_pace
from worker.postgres.publishing import Publication
from worker.postgres.runs import ClaimedRun, Unfinished
from worker.postgres.staging import TableRead
from worker.servicenow import Client
from worker.sync.canaries import send_canaries
from worker.sync.covering import Coverage, crawl_tables
from worker.sync.crawl import Crawl, TableReader
from worker.sync.evidence import look_up_gone
from worker.sync.lease import held_lease
from worker.sync.opening import Opened, open_instance, open_stored, plan_limits
from worker.sync.pace import kept_pace
from worker.sync.parts import Parts
from worker.sync.rereading import Rereader
from worker.sync.settling import run_seconds, settle_failure, tell_unclaimed
from worker.sync.stopping import ended_when_stopping
from worker.sync.trail import Trail
from worker.sync.writer import Writer


def run_slice(parts: Parts, run_id: UUID) -> None:
    """Work on a run for one slice; whatever happens is in its row and in events, and nothing is raised."""
    asyncio.run(_run_slice(parts, run_id))


async def _run_slice(parts: Parts, run_id: UUID) -> None:
    database_url = parts.settings.require_database_url()
    lease_seconds = parts.settings.lease_seconds
    run: ClaimedRun | None = None
    trail: Trail | None = None
    working: _Slice | None = None
    try:
        async with open_connection(database_url, purpose="slice") as connection:
            run = await runs.claim_run(connection, run_id, worker=parts.worker, lease_seconds=lease_seconds)
            if run is None:
                return  # a late doorbell: another worker has the run, or it ended
            trail = Trail(parts.emit, tenant=str(run.tenant_id), run=str(run.run_id))
            async with held_lease(database_url, run, lease_seconds=lease_seconds):
                working = _Slice(parts, run, connection, trail)
                await working.work()
    except Exception as raised:  # noqa: BLE001  the one place where a slice's failures end
        if run is None or trail is None:
            tell_unclaimed(parts, raised)
        else:
            version = working.credentials_version if working else None
            await settle_failure(parts, run, trail, raised, credentials_version=version)


class _Slice:
    """The steps of one slice of a claimed run, on one connection."""

    def __init__(self, parts: Parts, run: ClaimedRun, connection: Connection, trail: Trail) -> None:
        self._parts = parts
        self._run = run
        self._connection = connection
        self._trail = trail
        self._deadline = 0.0
        self._requests_apart = 0
        self._trusts_times = True
        self.credentials_version: int | None = None
        self._surface = parts.surface.with_values(parts.settings.property_names)

    async def work(self) -> None:
        """Go on with the run from where earlier slices left it."""
        run = self._run
        claimed = {"attempt": run.attempt, "fence": run.fence, "worker": self._parts.worker}
        self._tell(Event(RUN_CLAIMED, claimed))
        # Before anything is written: a worker of another release must leave the schema as it is.
        await staging.check_version(self._connection, run.schema_name)
        # And before progress is read, since tables of which an earlier release staged pages begin anew.
        await publishing.drop_abandoned(self._connection, run)
        before = await staging.read_progress(self._connection, run)
        coverage = await self._crawl(before)
        reads = await staging.read_progress(self._connection, run)
        if coverage is not None:
            await self._publish(reads, coverage)
        else:
            await self._give_back(reads, has_advanced=reads != before)

    def must_pause(self) -> bool:
        """Say whether the slice's time is over, or the process is asked to stop."""
        return self._parts.draining.is_set() or time.monotonic() > self._deadline

    async def _crawl(self, progress: Mapping[str, TableRead]) -> Coverage | None:
        """Read on; what the crawl covers when all is read and nothing stands between it and its publication."""
        opened = await self._open_credentials()
        pace = await read_pace(self._connection, self._run.tenant_id)
        async with (
            self._open_client(opened, pace) as client,
            kept_pace(
                client,
                pace,
                tenant_id=self._run.tenant_id,
                url=self._parts.settings.require_database_url(),
                tables=self._surface.tables.keys(),
                emit=self._parts.emit,
            ),
        ):
            # A full run is told of nothing that is known: so each of its tables is read whole.
            known = {}
            if self._run.mode != "full":
                known = await rereading.read_known_tables(self._connection, self._run)
            crawl = Crawl(
                self._run,
                client,
                self._surface,
                Writer(self._connection),
                self._trail,
                self.must_pause,
                partial(self._open_reader, known),
            )
            try:
                async with (
                    asyncio.timeout(self._parts.slice_bound_seconds) as bound,
                    ended_when_stopping(self._parts, bound, client, self._connection),
                ):
                    await self._send_canaries(client)
                    # From here: a slice whose preparations took long still reads on.
                    self._deadline = time.monotonic() + self._parts.settings.slice_seconds
                    return await self._cover(crawl, progress)
            except TimeoutError:
                # A slow instance, or a process that stops: the next slice goes on.
                await self._record_unwritten()
                return None

    async def _send_canaries(self, client: Client) -> None:
        """See once a run how honestly the instance answers; what was found holds for every slice of it."""
        honesty = await runs.read_canaries(self._connection, self._run)
        if honesty is None:
            honesty = await send_canaries(client, self._surface, emit=self._trail.emit)
            self._trail.emit(Event(CANARIES_CHECKED, honesty.document()))
            self._requests_apart += await self._record_unwritten()
        self._trusts_times = honesty.trusts_times

    async def _cover(self, crawl: Crawl, progress: Mapping[str, TableRead]) -> Coverage | None:
        coverage = await crawl_tables(crawl, progress)
        if coverage is None:
            return None
        is_settled = await look_up_gone(crawl, self._connection, coverage)
        return coverage if is_settled else None

    async def _record_unwritten(self) -> int:
        """Write what no transaction has taken along; give how many requests that tells of."""
        taken = self._trail.take_unwritten()
        await staging.record_alone(self._connection, self._run, requests=taken.requests, events=taken.events)
        taken.mark_written()
        return taken.requests

    async def _open_credentials(self) -> Opened:
        run = self._run
        opened = await open_stored(
            self._parts, self._connection, tenant_id=run.tenant_id, tenant=run.tenant, emit=self._trail.emit
        )
        self.credentials_version = opened.version
        await self._record_unwritten()
        return opened

    def _open_reader(
        self, known: Mapping[str, KnownTable], crawl: Crawl, table: Table, read: TableRead | None
    ) -> TableReader:
        """Open a table's reader: one of which less would not surely do is read whole."""
        if not table.can_be_reread:
            return TableReader(crawl, table, read)
        settings = self._parts.settings
        forced = Forced(settings.scan_every_runs, settings.whole_every_runs)
        return Rereader(
            crawl, table, read, known=known.get(table.name), forced=forced, trusts_times=self._trusts_times
        )

    def _open_client(self, opened: Opened, pace: Pace) -> AbstractAsyncContextManager[Client]:
        return open_instance(
            self._parts,
            opened,
            tenant_id=self._run.tenant_id,
            url=self._run.url,
            limits=plan_limits(self._parts),
            pace=pace,
        )

    async def _publish(self, reads: Mapping[str, TableRead], coverage: Coverage) -> None:
        began = time.monotonic()
        settings = self._parts.settings
        chosen = coverage.choose_reads(reads)
        changes = await self._compare_coverage(chosen)
        published = await publishing.publish_run(
            self._connection,
            self._run,
            surface=coverage.surface,
            reads=staging.sort_reads(chosen),
            as_of=self._find_as_of(chosen),
            events=changes,
            guard=Guard(settings.guard_removed_rows, settings.guard_removed_share),
        )
        # Told after the commit: what was undone has not happened.
        for change in changes:
            self._tell(change)
        if published.reason is not None:
            held = {"reason": published.reason, "removed": published.removed}
            self._tell(Event(REVISION_QUARANTINED, {"revision": published.revision, **held}))
        self._tell(Event(PUBLISHED, {"phase": "all", "seconds": time.monotonic() - began}))
        self._tell(Event(RUN_ENDED, self._describe_end(published, reads, coverage)))

    def _find_as_of(self, reads: Mapping[str, TableRead]) -> datetime:
        """Give when the complete table that was asked for longest ago was: a closing pass moves that on."""
        asked = (read.begun_at for read in reads.values() if read.verdict == "complete" and read.begun_at)
        return min(asked, default=self._run.started_at)

    async def _compare_coverage(self, reads: Mapping[str, TableRead]) -> list[Event]:
        """Give an event for each table whose verdict is another than in the run before."""
        before = await runs.read_run_before(self._connection, self._run)
        if before is None:
            return []
        then = await staging.read_verdicts(self._connection, self._run.schema_name, before)
        now = {name: read.verdict for name, read in reads.items()}
        return [
            Event(COVERAGE_CHANGED, {"table": change.table, "from": change.before, "to": change.after})
            for change in compare_coverage(then, now)
        ]

    async def _give_back(self, reads: Mapping[str, TableRead], *, has_advanced: bool) -> None:
        """Put the run back for its next slice; RunGaveUp where slice after slice comes no further."""
        is_stopping = self._parts.draining.is_set()
        ending: Unfinished = "yielded" if has_advanced else "handed_over" if is_stopping else "stalled"
        # A slice that came no further is a claim without progress; without an end to them it would be claimed for ever.
        if ending == "stalled" and self._run.attempt >= self._parts.settings.max_attempts:
            raise RunGaveUp(
                f"{self._run.attempt} slices in a row brought the run no further: the instance is slow, or "
                "ZAPTIK_SLICE_SECONDS too short for one page of it. `zaptik doctor` shows how it answers."
            )
        if not await runs.yield_run(self._connection, self._run, ending):
            raise staging.lease_lost(self._run.run_id)
        reason = "stopping" if is_stopping else "slice over" if has_advanced else "no progress"
        self._tell(
            Event(RUN_YIELDED, {"pages": sum(read.pages for read in reads.values()), "reason": reason})
        )

    def _describe_end(
        self, published: Publication, reads: Mapping[str, TableRead], coverage: Coverage
    ) -> dict[str, object]:
        return {
            "outcome": published.outcome,
            "code": "",
            "revision": published.revision,
            "seconds": run_seconds(self._run),
            "requests": self._requests_apart
            + coverage.requests
            + sum(read.requests for read in reads.values()),
            "records": sum(read.rows for read in reads.values()),
            "added": published.added,
            "changed": published.changed,
            "removed": published.removed,
        }

    def _tell(self, event: Event) -> None:
        """Tell an event whose audit row, where it has one, the database writes with the act itself."""
        self._parts.emit(
            Event(event.kind, event.fields, tenant=str(self._run.tenant_id), run=str(self._run.run_id))
        )
