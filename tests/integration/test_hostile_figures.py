"""Figures and names that no table of an instance should have: they cost their own table at most, never the run."""

from __future__ import annotations

import secrets

import pytest

from ops.simulator.aggregates import Wanted
from tests.integration.slice_case import Case, verdict_of

pytestmark = pytest.mark.anyio
GROUPS, TABLES = "sys_user_group", "sys_db_object"


@pytest.mark.parametrize("count", ["9" * 30, "9" * 5_000, "\u0663"])
async def test_a_count_of_changes_that_is_none_has_its_table_read_whole(case: Case, count: str) -> None:
    sys_id = case.rows(GROUPS)[0]["sys_id"]
    case.simulator.instance.store.put(GROUPS, [{"sys_id": sys_id, "sys_mod_count": count}])
    for _ in range(2):
        run = await case.sync()
        assert run["error"] is None
        assert verdict_of(run, GROUPS) == ("complete", 0)


@pytest.mark.parametrize(
    "figures",
    [
        {"max": {"sys_updated_on": "2026-03-01 12:00:00\0"}},
        {"max": {"sys_updated_on": "yesterday"}},
        {"sum": {"sys_mod_count": "9" * 30}},
        {"sum": {"sys_mod_count": "1e400"}},
    ],
)
async def test_aggregates_that_are_no_time_and_no_sum_are_none(
    case: Case, figures: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Wanted.stats
    monkeypatch.setattr(Wanted, "stats", lambda wanted, rows: {**said(wanted, rows), **figures})
    for _ in range(2):
        run = await case.sync()
        assert run["error"] is None
        assert verdict_of(run, GROUPS) == ("complete", 0)


async def test_a_name_that_is_longer_than_a_key_may_be_fails_its_table_alone(case: Case) -> None:
    name = f"u_{secrets.token_hex(4_000)}"
    case.simulator.instance.store.put(TABLES, [{"sys_id": "e" * 32, "name": name, "label": "long"}])
    run = await case.sync()
    assert run["error"] is None
    assert verdict_of(run, TABLES) == ("failed", 0)
    assert verdict_of(run, GROUPS) == ("complete", 0)
