"""Replacing the key: whatever is interrupted, the next step never makes anything that a process cannot open."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import KeyMissing
from jobs.rotation import KnownKey, Next, find_newest_primary, plan_rotation

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def known(
    key_id: str, *, seen: int = 0, primary: int | None = None, dropped: int | None = None, tenants: int = 0
) -> KnownKey:
    moments = [None if at is None else NOON + timedelta(minutes=at) for at in (seen, primary, dropped)]
    assert moments[0] is not None
    return KnownKey(key_id, moments[0], moments[1], moments[2], 0.0, tenants)


def test_a_key_goes_from_made_to_shared_to_primary_to_all() -> None:
    old = known("old", primary=0, tenants=3)
    assert plan_rotation("old", ["old"], [old]) == Next("prepare", "old")
    made = known("new", seen=1)
    assert plan_rotation("old", ["old", "new"], [old, made]) == Next("promote", "new")
    promoted = known("new", seen=1, primary=2)
    assert plan_rotation("old", ["old", "new"], [old, promoted]) == Next("finish", "new")
    assert plan_rotation("new", ["old", "new"], [old, promoted]) == Next("finish", "new")
    done = [known("old", primary=0), known("new", seen=1, primary=2, tenants=3)]
    assert plan_rotation("new", ["old", "new"], done) == Next("prepare", "new")


def test_an_old_key_that_is_still_in_the_keyring_is_never_the_next_one() -> None:
    rows = [known("old", primary=0), known("new", primary=2, tenants=1), known("dropped", seen=3, dropped=4)]
    assert plan_rotation("new", ["old", "new", "dropped", "by-hand"], rows) == Next("prepare", "new")


def test_a_key_that_was_made_and_lost_is_not_waited_for() -> None:
    rows = [known("old", primary=0, tenants=1), known("lost", seen=1)]
    assert plan_rotation("old", ["old"], rows) == Next("prepare", "old")


def test_a_keyring_from_before_somebody_elses_rotation_is_refused() -> None:
    rows = [known("old", primary=0), known("new", seen=1, primary=2, tenants=1)]
    with pytest.raises(KeyMissing, match="old one: new was made the primary elsewhere"):
        plan_rotation("old", ["old"], rows)
    assert plan_rotation("old", ["old", "new"], rows) == Next("finish", "new"), (
        "and never back to the old key"
    )


def test_data_keys_that_came_late_are_rewrapped_by_the_next_call() -> None:
    rows = [known("old", primary=0, tenants=1), known("new", seen=1, primary=2, tenants=9)]
    assert plan_rotation("new", ["old", "new"], rows) == Next("finish", "new")


def test_the_newest_primary_is_ours_where_none_is_newer() -> None:
    assert find_newest_primary([], otherwise="k") == "k"
    assert find_newest_primary([known("z", primary=1), known("k", primary=1)], otherwise="k") == "k"


class Fleet:
    """A keyring's file, the database, and workers that read the file when they like."""

    def __init__(self) -> None:
        self.clock = itertools.count(1)
        self.primary, self.ring = "k0", {"k0"}
        self.rows: dict[str, dict[str, int]] = {"k0": {"seen": 0, "primary": 0}}
        self.wrapped = ["k0"] * 4
        self.workers = [{"k0"}, {"k0"}]

    def read(self) -> list[KnownKey]:
        return [
            known(name, seen=row["seen"], primary=row.get("primary"), tenants=self.wrapped.count(name))
            for name, row in self.rows.items()
        ]

    def look(self, worker: int) -> None:
        self.workers[worker] |= self.ring

    def rotate(self) -> Iterator[None]:
        """Do what `keys rotate` does, act by act; whoever stops asking has killed it."""
        planned = plan_rotation(self.primary, self.ring, self.read())
        key_id = planned.key_id
        if planned.step == "prepare":
            key_id = f"k{len(self.rows)}"
            self.rows[key_id] = {"seen": next(self.clock)}
            yield
            self.ring.add(key_id)
            yield
        if not all(key_id in worker for worker in self.workers):
            return
        self.rows[key_id].setdefault("primary", next(self.clock))
        yield
        self.primary = key_id
        for place in range(len(self.wrapped)):
            yield
            self.wrapped[place] = key_id


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=12))
def test_whoever_is_interrupted_comes_to_an_end_and_wraps_nothing_by_an_unshared_key(
    calls: list[tuple[int, int]],
) -> None:
    """Each call is broken off after so many acts, and then one worker, or none, looks at the file."""
    fleet = Fleet()
    for acts, worker in calls:
        deque(itertools.islice(fleet.rotate(), acts), maxlen=0)
        if worker < len(fleet.workers):
            fleet.look(worker)
        assert all(set(fleet.wrapped) <= worker for worker in fleet.workers), (
            "a worker could not open a data key"
        )
    for _ in range(2):
        fleet.look(0)
        fleet.look(1)
        deque(fleet.rotate(), maxlen=0)
    assert set(fleet.wrapped) == {fleet.primary}
    assert fleet.wrapped[0] in fleet.ring
