"""How much an instance takes at once and in an hour: semaphores, sessions, rate limit rules.

Nothing is limited unless it is set, since an instance has several nodes and the figures are its owner's. Where
it is, a client meets what the instance documents: the semaphore's queue full is a bare 429, too many waiting
on one session a 202 without a result, a rule overstepped a 429 that says when to come back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

RULE_ID = "5a1eb0c7d3b2a9f80c6d4e2f1a3b5c7d"
SECONDS_AN_HOUR = 3_600
_ANY_NUMBER = 1 << 30


class Gate:
    """Lets some through at once, has some wait for their turn, and turns the rest away."""

    def __init__(self, *, at_once: int = _ANY_NUMBER, waiting: int = 0) -> None:
        self._places = at_once + waiting
        self._inside = 0
        self._turns = asyncio.Semaphore(at_once)

    @property
    def inside(self) -> int:
        """How many are let through or wait."""
        return self._inside

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait for a turn; false at once where there is no place left."""
        if self._inside >= self._places:
            yield False
            return
        self._inside += 1
        try:
            async with self._turns:
                yield True
        finally:
            self._inside -= 1


@dataclass
class RateRule:
    """A rate limit rule (sys_rate_limit_rules): so many requests in each whole hour."""

    requests: int
    clock: Callable[[], float] = time.time
    _hour: int = field(default=-1, init=False)
    _taken: int = field(default=0, init=False)

    def take(self) -> dict[str, str] | None:
        """Count a request; None when it is one too many."""
        hour = int(self.clock() // SECONDS_AN_HOUR)
        if hour != self._hour:
            self._hour, self._taken = hour, 0
        if self._taken >= self.requests:
            return None
        self._taken += 1
        return self.headers()

    def headers(self) -> dict[str, str]:
        """Say the rule, its limit, and when its hour ends."""
        return {
            "X-RateLimit-Limit": str(self.requests),
            "X-RateLimit-Reset": str(self._hour_end()),
            "X-RateLimit-Rule": RULE_ID,
        }

    def wait_seconds(self) -> int:
        """Give the whole seconds until the hour ends, at least one."""
        return max(1, math.ceil(self._hour_end() - self.clock()))

    def _hour_end(self) -> int:
        return (int(self.clock() // SECONDS_AN_HOUR) + 1) * SECONDS_AN_HOUR


class Limits:
    """All limits of one instance: its semaphore, its rule, and the queue of each session.

    The instance's own figures are 4 at once and 50 waiting, and 10 waiting on a session.
    """

    def __init__(
        self,
        *,
        at_once: int = _ANY_NUMBER,
        waiting: int = 0,
        waiting_on_session: int = _ANY_NUMBER,
        requests_an_hour: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rule = None if requests_an_hour is None else RateRule(requests_an_hour, clock=clock)
        self._semaphore = Gate(at_once=at_once, waiting=waiting)
        self._waiting_on_session = waiting_on_session
        self._sessions: dict[str, Gate] = {}

    @asynccontextmanager
    async def admit(self, session: str) -> AsyncIterator[int | None]:
        """Wait for the session's turn, then the semaphore's; give the status of who is turned away."""
        async with self._session_turn(session) as heard:
            if not heard:
                yield 202
                return
            async with self._semaphore.turn() as admitted:
                yield None if admitted else 429

    @asynccontextmanager
    async def _session_turn(self, session: str) -> AsyncIterator[bool]:
        """Wait behind the session's other requests; one without a cookie has a session of its own."""
        if not session:
            yield True
            return
        gate = self._sessions.setdefault(session, Gate(at_once=1, waiting=self._waiting_on_session))
        try:
            async with gate.turn() as heard:
                yield heard
        finally:
            if not gate.inside:
                self._sessions.pop(session, None)
