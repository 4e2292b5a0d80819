"""What follows when a run fails: a later try, or the end."""

from __future__ import annotations

import random
from dataclasses import dataclass

from jobs.errors import ErrorDocument, Failure, SetupFailure

_MOST_DOUBLINGS = 64  # past any cap, and still a float


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a run whose slice failed: `retried` after a wait, or `failed`.

    `blames_instance` counts towards the instance's breaker.
    """

    ending: str
    wait_seconds: float
    error: ErrorDocument
    blames_instance: bool = False


def plan_fate(
    failure: Failure,
    *,
    attempt: int,
    max_attempts: int,
    base_seconds: float,
    cap_seconds: float,
    draw: random.Random,
) -> Fate:
    """Plan by the failure's own word and the attempts so far (from 1).

    The wait doubles from `base_seconds` to `cap_seconds` with full jitter, never under what the instance asked
    for (AWS Architecture Blog, "Exponential Backoff and Jitter"). A deployment that is not ready (SetupFailure) is
    no fault of the run's, so the run is never given up for it.
    """
    blamed = failure.blames_instance
    is_spent = attempt >= max_attempts and not isinstance(failure, SetupFailure)
    if failure.retry == "never" or is_spent:
        return Fate("failed", 0.0, failure.document(), blamed)
    asked = max(0.0, failure.after_seconds or 0.0)  # a Retry-After may name a moment that has passed
    if failure.retry == "now":
        return Fate("retried", asked, failure.document(), blamed)
    doublings = min(attempt - 1, _MOST_DOUBLINGS)
    ceiling = min(cap_seconds, base_seconds * 2**doublings)
    return Fate("retried", asked + draw.uniform(0, ceiling), failure.document(), blamed)
