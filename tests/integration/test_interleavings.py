"""Whatever happens while an instance is read, and wherever a run is cut: no lie in the graph, and an end.

Generated interleavings on the real stack: rows, ACLs and faults change between two requests, slices are cut and lose
their lease. A hundred in `make test`, ten thousand in `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings

from ops.local.certificates import Certificates
from ops.simulator import Simulator
from tests.conftest import PROFILE_VARIABLE
from tests.integration.interleaving_acts import SCRIPTS, PlannedRun, Stage, small_store
from tests.integration.interleaving_case import Interleaving
from tests.integration.slice_case import CLIENT_ID, CLIENT_SECRET, Case

pytestmark = pytest.mark.anyio
SCRIPTS_TRIED = 4_000 if os.environ.get(PROFILE_VARIABLE) == "soak" else 40
KEPT = """SELECT string_agg(format('%%I.%%I', schemaname, tablename), ', ') AS tables FROM pg_tables
          WHERE schemaname = %s AND tablename <> 'schema_version'"""
END_RUNS = """UPDATE control.run SET state = 'cancelled', lease_until = NULL, ended_at = now()
              WHERE state IN ('requested', 'running') AND tenant_id = %s"""


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


@pytest.fixture
async def scene(case: Case, simulator: Simulator) -> Scene:
    """Give the small instance to a tenant with credentials."""
    await case.store_credentials()
    return Scene(case, Stage(simulator))


@settings(
    max_examples=SCRIPTS_TRIED,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(script=SCRIPTS)
@example(script=[PlannedRun("delta", ()), PlannedRun("delta", ()), PlannedRun("full", ())])
async def test_whatever_happens_meanwhile_the_graph_is_true_and_a_run_ends(
    scene: Scene, script: list[PlannedRun]
) -> None:
    await scene.play(script)
