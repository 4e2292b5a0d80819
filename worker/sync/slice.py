"""One slice of a run, as a list of steps: claim, open, crawl, look up what is gone, then publish or yield.

A slice is one thread, one event loop and one short database connection, bounded in time, so that no tenant keeps
others waiting. All it has read is staged page by page: the next slice, on any worker, goes on from there. What
follows a failure is in `settling`.
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
from worker.sync.crawl import Crawl, Reader, crawl_tables
from worker.sync.evidence import look_up_gone
from worker.sync.lease import held_lease
from worker.sync.parts import Parts
from worker.sync.rereading import Rereader
from worker.sync.settling import run_seconds, settle_failure, tell_unclaimed
from worker.sync.trail import Trail
from worker.sync.writer import Writer
from worker.vault import ClientCredentials, SealedCredentials, open_credentials


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

    async def work(self) -> None:
        """Go on with the run from where earlier slices left it."""
        run = self._run
        claimed = {"attempt": run.attempt, "fence": run.fence, "worker": self._parts.worker}
        self._tell(Event(RUN_CLAIMED, claimed))
        await staging.check_version(self._connection, run.schema_name)
        await publishing.drop_abandoned(self._connection, run)
        is_ready = await self._crawl(await staging.read_progress(self._connection, run))
        reads = await staging.read_progress(self._connection, run)
        if is_ready:
            await self._publish(reads)
        else:
            await self._yield(reads)

    def must_pause(self) -> bool:
        """Say whether the slice's time is over, or the process is asked to stop."""
        return self._parts.draining.is_set() or time.monotonic() > self._deadline

    async def _crawl(self, progress: Mapping[str, TableRead]) -> bool:
        """Read on; True when all is read and nothing stands between it and its publication."""
        surface = self._parts.surface
        credentials, version = await self._open_credentials()
        # From here: a slice whose preparations took long still reads on.
        self._deadline = time.monotonic() + self._parts.settings.slice_seconds
        async with self._open_client(credentials, version) as client:
            known = await rereading.read_known_tables(self._connection, self._run)
            crawl = Crawl(
                self._run,
                client,
                Writer(self._connection),
                self._trail,
                self.must_pause,
                partial(self._open_reader, {} if self._run.mode == "full" else known),
            )
            await crawl_tables(crawl, surface.tables.values(), progress)
            reads = await staging.read_progress(self._connection, self._run)
            if not all(name in reads and reads[name].verdict for name in surface.tables):
                return False
            return await look_up_gone(crawl, self._connection, surface=surface, reads=reads)

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
        taken = self._trail.take()
        await staging.record_alone(self._connection, run, requests=taken.requests, events=taken.events)
        taken.mark_written()
        return credentials, stored.version

    def _open_reader(
        self, known: Mapping[str, KnownTable], crawl: Crawl, table: Table, read: TableRead | None
    ) -> Reader:
        """Open a table's reader: what links others is read whole, since no aggregate tells of a link that moved."""
        if table.link:
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
            trust=self._parts.trust,
            tokens=self._parts.tokens,
            token_key=(self._run.tenant_id, version),
            limits=Limits(
                page_rows=settings.page_rows,
                request_timeout_seconds=settings.request_timeout_seconds,
                concurrency=settings.instance_concurrency,
            ),
        )

    async def _publish(self, reads: Mapping[str, TableRead]) -> None:
        began = time.monotonic()
        settings = self._parts.settings
        published = await publishing.publish_run(
            self._connection,
            self._run,
            surface=self._parts.surface,
            reads=staging.sort_reads(reads),
            as_of=self._run.started_at,
            events=(),
            guard=Guard(settings.guard_removed_rows, settings.guard_removed_share),
        )
        if published.reason is not None:
            held = {"reason": published.reason, "removed": published.removed}
            self._tell(Event(REVISION_QUARANTINED, {"revision": published.revision, **held}))
        self._tell(Event(PUBLISHED, {"phase": "all", "seconds": time.monotonic() - began}))
        self._tell(Event(RUN_ENDED, self._describe_end(published, reads)))

    async def _yield(self, reads: Mapping[str, TableRead]) -> None:
        if not await runs.yield_run(self._connection, self._run):
            raise staging.lease_lost(self._run.run_id)
        reason = "stopping" if self._parts.draining.is_set() else "slice over"
        self._tell(
            Event(RUN_YIELDED, {"pages": sum(read.pages for read in reads.values()), "reason": reason})
        )

    def _describe_end(self, published: Publication, reads: Mapping[str, TableRead]) -> dict[str, object]:
        return {
            "outcome": published.outcome,
            "code": "",
            "revision": published.revision,
            "seconds": run_seconds(self._run),
            "requests": sum(read.requests for read in reads.values()),
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
