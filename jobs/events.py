"""The one dictionary of everything that can be reported.

Work says what happened with `emit(Event(...))`; logs, metrics and the audit trail subscribe, and nobody counts
or logs from the middle of the work. Names are constant and data stands in fields. No field holds a secret or
a customer's content; a tenant is named by its opaque reference alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class EventKind:
    """One thing that can happen: its `name`, why it is told, its fields, and whether it is an audit event."""

    name: str
    why: str
    fields: tuple[str, ...] = ()
    level: Level = "info"
    audited: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `tenant` is the tenant's opaque reference, `run` the run's id."""

    kind: EventKind
    fields: Mapping[str, object] = field(default_factory=dict)
    tenant: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        if surplus := self.fields.keys() - set(self.kind.fields):
            raise ValueError(f"event {self.kind.name} has no field {', '.join(sorted(surplus))}")


Emit: TypeAlias = Callable[[Event], None]

KINDS: dict[str, EventKind] = {}


def _kind(name: str, why: str, *fields: str, level: Level = "info", audited: bool = False) -> EventKind:
    KINDS[name] = kind = EventKind(name=name, why=why, fields=fields, level=level, audited=audited)
    return kind


PROCESS_STARTED = _kind("process.started", "A process is ready for work.", "process", "version", "pid")
PROCESS_STOPPING = _kind("process.stopping", "A process was asked to stop and drains.", "process", "signal")
PROCESS_STOPPED = _kind(
    "process.stopped",
    "A process ended; where it did not drain in time, its runs go on when their leases run out.",
    "process",
    "drained",
)
METRICS_LISTENING = _kind("metrics.listening", "Where /metrics, /livez and /readyz answer.", "host", "port")
DEPENDENCY_BACK = _kind("dependency.back", "PostgreSQL or Redis answers again.", "dependency")
DEPENDENCY_AWAY = _kind(
    "dependency.away", "PostgreSQL or Redis does not answer; waited for.",
    "dependency", "error", level="warning",
)  # fmt: skip
LIBRARY_LOGGED = _kind(
    "library.logged", "A library warns.", "logger", "severity", "message", "error", level="warning"
)
FAILURE_UNFORESEEN = _kind(
    "failure.unforeseen", "An exception nobody planned for; please report it.",
    "where", "error", "frames", level="error",
)  # fmt: skip

SCHEDULER_TICKED = _kind(
    "scheduler.ticked", "One round of the scheduler.",
    "requested", "rescued", "rung", "seconds", level="debug",
)  # fmt: skip
RUN_REQUESTED = _kind("run.requested", "A tenant is due, or somebody asked.", "mode", "reason", audited=True)
RUN_ASKED = _kind(
    "run.asked", "Somebody asked for a run, by the command or by SQL.", "request", "mode", audited=True
)
RUN_CLAIMED = _kind("run.claimed", "A worker took the run.", "attempt", "fence", "worker", audited=True)
RUN_YIELDED = _kind("run.yielded", "A slice ended before the run; it goes on later.", "pages", "reason")
RUN_RESCUED = _kind(
    "run.rescued", "The lease of a run ran out; it is offered again.",
    "worker", level="warning", audited=True,
)  # fmt: skip
RUN_FENCED = _kind("run.fenced", "A worker came too late and wrote nothing.", level="warning", audited=True)
RUN_CANCELLED = _kind(
    "run.cancelled", "A worker left a run that somebody cancelled.", "seconds", level="warning"
)
BREAKER_OPENED = _kind(
    "breaker.opened",
    "An instance did not answer slice after slice: it is left alone for a while, then probed by one run.",
    "code", "seconds", level="warning", audited=True,
)  # fmt: skip
RUN_RETRIED = _kind(
    "run.retried", "A run failed and will be tried again.",
    "outcome", "code", "after_seconds", level="warning", audited=True,
)  # fmt: skip
RUN_ENDED = _kind(
    "run.ended", "A run came to its end.",
    "outcome", "code", "revision", "seconds", "requests", "records", "nodes", "edges", "added", "changed",
    "removed", "after_seconds", audited=True,
)  # fmt: skip
PUBLISHED = _kind("publish.ended", "The graph was compared and written.", "phase", "seconds", level="debug")

REQUEST_ANSWERED = _kind(
    "request.answered", "One request to a ServiceNow instance and its answer.",
    "endpoint", "table", "fields_hash", "status", "rows", "bytes", "seconds", level="debug", audited=True,
)  # fmt: skip
REQUEST_FAILED = _kind(
    "request.failed", "A request to a ServiceNow instance that gave nothing of use.",
    "endpoint", "table", "fields_hash", "status", "code", "seconds", level="warning", audited=True,
)  # fmt: skip
THROTTLE_WAITED = _kind("throttle.waited", "Waited because the instance asked for it.", "seconds")
CONCURRENCY_CHANGED = _kind(
    "concurrency.changed",
    "An instance is asked more or fewer requests at once than before.",
    "limit",
    "reason",
)
TOKEN_FETCHED = _kind(
    "token.fetched", "An access token was given.", "status", "expires_in_seconds", "seconds", audited=True
)
TOKEN_REFUSED = _kind(
    "token.refused", "The instance refused the credentials.",
    "status", "code", "seconds", level="warning", audited=True,
)  # fmt: skip
CANARIES_CHECKED = _kind(
    "canaries.checked", "What a run's canaries found: how honestly the instance answers queries.",
    "table", "unknown_field", "range", "times", audited=True,
)  # fmt: skip
COVERAGE_CHANGED = _kind(
    "coverage.changed", "A table's verdict is another than in the run before.",
    "table", "from", "to", level="warning", audited=True,
)  # fmt: skip
DOCTOR_ENDED = _kind(
    "doctor.ended", "Somebody had an instance examined: of how many tables, and how many are not all there.",
    "ok", "tables", "missing", audited=True,
)  # fmt: skip
TABLE_JUDGED = _kind(
    "table.judged", "What was read of a table, and how far to trust it.", "table", "verdict", "rows"
)
GONE_LOOKED_UP = _kind(
    "gone.looked_up", "Records that a complete read no longer gave were looked up by their keys.",
    "table", "gone", "deleted", "hidden", "unknown",
)  # fmt: skip
REVISION_QUARANTINED = _kind(
    "revision.quarantined",
    "A revision would remove a great deal: it waits for a person, and the last good one stays in force.",
    "revision", "reason", "removed", level="warning", audited=True,
)  # fmt: skip
REVISION_ACCEPTED = _kind(
    "revision.accepted", "A person let a quarantined revision be published.", "revision", audited=True
)
REVISION_REJECTED = _kind(
    "revision.rejected", "A person dropped a quarantined revision.", "revision", audited=True
)

RETENTION_RAN = _kind(
    "retention.run",
    "A tenant's revisions and runs that are older than is kept were let go, with what only they showed.",
    "oldest", "revisions", "feed", "nodes", "edges", "findings", "reads", "runs", "requests", audited=True,
)  # fmt: skip
AUDIT_DROPPED = _kind(
    "retention.audit", "A month of the audit trail that is older than is kept was dropped whole, sealed as it was.",
    "month", "until", "events", "by", audited=True,
)  # fmt: skip
RETENTION_FAILED = _kind(
    "retention.failed",
    "What is older than is kept could not be let go, of a tenant or a month of the audit trail; tried again later.",
    "code", "month", level="warning",
)  # fmt: skip

AUDIT_SEALED = _kind(
    "audit.sealed",
    "A segment of the audit trail was sealed. Kept outside the database, the digest shows a chain that was cut.",
    "segment", "bound", "events", "digest", "key_id", "signature",
)  # fmt: skip
AUDIT_UNSEALED = _kind(
    "audit.unsealed",
    "The audit trail is not sealed, and its events wait; told once an hour.",
    "reason",
    level="warning",
)
AUDIT_BROKEN = _kind(
    "audit.broken",
    "A scheduler checked what was sealed of the audit trail, and it does not hold: somebody changed it.",
    "what", "segment", "bound", "audit_id", level="error",
)  # fmt: skip
AUDIT_CHECKED = _kind(
    "audit.checked",
    "A scheduler has checked the audit trail from one end to the other.",
    "segments",
    "faults",
)
AUDIT_KEY_USED = _kind(
    "audit.key_used", "The audit trail is sealed by another key than before.",
    "key_id", "before", audited=True,
)  # fmt: skip
AUDIT_PASSED = _kind(
    "audit.passed", "An administrator let sealing go past a segment that does not hold.",
    "segment", "bound", audited=True,
)  # fmt: skip
AUDIT_VERIFIED = _kind(
    "audit.verified", "Somebody checked the audit trail.",
    "ok", "events", "sealed", "first_bad", audited=True,
)  # fmt: skip
AUDIT_EXPORTED = _kind(
    "audit.exported", "Somebody wrote the audit trail to a file.", "from", "to", "events", audited=True
)
GAP_ACCEPTED = _kind(
    "gap.accepted",
    "The database's server leaves something open that `migrate` would close, and the settings accept it.",
    "gap", "leaves", level="warning",
)  # fmt: skip
ISOLATION_CHECKED = _kind(
    "isolation.checked",
    "A scheduler tried to read tenants as other tenants: how many held, were reached, could not be tried.",
    "held", "reached", "failed", "seconds", audited=True,
)  # fmt: skip
ISOLATION_REACHED = _kind(
    "isolation.reached",
    "A tenant's marked row was read as another tenant: the boundary is open. Act now, by the runbook.",
    "by", "ways", level="error", audited=True,
)  # fmt: skip
ISOLATION_FAILED = _kind(
    "isolation.failed",
    "A tenant's boundary could not be tried, so nothing is known of it.",
    "code",
    level="warning",
)

MIGRATED = _kind("schema.migrated", "A schema was brought to a version.", "schema", "version", audited=True)
TENANT_ADDED = _kind("tenant.added", "A tenant was provisioned.", "every_seconds", audited=True)
TENANT_PAUSED = _kind(
    "tenant.paused", "A tenant waits for a person.", "reason", level="warning", audited=True
)
TENANT_RESUMED = _kind("tenant.resumed", "A tenant may run again.", "reason", audited=True)
OFFBOARDING_REQUESTED = _kind(
    "offboarding.requested",
    "A tenant's deletion was asked for in writing: it runs no more, and is deleted by a date.",
    "reference", "due_at", level="warning", audited=True,
)  # fmt: skip
OFFBOARDING_CANCELLED = _kind(
    "offboarding.cancelled", "A tenant's deletion was called off.", "reference", audited=True
)
OFFBOARDING_BEGUN = _kind(
    "offboarding.begun",
    "A tenant's deletion began with its credentials and data key; there is no way back.",
    "reference", level="warning", audited=True,
)  # fmt: skip
TENANT_DELETED = _kind(
    "tenant.deleted",
    "All of a tenant is gone but its audit events, whose reference nothing leads back from; by the written request, or "
    "again by the list of deleted tenants after a restore.",
    "reason", "reference", "requested_at", "deleted", "certificate", level="warning", audited=True,
)  # fmt: skip
GRAPH_READ = _kind(
    "graph.read",
    "Somebody had a tenant's graph told, compared or written out by the command; no revision: the one in force.",
    "command", "revision", "since", audited=True,
)  # fmt: skip
CONSUMER_GRANTED = _kind(
    "consumer.granted",
    "A login may read the tenant's graph and ask for its runs, or as a requester for any tenant's.",
    "login", "requester", audited=True,
)  # fmt: skip
CONSUMER_REVOKED = _kind("consumer.revoked", "A login may do so no more.", "login", "requester", audited=True)
CREDENTIAL_STORED = _kind(
    "credential.stored", "Credentials were sealed and stored.", "version", "key_id", audited=True
)
CREDENTIAL_OPENED = _kind(
    "credential.opened", "Credentials were opened in memory.", "version", "key_id", audited=True
)

KEY_GENERATED = _kind("key.generated", "A key of the deployment was made.", "key_id", audited=True)
KEY_PROMOTED = _kind(
    "key.promoted",
    "A key became the primary: data keys are wrapped by it from now on.",
    "key_id",
    audited=True,
)
KEY_DROPPED = _kind(
    "key.dropped",
    "A key that nothing needs was dropped: nothing is ever wrapped by it again.",
    "key_id",
    audited=True,
)
DATA_KEY_REWRAPPED = _kind(
    "key.rewrapped", "A tenant's data key was wrapped by another key.", "key_id", "before", audited=True
)
KEYRING_CHANGED = _kind(
    "keyring.changed", "A process holds another keyring than before.", "primary", "key_ids"
)
KEYRING_UNREADABLE = _kind(
    "keyring.unreadable",
    "The keyring was to be read again and gave none; the process goes on with the one it holds.",
    "error",
    level="warning",
)
CERTIFICATE_SEEN = _kind(
    "certificate.seen",
    "Until when the certificate of PostgreSQL or Redis is valid: told at the start, and when it is another one.",
    "peer", "expires_at",
)  # fmt: skip
CERTIFICATE_UNSEEN = _kind(
    "certificate.unseen",
    "PostgreSQL or Redis showed no certificate when a scheduler looked at it; it looks again within an hour.",
    "peer", "host", "error", level="warning",
)  # fmt: skip
