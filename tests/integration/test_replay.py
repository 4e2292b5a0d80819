"""Same input, same bytes: a recorded crawl gives one graph, on every machine and in every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest

from ops.local.certificates import Certificates
from ops.local.postgres import EmbeddedPostgres
from ops.simulator import Simulator
from tests.conftest import Deployment, app_url
from tests.integration.postgres_steps import read_lines
from tests.integration.recorded_crawl import RecordedInstance
from tests.integration.slice_case import build_case, case_settings
from worker.postgres.connection import as_tenant, open_connection
from worker.postgres.findings import Finding, read_findings
from worker.postgres.migrate import migrate
from worker.postgres.reading import read_head
from worker.postgres.tenants import Tenant, add_tenant, change_state

pytestmark = pytest.mark.anyio

# What the recorded answers come to. It changes when they, the surface or the canonical form do, and for no other
# reason: say which in CHANGELOG.md, since every consumer's next revision changes with it.
DIGEST = "f9944d56a510d4c7cb8df1f076c0507d8251eb3e389fb83092a8383567894279"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The graph that a replay published, the findings with it, and what was asked that was never recorded."""

    digest: str
    lines: list[bytes]
    findings: list[Finding]
    missed: list[str]
    unasked: int


async def replay(
    deployment: Deployment, tenant: Tenant, certificates: Certificates, **changed: object
) -> Replayed:
    """Crawl the recorded instance for a tenant that has no revision yet."""
    async with (
        RecordedInstance(certificates) as recorded,
        open_connection(deployment.admin_url, purpose="test") as admin,
        open_connection(deployment.app_url, purpose="test") as app,
    ):
        instance = cast("Simulator", recorded)  # of which only the address is used
        settings = case_settings(deployment, instance, certificates)
        case = await build_case(app, admin, tenant, instance, settings)
        run = await case.sync(mode="full", **changed)
        assert run["state"] == "published", (run["error"], recorded.missed)
        async with as_tenant(app, tenant.schema_name):
            digest = (await read_head(app, tenant, 1)).digest
        lines, (_, findings) = await read_lines(app, tenant, 1), await read_findings(app, tenant, 1)
    return Replayed(digest, lines, findings, recorded.missed, len(recorded.answers) - len(recorded.asked))


async def test_a_recorded_crawl_gives_the_digest_that_it_gave(
    deployment: Deployment, tenant: Tenant, certificates: Certificates
) -> None:
    replayed = await replay(deployment, tenant, certificates)
    assert (replayed.missed, replayed.unasked) == ([], 0), (
        "record anew: python -m tests.integration.recorded_crawl"
    )
    assert replayed.digest == DIGEST
    assert len(replayed.lines) > 500
    assert len({found.finding for found in replayed.findings}) > 2


async def test_two_databases_give_the_same_bytes_however_the_answers_came(
    deployment: Deployment, tenant: Tenant, certificates: Certificates, own_server: EmbeddedPostgres
) -> None:
    """Another server, another tenant's name, another number of requests at once, and slices that end early."""
    first = await replay(deployment, tenant, certificates)
    async with other_deployment(own_server) as (other, its_tenant):
        second = await replay(other, its_tenant, certificates, instance_concurrency=1, slice_seconds=0.2)
    assert second == first


@asynccontextmanager
async def other_deployment(server: EmbeddedPostgres) -> AsyncIterator[tuple[Deployment, Tenant]]:
    """Migrate a server of its own and give it a tenant."""
    deployment = Deployment(server.admin_url(), app_url(server.admin_url(), password="another"))
    async with open_connection(deployment.admin_url, purpose="test") as admin:
        await migrate(admin, app_url=deployment.app_url, today=datetime.now(UTC).date())
        tenant = await add_tenant(admin, "another", url="https://another.service-now.com", every_seconds=3600)
        async with open_connection(deployment.app_url, purpose="test") as app:
            await change_state(app, tenant.tenant_id, "active", reason=None)
        yield deployment, tenant
