"""Every way in which work can fail, as one tree.

Nothing here knows a library: each adapter in `worker` translates its library's exceptions at its edge, once. What one
module alone raises may stand there, under a class of this tree; docs/reference/errors.md has them all.

    Failure
    ├── UsageFailure           the person who called must change the call            (exit 2)
    │   ├── UnknownSetting  InvalidSetting  InvalidName  UnknownTenant  UnknownRevision
    │   ├── UnknownNode  NotQuarantined  UnknownRun  RunEnded  KeyInUse
    │   ├── HostNotAllowed  PlainHttp  InvalidAddress  WrongArguments  SecretMissing  TenantPaused  FileNotWritten
    ├── SetupFailure           the deployment is not ready                           (exit 1)
    │   ├── KeyMissing  KeyDropped  KeyNotShared  SealBroken  NotMigrated  DatabaseAway  DatabaseUnsafe  QueueAway
    │   ├── SchedulerAway  WorkerAway  PrivilegeMissing  DatabaseBusy
    ├── InstanceFailure        the customer's ServiceNow instance did not answer as it should
    │   ├── CredentialsMissing  CredentialsRejected  InstanceUnreachable  InstanceSlow  InstanceThrottled
    │   ├── InstanceAsleep  TableDenied  TableAbsent  ResponseInvalid  OrderIgnored  PredicateIgnored
    │   ├── TransactionCancelled
    └── RunFailure             the run itself
        ├── RunLive  LeaseLost  RunGaveUp  OutsideSurface  CredentialsReplaced

Each leaf says a `code` (stable, a label of metrics), whether a `retry` helps (now, later, never) and whose
move it is (`audience`). The message says what could not be done, with which identifier, and what to do next;
it never holds a secret, a token, or a value read from a customer.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypedDict

Retry = Literal["now", "later", "never"]
Audience = Literal["tenant", "operator", "developer"]


class ErrorDocument(TypedDict):
    """A failure as the command and the run's row print it."""

    code: str
    message: str
    retry: Retry
    audience: Audience


class Failure(Exception):  # noqa: N818  the glossary's word for it
    """Anything foreseen that stops work; see the module's tree."""

    code: ClassVar[str] = "unforeseen"
    retry: ClassVar[Retry] = "later"
    audience: ClassVar[Audience] = "developer"
    blames_instance: ClassVar[bool] = False  # whether it counts towards the instance's breaker

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after_seconds = after_seconds

    def document(self) -> ErrorDocument:
        """Give the failure as data, for a run's row and for `--json`."""
        return {"code": self.code, "message": self.message, "retry": self.retry, "audience": self.audience}


class UsageFailure(Failure):
    """The call itself must change."""

    code = "usage"
    retry: ClassVar[Retry] = "never"
    audience: ClassVar[Audience] = "operator"


class UnknownSetting(UsageFailure):
    """A variable with our prefix that no setting has."""

    code = "unknown_setting"


class InvalidSetting(UsageFailure):
    """A setting's value cannot be used."""

    code = "invalid_setting"


class InvalidName(UsageFailure):
    """A tenant's name cannot be one."""

    code = "invalid_name"


class UnknownTenant(UsageFailure):
    """No tenant of that name."""

    code = "unknown_tenant"


class UnknownRevision(UsageFailure):
    """The tenant has no such revision."""

    code = "unknown_revision"


class UnknownNode(UsageFailure):
    """The revision has no node of that id, or none or several of that name."""

    code = "unknown_node"


class NotQuarantined(UsageFailure):
    """The revision does not wait for a person: there is nothing to accept or reject."""

    code = "not_quarantined"


class UnknownRun(UsageFailure):
    """No run of that id."""

    code = "unknown_run"


class RunEnded(UsageFailure):
    """The run has ended: there is nothing to cancel."""

    code = "run_ended"


class KeyInUse(UsageFailure):
    """The key still wraps data keys, or is the primary: it cannot be dropped."""

    code = "key_in_use"


class HostNotAllowed(UsageFailure):
    """The instance's host is outside the allowed ones."""

    code = "host_not_allowed"


class InvalidAddress(UsageFailure):
    """What should be an instance's address is none."""

    code = "invalid_address"


class PlainHttp(UsageFailure):
    """An instance is reached by https alone."""

    code = "plain_http"


class WrongArguments(UsageFailure):
    """The command line is not one of ours."""

    code = "wrong_arguments"


class SecretMissing(UsageFailure):
    """No client secret was given, or none that can be one."""

    code = "secret_missing"


class TenantPaused(UsageFailure):
    """A tenant that waits for a person, or for its credentials, runs nothing."""

    code = "tenant_paused"


class FileNotWritten(UsageFailure):
    """The file that was named cannot be written."""

    code = "file_not_written"


class SetupFailure(Failure):
    """The deployment is not ready for work."""

    code = "setup"
    retry: ClassVar[Retry] = "later"
    audience: ClassVar[Audience] = "operator"


class KeyMissing(SetupFailure):
    """The keyring, or the key that sealed a value, is not here."""

    code = "key_missing"


class KeyDropped(SetupFailure):
    """The keyring's primary key was dropped: it is an old keyring, under which nothing may be stored."""

    code = "key_dropped"


class KeyNotShared(SetupFailure):
    """A worker that runs lacks a key that is, or is about to be, in use."""

    code = "key_not_shared"


class SealBroken(SetupFailure):
    """A sealed value does not open: altered, cut, or moved from where it was sealed."""

    code = "seal_broken"
    retry = "never"


class NotMigrated(SetupFailure):
    """A schema is not at the version this code needs."""

    code = "not_migrated"


class DatabaseAway(SetupFailure):
    """PostgreSQL does not answer, or refuses us."""

    code = "database_away"


class DatabaseUnsafe(SetupFailure):
    """The server's roles or privileges do not hold the tenants' boundary."""

    code = "database_unsafe"
    retry = "never"


class DatabaseBusy(SetupFailure):
    """PostgreSQL did not give a lock in time."""

    code = "database_busy"


class PrivilegeMissing(SetupFailure):
    """PostgreSQL refused a statement for want of a privilege."""

    code = "privilege_missing"


class QueueAway(SetupFailure):
    """Redis does not answer, or refuses us."""

    code = "queue_away"


class SchedulerAway(SetupFailure):
    """No scheduler took up a request."""

    code = "scheduler_away"


class WorkerAway(SetupFailure):
    """No worker takes up a run."""

    code = "worker_away"


class InstanceFailure(Failure):
    """The customer's instance did not answer as it should."""

    code = "instance"
    retry: ClassVar[Retry] = "later"
    audience: ClassVar[Audience] = "tenant"


class CredentialsMissing(InstanceFailure):
    """No credentials are stored for the tenant."""

    code = "credentials_missing"
    retry = "never"


class CredentialsRejected(InstanceFailure):
    """The instance refused the client id and secret, or the token they gave."""

    code = "credentials_rejected"
    retry = "never"


class InstanceUnreachable(InstanceFailure):
    """No connection, no TLS, no answer in time, or a server error."""

    code = "instance_unreachable"
    blames_instance = True


class InstanceSlow(InstanceUnreachable):
    """No whole answer within the time a request may take."""

    code = "instance_slow"


class InstanceThrottled(InstanceFailure):
    """The instance asked for fewer requests; `after_seconds` says for how long, where it did."""

    code = "instance_throttled"


class InstanceAsleep(InstanceFailure):
    """A page for people instead of data: hibernating, in maintenance, or a login."""

    code = "instance_asleep"
    blames_instance = True


class TableDenied(InstanceFailure):
    """The account may not read a table: a gap in coverage, not a failure of the run."""

    code = "table_denied"
    retry = "never"


class TableAbsent(InstanceFailure):
    """The instance has no such table: its plugin is not installed."""

    code = "table_absent"
    retry = "never"


class ResponseInvalid(InstanceFailure):
    """An answer that is not what the API promises, with status 200 or not."""

    code = "response_invalid"
    audience: ClassVar[Audience] = "developer"


class OrderIgnored(ResponseInvalid):
    """Rows out of order, or not after the cursor: the instance dropped a part of the query."""

    code = "order_ignored"
    audience = "tenant"


class TransactionCancelled(ResponseInvalid):
    """The instance broke a request off: it took longer than a quota rule allows, or waited too long for its turn."""

    code = "transaction_cancelled"
    audience = "tenant"


class PredicateIgnored(OrderIgnored):
    """Rows that do not answer the filter: the instance dropped a part of the query."""

    code = "predicate_ignored"


class RunFailure(Failure):
    """The run itself cannot go on."""

    code = "run"
    audience: ClassVar[Audience] = "operator"


class LeaseLost(RunFailure):
    """Another worker holds the run, or it ended: this one must write nothing more."""

    code = "lease_lost"
    retry = "now"


class RunLive(RunFailure):
    """Another run of the tenant lives, and must end first."""

    code = "run_live"


class RunGaveUp(RunFailure):
    """The run was tried too often, or slice after slice came no further."""

    code = "gave_up"
    retry = "never"


class CredentialsReplaced(RunFailure):
    """The instance refused credentials that others have replaced meanwhile: the run goes on with those."""

    code = "credentials_replaced"
    retry = "now"


class OutsideSurface(RunFailure):
    """Something was to be asked for that the read surface does not name: nothing was asked."""

    code = "outside_surface"
    retry = "never"
    audience = "developer"


OF_A_TABLE = (TableDenied, TableAbsent, ResponseInvalid)
"""What one table does wrong: the others are read all the same."""
