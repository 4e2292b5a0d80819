"""When a scheduler's next round begins."""

from __future__ import annotations

_SOON_SECONDS = 1.0


def plan_pause(*, tick_seconds: float, seconds_since_ring: float) -> float:
    """Give the pause before the next round: a tick, or a second where something was rung for within the last tick.

    A round rings for no more runs than twice the slots. Were the next one a whole tick away, slots whose runs are
    shorter than half of it would stand empty while others wait.
    """
    return min(tick_seconds, _SOON_SECONDS) if seconds_since_ring <= tick_seconds else tick_seconds
