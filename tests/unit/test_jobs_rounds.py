"""When the next round begins."""

from __future__ import annotations

import math

import pytest

from jobs.rounds import plan_pause


@pytest.mark.parametrize(
    ("tick", "since_ring", "pause"),
    [(5, 0, 1), (5, 4.9, 1), (5, 5.1, 5), (5, math.inf, 5), (0.3, 0, 0.3), (0.3, math.inf, 0.3)],
)
def test_a_round_comes_soon_while_there_is_something_to_ring_for_and_never_later_than_a_tick(
    tick: float, since_ring: float, pause: float
) -> None:
    assert plan_pause(tick_seconds=tick, seconds_since_ring=since_ring) == pause
