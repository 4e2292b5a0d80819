"""One event for each HTTP request, whatever became of it.

A request that was begun is told of even when it was cancelled: the audit trail counts requests, not successes.
Exactly one of `REQUEST_KINDS` stands for each.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from jobs.errors import CredentialsRejected, Failure
from jobs.events import (
    REQUEST_ANSWERED,
    REQUEST_FAILED,
    TOKEN_FETCHED,
    TOKEN_REFUSED,
    Emit,
    Event,
)

REQUEST_KINDS: Final = frozenset({REQUEST_ANSWERED, REQUEST_FAILED, TOKEN_FETCHED, TOKEN_REFUSED})


@dataclass(slots=True)
class RequestReport:
    """Tells of one request when its `with` ends; who makes the request fills in what it learns.

    `body_bytes` counts the answer unpacked; `status` is None where no answer came.
    """

    emit: Emit
    endpoint: str
    table: str = ""
    fields_hash: str = ""
    status: int | None = None
    rows: int = 0
    body_bytes: int = 0
    expires_in_seconds: float = 0
    started: float = field(default_factory=time.perf_counter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, frames: TracebackType | None
    ) -> None:
        seconds = round(time.perf_counter() - self.started, 4)  # the trail keeps each for years
        is_token = self.endpoint == "token"
        if is_token and raised is None:
            lifetime = {"expires_in_seconds": self.expires_in_seconds}
            self.emit(Event(TOKEN_FETCHED, {"status": self.status, **lifetime, "seconds": seconds}))
        elif is_token and isinstance(raised, CredentialsRejected):
            self.emit(Event(TOKEN_REFUSED, {"status": self.status, "code": raised.code, "seconds": seconds}))
        else:
            self.emit(self._told(raised, seconds))

    def _told(self, raised: BaseException | None, seconds: float) -> Event:
        fields: dict[str, object] = {
            "endpoint": self.endpoint,
            "table": self.table,
            "fields_hash": self.fields_hash,
            "status": self.status,
            "seconds": seconds,
        }
        if raised is None:
            return Event(REQUEST_ANSWERED, {**fields, "rows": self.rows, "bytes": self.body_bytes})
        return Event(REQUEST_FAILED, {**fields, "code": _code_of(raised)})


def _code_of(raised: BaseException) -> str:
    if isinstance(raised, asyncio.CancelledError):
        return "cancelled"
    return raised.code if isinstance(raised, Failure) else Failure.code
