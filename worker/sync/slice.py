"""One slice of a run, as a list of steps: claim, open, crawl, look up what is gone, then publish or yield.

A slice is one thread, one event loop and one short database connection (beside the lease's), bounded in time, so
that no tenant keeps others waiting. All it has read is staged page by page: the next slice, on any worker, goes on
from there. What follows a failure is in `settling`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import UUID

from jobs.errors import CredentialsMissing
from jobs.events import (
    CREDENTIAL_OPENED,
    PUBLISHED,
    REVISION_QUARANTINED,
    RUN_CLAIMED,
    RUN_ENDED,
    RUN_YIELDED,
    Event,
)
from jobs.guard import Guard
from jobs.rereading import Forced, KnownTable
from jobs.surface import Table
from worker.postgres import publishing, rereading, runs, staging, tenants
from worker.postgres.connection import Connection, open_connection
from worker.postgres.publishing import Publication
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import TableRead
from worker.servicenow import Client, Limits, open_client
from worker.sync.crawl import Coverage, Crawl, Reader, crawl_tables
from worker.sync.evidence import look_up_gone
from worker.sync.lease import held_lease
from worker.sync.parts import Parts
from worker.sync.rereading import Rereader
from worker.sync.settling import run_seconds, settle_failure, tell_unclaimed
from worker.sync.trail import Trail
from worker.sync.writer import Writer
from worker.vault import ClientCredentials, SealedCredentials, open_credentials

_BACKOFF_SECONDS = 1.0  # the ceiling of a request's first wait before another try


def run_slice(parts: Parts, run_id: UUID) -> None:
    """Work on a run for one slice; whatever happens is in its row and in events, and nothing is raised."""
    asyncio.run(_run_slice(parts, run_id))


async def _run_slice(parts: Parts, run_id: UUID) -> None:
    database_url = parts.settings.require_database_url()
    lease_seconds = parts.settings.lease_seconds
    run: ClaimedRun | None = None
    trail: Trail | None = None
    try:
        async with open_connection(database_url, purpose="slice") as connection:
            run = await runs.claim_run(connection, run_id, worker=parts.worker, lease_seconds=lease_seconds)
            if run is None:
                return  # a late doorbell: another worker has the run, or it ended
            trail = Trail(parts.emit, tenant=str(run.tenant_id), run=str(run.run_id))
            async with held_lease(database_url, run, lease_seconds=lease_seconds):
                await _Slice(parts, run, connection, trail).work()
    except Exception as raised:  # noqa: BLE001  the one place where a slice's failures end
        if run is None or trail is None:
            tell_unclaimed(parts, raised)
        else:
            await settle_failure(parts, run, trail, raised)


class _Slice:
    """The steps of one slice of a claimed run, on one connection."""

    def __init__(self, parts: Parts, run: ClaimedRun, connection: Connection, trail: Trail) -> None:
        self._parts = parts
        self._run = run
        self._connection = connection
        self._trail = trail
        self._deadline = 0.0
        self._surface = parts.surface.with_values(parts.settings.property_names)

    async def work(self) -> None:
        """Go on with the run from where earlier slices left it."""
        run = self._run
        claimed = {"attempt": run.attempt, "fence": run.fence, "worker": self._parts.worker}
        self._tell(Event(RUN_CLAIMED, claimed))
        await staging.check_version(self._connection, run.schema_name)
        await publishing.drop_abandoned(self._connection, run)
        coverage = await self._crawl(await staging.read_progress(self._connection, run))
        reads = await staging.read_progress(self._connection, run)
        if coverage is not None:
            await self._publish(reads, coverage)
        else:
            await self._yield(reads)

    def must_pause(self) -> bool:
        """Say whether the slice's time is over, or the process is asked to stop."""
        return self._parts.draining.is_set() or time.monotonic() > self._deadline

    async def _crawl(self, progress: Mapping[str, TableRead]) -> Coverage | None:
        """Read on; what the crawl covers when all is read and nothing stands between it and its publication."""
        credentials, version = await self._open_credentials()
        # From here: a slice whose preparations took long still reads on.
        self._deadline = time.monotonic() + self._parts.settings.slice_seconds
        async with self._open_client(credentials, version) as client:
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
                async with asyncio.timeout(self._parts.slice_bound_seconds):
                    return await self._cover(crawl, progress)
            except TimeoutError:
                # A slow instance: what is staged stays, and the next slice goes on.
                await self._record_unwritten()
                return None

    async def _cover(self, crawl: Crawl, progress: Mapping[str, TableRead]) -> Coverage | None:
        coverage = await crawl_tables(crawl, progress)
        if coverage is None:
            return None
        reads = coverage.choose_reads(await staging.read_progress(self._connection, self._run))
        is_settled = await look_up_gone(crawl, self._connection, surface=coverage.surface, reads=reads)
        return coverage if is_settled else None

    async def _record_unwritten(self) -> None:
        taken = self._trail.take_unwritten()
        await staging.record_alone(self._connection, self._run, requests=taken.requests, events=taken.events)
        taken.mark_written()

    async def _open_credentials(self) -> tuple[ClientCredentials, int]:
        run = self._run
        stored = await tenants.read_credentials(self._connection, run.tenant_id)
        if stored is None:
            raise CredentialsMissing(
                f"{run.tenant} has no credentials: store them with `zaptik credential set {run.tenant}`."
            )
        sealed = SealedCredentials(stored.wrapped_data_key, stored.key_id, stored.envelope, stored.version)
        credentials = open_credentials(self._parts.keyring, sealed, tenant=str(run.tenant_id))
        opened = {"version": stored.version, "key_id": stored.key_id}
        self._trail.emit(Event(CREDENTIAL_OPENED, opened))
        await self._record_unwritten()
        return credentials, stored.version

    def _open_reader(
        self, known: Mapping[str, KnownTable], crawl: Crawl, table: Table, read: TableRead | None
    ) -> Reader:
        """Open a table's reader: one of which less would not surely do is read whole."""
        if not table.can_be_reread:
            return Reader(crawl, table, read)
        settings = self._parts.settings
        forced = Forced(settings.scan_every_runs, settings.whole_every_runs)
        return Rereader(crawl, table, read, known=known.get(table.name), forced=forced)

    def _open_client(
        self, credentials: ClientCredentials, version: int
    ) -> AbstractAsyncContextManager[Client]:
        settings = self._parts.settings
        return open_client(
            self._run.url,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            allowed_hosts=settings.instance_hosts,
            private_ranges=settings.private_ranges,
            trust=self._parts.trust,
            tokens=self._parts.tokens,
            token_key=(self._run.tenant_id, version),
            limits=Limits(
                page_rows=settings.page_rows,
                request_timeout_seconds=settings.request_timeout_seconds,
                concurrency=settings.instance_concurrency,
                # A deployment that does not wait for a run's next try does not wait for a request's either.
                backoff_seconds=min(_BACKOFF_SECONDS, settings.retry_base_seconds),
            ),
        )

    async def _publish(self, reads: Mapping[str, TableRead], coverage: Coverage) -> None:
        began = time.monotonic()
        settings = self._parts.settings
        published = await publishing.publish_run(
            self._connection,
            self._run,
            surface=coverage.surface,
            reads=staging.sort_reads(coverage.choose_reads(reads)),
            as_of=self._run.started_at,
            events=(),
            guard=Guard(settings.guard_removed_rows, settings.guard_removed_share),
        )
        if published.reason is not None:
            held = {"reason": published.reason, "removed": published.removed}
            self._tell(Event(REVISION_QUARANTINED, {"revision": published.revision, **held}))
        self._tell(Event(PUBLISHED, {"phase": "all", "seconds": time.monotonic() - began}))
        self._tell(Event(RUN_ENDED, self._describe_end(published, reads, coverage)))

    async def _yield(self, reads: Mapping[str, TableRead]) -> None:
        if not await runs.yield_run(self._connection, self._run):
            raise staging.lease_lost(self._run.run_id)
        reason = "stopping" if self._parts.draining.is_set() else "slice over"
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
            "requests": coverage.requests + sum(read.requests for read in reads.values()),
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
