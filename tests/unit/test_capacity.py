"""The model of a fleet: more of anything never needs less, and a case that can be reckoned by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.capacity import AT_ONCE, IDLE_REQUESTS, OWN_SECONDS, Load, Run, main, plan_fleet, reckon_run

LOADS = st.builds(
    Load,
    tenants=st.integers(1, 100_000),
    cadence_seconds=st.floats(60, 86_400),
    run=st.builds(Run, seconds=st.floats(0.1, 600), requests=st.floats(1, 10_000)),
    threads=st.integers(1, 64),
    schedulers=st.integers(1, 5),
)


def test_a_fleet_that_can_be_reckoned_by_hand() -> None:
    """3,600 tenants an hour are one a second; runs of seven seconds are seven at a time, of ten slots."""
    fleet = plan_fleet(Load(3_600, 3_600, Run(seconds=7, requests=60), threads=4, schedulers=2))
    assert (fleet.runs_per_second, fleet.busy_slots) == (1, 7)
    assert (fleet.slots, fleet.workers) == (10, 3)
    assert fleet.connections == 2 * 12 + 3 + 2 * 2
    assert (fleet.requests_an_hour, fleet.requests_an_hour_of_one) == (216_000, 60)


def test_a_run_is_reckoned_from_its_requests() -> None:
    assert reckon_run(latency_seconds=0) == Run(OWN_SECONDS, IDLE_REQUESTS)
    changed = reckon_run(latency_seconds=0.3, changed_share=0.5, changed_requests=20)
    assert changed.requests == IDLE_REQUESTS + 10
    assert changed.seconds == pytest.approx(OWN_SECONDS + 0.3 * (IDLE_REQUESTS + 10) / AT_ONCE)


@given(LOADS, st.integers(1, 1_000), st.floats(1, 10))
def test_more_tenants_or_longer_runs_never_need_less_and_slots_bear_what_is_under_way(
    load: Load, tenants: int, times: float
) -> None:
    fleet = plan_fleet(load)
    assert fleet.busy_slots < fleet.slots <= fleet.workers * load.threads
    longer = replace(load.run, seconds=load.run.seconds * times)
    for more in (replace(load, tenants=load.tenants + tenants), replace(load, run=longer)):
        needed = plan_fleet(more)
        assert (needed.workers, needed.connections) >= (fleet.workers, fleet.connections)


def test_the_model_can_be_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["capacity", "--tenants", "10000"])
    assert main() == 0
    assert "requests an hour of one" in capsys.readouterr().out
