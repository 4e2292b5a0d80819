"""The hourly budget: how many requests a rate limit rule allows, and the part of it that is left to others.

Rules (sys_rate_limit_rules) count by the hour and by user, role or all, and say so in headers of the answers they
count: X-RateLimit-Limit and -Reset, and where something stands before the instance, -Remaining (ServiceNowDocs,
inbound-REST-API-rate-limiting). A customer's other integrations may share a rule with us, so a share of it is
never used. Counters of an instance are per node and lag by 30 s: our own count decides, unless the instance says
that less remains. Where several rules answer, the tightest counts until its hour ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs.pace import RateWindow

_HOUR_SECONDS: Final = 3_600.0
_SAME_HOUR_SECONDS: Final = 60.0  # two answers of one hour differ by rounding and by how long they travelled
_NUMBER: Final = re.compile(r"[0-9]{1,15}\Z")


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What one answer says of a rule: its limit, when its hour ends, and what remains, where that is told."""

    limit_requests: int
    resets_in_seconds: float
    remaining_requests: int | None = None


def parse_rate(headers: Mapping[str, str], *, now: datetime) -> RateHeaders | None:
    """Read the headers; None where there are none, or none that can be meant. `now` is the instance's time."""
    limit, reset, remaining = (
        int(text) if _NUMBER.match(text := headers.get(f"X-RateLimit-{name}", "").strip()) else None
        for name in ("Limit", "Reset", "Remaining")
    )
    if not limit or reset is None or reset <= now.timestamp():
        return None
    return RateHeaders(limit, min(reset - now.timestamp(), _HOUR_SECONDS), remaining)


class Budget:
    """Counts requests against the rule that the instance told of last; free until it told of one."""

    def __init__(
        self,
        *,
        reserve_share: float,
        window: RateWindow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept_share = 1 - reserve_share
        self._clock = clock
        self._limit = window.limit_requests if window else None
        self._used = window.used_requests if window else 0
        self._ends_at = clock() + window.ends_in_seconds if window else 0.0

    def __repr__(self) -> str:
        return f"<Budget {self.window}>"

    @property
    def window(self) -> RateWindow | None:
        """The hour as it stands; None where no rule is known."""
        left = self._ends_at - self._clock()
        return RateWindow(self._limit, self._used, left) if self._limit is not None and left > 0 else None

    def take(self) -> float:
        """Count a request and give 0, or give the seconds until one may be made, and count none."""
        window = self.window
        # The hour is over and nothing was told of a new one: until an answer does, nothing is counted against a rule.
        if window is None and self._limit is not None:
            self._limit, self._used = None, 0
        if window is not None and self._used >= max(1, int(window.limit_requests * self._kept_share)):
            return window.ends_in_seconds
        self._used += 1
        return 0.0

    def learn(self, told: RateHeaders) -> None:
        """Take in what an answer says of its rule."""
        ends_at = self._clock() + told.resets_in_seconds
        window = self.window
        # A wider rule that answered too: the tighter one decides until its hour ends.
        if window is not None and told.limit_requests > window.limit_requests:
            return
        if self._limit is not None and ends_at > self._ends_at + _SAME_HOUR_SECONDS:
            self._used = 1  # the first of a new hour
        self._limit, self._ends_at = told.limit_requests, ends_at
        if told.remaining_requests is not None:
            self._used = max(self._used, told.limit_requests - told.remaining_requests)
