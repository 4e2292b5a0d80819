"""Whatever happens while an instance is read, and wherever a run is cut: no lie in the graph, and an end.

Generated interleavings on the real stack: rows, ACLs and faults change between two requests, slices are cut and lose
their lease. Some hundred runs in `make test`, ten thousand in `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings

from ops.local.certificates import Certificates
from ops.simulator import Simulator
from tests.conftest import PROFILE_VARIABLE
from tests.integration.interleaving_acts import (
    GROUPS,
    ITEMS,
    LINKS,
    PRODUCERS,
    RULES,
    SCRIPTS,
    Act,
    PlannedRun,
    Stage,
    What,
    small_store,
)
from tests.integration.interleaving_case import Interleaving
from tests.integration.slice_case import CLIENT_ID, CLIENT_SECRET, Case

pytestmark = pytest.mark.anyio
IS_SOAK = os.environ.get(PROFILE_VARIABLE) == "soak"
SCRIPTS_TRIED = 4_000 if IS_SOAK else 30  # of two to four runs each


def build_run(mode: Literal["delta", "full"], *acts: tuple[int, What, str, int]) -> PlannedRun:
    """Build a run of a script that is written down."""
    return PlannedRun(mode, tuple(Act(*act) for act in acts))


# What a search of forty scripts may not come upon.
HIDING = [
    build_run("delta", (99, "hide", GROUPS, 5), (99, "hide", RULES, 2), (99, "insert", GROUPS, 3)),
    build_run("delta", (4, "cut", GROUPS, 0), (9, "steal", GROUPS, 0), (99, "delete", GROUPS, 5)),
    build_run("delta", (0, "hide", ITEMS, 4), (0, "insert", PRODUCERS, 8), (12, "cut", GROUPS, 0)),
    build_run("full", (0, "hide_all", LINKS, 0), (6, "hide", GROUPS, 1), (6, "insert", GROUPS, 2)),
]
CHANGING = [
    build_run("delta", (99, "update_future", GROUPS, 2), (99, "update_still", ITEMS, 1)),
    build_run("delta", (0, "strip", GROUPS, 0), (99, "update", GROUPS, 7), (99, "move", ITEMS, 1)),
    build_run("delta", (0, "hide_field", GROUPS, 2), (5, "cut", GROUPS, 0), (99, "delete", ITEMS, 3)),
    build_run("delta", (0, "update_past", ITEMS, 2), (0, "update", PRODUCERS, 1), (9, "cut", ITEMS, 0)),
]
SWAPPING = [
    build_run("full", (3, "delete", GROUPS, 0), (3, "insert", GROUPS, 1), (99, "insert", ITEMS, 1)),
    build_run("delta", (0, "hide", GROUPS, 9), (5, "insert", GROUPS, 7), (5, "insert", LINKS, 4)),
    build_run("full", (0, "hide", GROUPS, 3), (0, "insert", GROUPS, 9), (4, "delete", GROUPS, 2)),
    build_run("full"),
]
BREAKING = [
    build_run("delta", (3, "truncated", GROUPS, 0), (8, "cancelled", ITEMS, 4), (11, "steal", GROUPS, 0)),
    build_run("delta", (2, "reset", GROUPS, 2), (3, "revoke", GROUPS, 0), (9, "duplicated", RULES, 4)),
    build_run("full", (0, "uncounted", GROUPS, 4), (0, "deny", LINKS, 0), (5, "absent", RULES, 0)),
    build_run("full", (0, "open", LINKS, 0), (0, "open", RULES, 0), (6, "steal", GROUPS, 0)),
]
UNDATED = [
    build_run("delta", (0, "insert", GROUPS, 0), (0, "hide_field", ITEMS, 2)),
    build_run("delta", (0, "insert", GROUPS, 1), (0, "insert", ITEMS, 1)),
    build_run("delta", (0, "move", ITEMS, 7), (0, "insert", ITEMS, 2)),
    build_run("delta", (0, "open", ITEMS, 0), (0, "update", PRODUCERS, 1), (0, "insert", ITEMS, 3)),
]

KEPT = """SELECT string_agg(format('%%I.%%I', schemaname, tablename), ', ') AS tables FROM pg_tables
          WHERE schemaname = %s AND tablename <> 'schema_version'"""
END_RUNS = """UPDATE control.run SET state = 'cancelled', fence = fence + 1, lease_until = NULL, ended_at = now()
              WHERE state IN ('requested', 'running') AND tenant_id = %s"""
CLOSE_BREAKER = "DELETE FROM control.instance_breaker WHERE tenant_id = %s"


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    """Give the small instance."""
    files = (certificates.cert_file, certificates.key_file)
    with Simulator(small_store(), tls=files, client_id=CLIENT_ID, client_secret=CLIENT_SECRET) as started:
        yield started


class Scene:
    """A tenant and its small instance, for one script after the other."""

    def __init__(self, case: Case, stage: Stage) -> None:
        self._case = case
        self._stage = stage

    def __repr__(self) -> str:
        return "<Scene>"

    async def play(self, script: list[PlannedRun]) -> None:
        """Do a script from the beginning, as if nothing had been read, or happened, before."""
        await self._clear()
        self._stage.reset()
        await Interleaving(self._case, self._stage).live(script)

    async def _clear(self) -> None:
        admin, tenant = self._case.admin, self._case.tenant
        cursor = await admin.execute(KEPT, [tenant.schema_name])
        row = await cursor.fetchone()
        assert row is not None
        await admin.execute(f"TRUNCATE {row['tables']}")
        await admin.execute(END_RUNS, [tenant.tenant_id])
        await admin.execute(CLOSE_BREAKER, [tenant.tenant_id])


@pytest.fixture
async def scene(case: Case, simulator: Simulator) -> Scene:
    """Give the small instance to a tenant with credentials."""
    await case.store_credentials()
    return Scene(case, Stage(simulator))


@pytest.mark.timeout(14_400 if IS_SOAK else 600)  # to make a failing script short takes five minutes at most
@settings(
    max_examples=SCRIPTS_TRIED,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(script=SCRIPTS)
@example(script=[build_run("delta"), build_run("delta"), build_run("full")])
@example(script=HIDING)
@example(script=CHANGING)
@example(script=SWAPPING)
@example(script=BREAKING)
@example(script=UNDATED)
async def test_whatever_happens_meanwhile_the_graph_is_true_and_a_run_ends(
    scene: Scene, script: list[PlannedRun]
) -> None:
    await scene.play(script)
