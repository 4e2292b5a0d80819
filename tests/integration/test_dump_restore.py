"""A deployment that is restored from `pg_dump` on another server, by the page: whom the list names is deleted again."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from pathlib import Path

import pytest

from ops.local.certificates import Certificates
from ops.local.postgres import EmbeddedPostgres
from ops.local.valkey import EmbeddedValkey
from tests.conftest import Deployment, app_url, build_server, deploy
from tests.integration.deletion_case import build_leaver, find_in_database
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import open_connection
from worker.postgres.consumers import grant_consumer

pytestmark = pytest.mark.anyio
NAME = "c4n4ry-dumped"
DATABASE = "zaptik"


async def run(server: EmbeddedPostgres, program: str, *options: str) -> None:
    """Run one of the server's own programs against it."""
    where = ("-h", "127.0.0.1", "-p", str(server.port), "-U", server.superuser, "-w")
    process = await asyncio.create_subprocess_exec(
        server.binaries / program, *where, *options,
        env={"PGPASSWORD": server.password, "PATH": os.environ["PATH"], "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-2_000:]


async def test_a_dump_restored_on_another_server_loses_again_whom_the_list_names(
    own_server: EmbeddedPostgres,
    certificates: Certificates,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Roles, rights, guards and the trail are as they were; what is added afterwards is sealed on."""
    await run(own_server, "createdb", DATABASE)
    deployment = await asyncio.to_thread(deploy, own_server.admin_url(DATABASE))
    roles, dump = str(tmp_path / "roles.sql"), str(tmp_path / "zaptik.dump")
    with EmbeddedValkey() as valkey:
        leaver = build_leaver(deployment, valkey, tmp_path, host="127.0.0.1:1", ca_file=certificates.ca_file)
        async with (
            open_connection(deployment.admin_url, purpose="test") as owner,
            open_connection(deployment.app_url, purpose="test") as app,
        ):
            tenant = await leaver.add(owner, app, NAME, "https://somewhere.service-now.com")
            await leaver.add(owner, app, "stays", "https://stays.service-now.com")
            await owner.execute("CREATE ROLE portal LOGIN")
            await grant_consumer(owner, "portal", tenant=NAME)
            before = await leaver.seal_and_verify(app)
        await run(own_server, "pg_dumpall", "--roles-only", "-f", roles)
        await run(own_server, "pg_dump", "-Fc", "-f", dump, DATABASE)
        words = ("tenant", "offboard", NAME, "--reference", "REQ-1", "--now", "--json")
        assert (await leaver.call(capsys, *words)).exit_code == 0

        with build_server() as other:
            await run(other, "psql", "-d", "postgres", "-f", roles)
            other.password = own_server.password  # the roles bring it along
            await run(other, "createdb", "--encoding=UTF8", "--template=template0", DATABASE)
            await run(other, "pg_restore", "-d", DATABASE, "--exit-on-error", dump)
            admin_url = other.admin_url(DATABASE)
            password = deployment.app_url.partition("zaptik_app:")[2].partition("@")[0]
            restored = Deployment(admin_url, app_url(admin_url, password=password))
            variables = {"ZAPTIK_DATABASE_URL": restored.app_url, "ZAPTIK_ADMIN_DATABASE_URL": admin_url}
            leaver = dataclasses.replace(
                leaver, deployment=restored, variables={**leaver.variables, **variables}
            )
            assert set(await find_in_database(admin_url, [NAME])) == {NAME}, "the dump has it"
            migrated = await leaver.call(capsys, "migrate", "--json")
            document = json.loads(migrated.stdout)
            assert migrated.exit_code == 0, migrated
            assert document["tombstones"] == {"listed": 1, "deleted": [str(tenant.tenant_id)], "torn": False}
            assert await find_in_database(admin_url, [NAME, NAME.replace("-", "_")]) == {}
            async with (
                open_connection(admin_url, purpose="test") as owner,
                open_connection(restored.app_url, purpose="test") as app,
            ):
                names = await read_own(owner, "SELECT name, state FROM control.tenant")
                after = await leaver.seal_and_verify(app)
    assert names == [{"name": "stays", "state": "active"}]
    assert (after.fault, after.events) == (None, after.sealed)
    assert after.segments > before.segments
