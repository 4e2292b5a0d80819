"""Who may ask when: how many requests run at once, and the pauses that the instance asked for.

The limit goes up by about one for four rounds of answers and is halved when the instance shows that it is full
(additive increase, multiplicative decrease, as TCP does it; RFC 5681): by a 429 or 202, a 502, 503 or 504, a
cancelled transaction, or no answer in time. Requests that were under way when it was halved halve it no further.
It begins at the ceiling: an instance's own semaphore for the API lets four through (KB0635398). It goes up more
slowly than TCP's, since what is one too many costs a request, and one of the tries of whoever made it.

A pause (Retry-After, or an hourly budget that is used up) holds for every task of the client, and nothing is
asked before its end. One that is longer than a fetch may wait is raised, for the run to come back later.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from jobs.errors import Failure, InstanceSlow, InstanceThrottled, TransactionCancelled
from jobs.events import CONCURRENCY_CHANGED, THROTTLE_WAITED, Emit, Event
from worker.servicenow.limits import Limits

_ROUNDS_FOR_ONE_MORE: Final = 4
_TOO_SLOW: Final = (InstanceSlow, TransactionCancelled)
_FULL: Final = frozenset(
    {
        HTTPStatus.ACCEPTED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(slots=True)
class Turn:
    """One request's turn; who makes it says the `status` of the answer."""

    status: int | None = None


class Turns:
    """The turns of one client, in one event loop; `clock` and `sleep` are seams for tests."""

    def __init__(
        self,
        limits: Limits,
        *,
        host: str,
        cooldown_seconds: float = 0.0,
        at_once: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._host = host
        self._clock = clock
        self._sleep = sleep
        most = float(limits.concurrency)
        self._allowed = most if at_once is None else min(max(at_once, 1.0), most)
        self._inside = 0
        self._is_closed = False
        self._freed = asyncio.Event()
        self._paused = asyncio.Event()
        self._shrunk_at = -math.inf
        self._cools_until = clock() + cooldown_seconds

    def __repr__(self) -> str:
        return (
            f"<Turns limit={self.limit} inside={self._inside} cooldown_seconds={self.cooldown_seconds:.1f}>"
        )

    @property
    def limit(self) -> int:
        """How many requests may run at once, as things stand."""
        return int(self._allowed)

    @property
    def allowed(self) -> float:
        """The limit with what it has gained towards one more."""
        return self._allowed

    @property
    def cooldown_seconds(self) -> float:
        """How long nothing may be asked; 0 where the instance asked for no pause, or it is over."""
        return max(0.0, self._cools_until - self._clock())

    def pause(self, seconds: float) -> None:
        """Ask nothing for so long; a pause is lengthened and never cut short."""
        until = self._clock() + seconds
        if until > self._cools_until:
            self._cools_until = until
            self._paused.set()

    @property
    def inside(self) -> int:
        """How many requests run now."""
        return self._inside

    def close(self) -> None:
        """Give no turn any more: who waits for one, or comes for one, waits until it is cancelled."""
        self._is_closed = True

    async def wait_for_pause(self) -> None:
        """Wait until a pause begins or is lengthened, or go on at once where one has since this was last asked."""
        await self._paused.wait()
        self._paused.clear()

    @asynccontextmanager
    async def turn(self, emit: Emit) -> AsyncIterator[Turn]:
        """Wait for a turn, and learn from how its request ends; raises InstanceThrottled for a long pause."""
        await self._enter(emit)
        began, turn = self._clock(), Turn()
        try:
            yield turn
        except Failure as failure:
            if failure.after_seconds:
                self.pause(failure.after_seconds)
            if isinstance(failure, _TOO_SLOW) or turn.status in _FULL:
                self._shrink(emit, began=began, reason=failure.code)
            raise
        else:
            # By a share for each answer: `limit` answers are a round, and so many rounds make one more.
            self._change(emit, self._allowed + 1 / (_ROUNDS_FOR_ONE_MORE * self.limit), reason="answered")
        finally:
            self._inside -= 1
            self._wake()

    async def _enter(self, emit: Emit) -> None:
        while True:
            await self._cool(emit)
            # In a loop: the limit may have gone down, or another task been faster, since this one was woken.
            while self._is_closed or self._inside >= self.limit:
                await self._freed.wait()
            if not self.cooldown_seconds:  # one may have begun while this task waited
                self._inside += 1
                return

    async def _cool(self, emit: Emit) -> None:
        waited = 0.0
        while left := self.cooldown_seconds:
            if waited + left > self._limits.longest_wait_seconds:
                raise InstanceThrottled(
                    f"{self._host} asked for a pause, of which {math.ceil(left)} s are left: nothing is asked before.",
                    after_seconds=left,
                )
            await self._sleep(left)
            waited += left
        if waited:
            emit(Event(THROTTLE_WAITED, {"seconds": waited}))

    def _shrink(self, emit: Emit, *, began: float, reason: str) -> None:
        # What was under way when the limit was halved met the same fullness: it says nothing of the new limit.
        if began >= self._shrunk_at:
            self._shrunk_at = self._clock()
            self._change(emit, self._allowed / 2, reason=reason)

    def _change(self, emit: Emit, allowed: float, *, reason: str) -> None:
        before = self.limit
        self._allowed = min(max(allowed, 1.0), float(self._limits.concurrency))
        if self.limit != before:
            emit(Event(CONCURRENCY_CHANGED, {"limit": self.limit, "reason": reason}))

    def _wake(self) -> None:
        """Let everyone who waits look again."""
        # Set and cleared in one go: all that wait now are woken, and nobody who comes later.
        self._freed.set()
        self._freed.clear()
