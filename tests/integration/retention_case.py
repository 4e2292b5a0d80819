"""What tests of retention share: months sealed as a sealer leaves them, and a scheduler that tells what it emits."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import SecretStr

from jobs.events import Event
from tests.conftest import Deployment
from worker.fleet.process import Process
from worker.postgres.connection import Connection
from worker.settings import read_settings

UNUSED_REDIS = SecretStr("redis://127.0.0.1:1/0")


def DATE_OF(text: str) -> datetime:  # noqa: N802  read as a constant
    """Give a day's first moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def seal_month(admin: Connection, month: str) -> None:
    """Put a checkpoint over all that a month holds now, as far as `control.is_month_sealed` looks."""
    await admin.execute(
        """INSERT INTO control.audit_checkpoint (segment, bound, after_id, last_xid, last_id, highest_id, events,
               first_at, last_at, sealed_at, entries, previous, digest, key_id, signature)
           SELECT (SELECT coalesce(max(segment), 0) + 1 FROM control.audit_checkpoint), %(month)s, 0,
                  (SELECT xid FROM control.audit_events WHERE occurred_at >= %(first)s::timestamptz
                   AND occurred_at < %(first)s::timestamptz + interval '1 month' ORDER BY xid DESC LIMIT 1),
                  max(audit_id), max(audit_id), 1, min(occurred_at), max(occurred_at), now(),
                  decode(repeat('00', 40), 'hex'), decode(repeat('00', 32), 'hex'),
                  decode(repeat('00', 32), 'hex'), 'a key', decode(repeat('00', 64), 'hex')
           FROM control.audit_events WHERE occurred_at >= %(first)s::timestamptz
             AND occurred_at < %(first)s::timestamptz + interval '1 month' HAVING count(*) > 0""",
        {"month": month, "first": f"{month}-01 00:00+00"},
    )


class _Told(Process):
    """A scheduler that was not started; what it emits is kept."""

    def __init__(self, deployment: Deployment, told: list[Event]) -> None:
        known = read_settings({"ZAPTIK_DATABASE_URL": deployment.app_url})
        super().__init__("scheduler", known.model_copy(update={"redis_url": UNUSED_REDIS}), threads=1)
        self._told = told

    def emit(self, event: Event) -> None:
        self._told.append(event)


def make_scheduler(deployment: Deployment) -> tuple[Process, list[Event]]:
    """Give a scheduler that was not started, and the events that it will emit."""
    told: list[Event] = []
    return _Told(deployment, told), told
