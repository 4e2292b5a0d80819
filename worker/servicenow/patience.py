"""When a request is made again at once, and how long that waits: a few seconds, inside one fetch.

Without a word from the instance only a random few seconds are waited. What takes longer is the run's own retry
(`jobs.retry`). A wait never holds one of the client's turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exception,
    wait_random_exponential,
)

from jobs.errors import InstanceThrottled, InstanceUnreachable, OrderIgnored, ResponseInvalid
from jobs.events import THROTTLE_WAITED, Emit, Event
from worker.servicenow.limits import Limits

_PASSING = (InstanceUnreachable, InstanceThrottled, ResponseInvalid)


def build_retrying(
    limits: Limits, *, emit: Emit, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncRetrying:
    """Build the retrying of one fetch, bounded in tries and in time; the last failure is raised as it came.

    So is at once what does not pass, or would wait too long. The jitter is full, and comes on top of what the
    instance asked for.
    """

    def is_worth_waiting(error: BaseException) -> bool:
        is_passing = isinstance(error, _PASSING) and not isinstance(error, OrderIgnored)
        return is_passing and _asked_seconds(error) <= limits.longest_wait_seconds

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, InstanceThrottled):
            emit(Event(THROTTLE_WAITED, {"seconds": state.upcoming_sleep}))

    jitter = wait_random_exponential(multiplier=limits.backoff_seconds, max=limits.longest_wait_seconds)
    return AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(limits.tries) | stop_before_delay(limits.retry_seconds),
        wait=wait_exception(_asked_seconds) + jitter,
        retry=retry_if_exception(is_worth_waiting),
        before_sleep=tell,
        reraise=True,
    )


def _asked_seconds(error: BaseException) -> float:
    return getattr(error, "after_seconds", None) or 0.0
