"""A restored backup brings a deleted tenant back; the list that is kept beside the backups sends it away again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ops.local.certificates import Certificates
from ops.local.postgres import EmbeddedPostgres
from ops.local.valkey import EmbeddedValkey
from tests.conftest import Deployment, deploy
from tests.integration.deletion_case import build_leaver, find_in_database
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import open_connection
from worker.vault import generate_audit_key

pytestmark = pytest.mark.anyio
NAME = "c4n4ry-comes-back"


def copy_data(source: Path, target: Path) -> None:
    """Copy a stopped server's data with its owners, as a file system's snapshot does."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    for path in (source, *source.rglob("*")):
        status = path.lstat()
        os.chown(target / path.relative_to(source), status.st_uid, status.st_gid, follow_symlinks=False)
    target.chmod(0o700)


@pytest.fixture
def deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


async def test_after_a_restore_migrate_deletes_again_whom_the_list_names_and_nobody_else(
    own_server: EmbeddedPostgres,
    deployment: Deployment,
    certificates: Certificates,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with EmbeddedValkey() as valkey:
        leaver = build_leaver(deployment, valkey, tmp_path, host="127.0.0.1:1", ca_file=certificates.ca_file)
        async with (
            open_connection(deployment.admin_url, purpose="test") as owner,
            open_connection(deployment.app_url, purpose="test") as app,
        ):
            tenant = await leaver.add(owner, app, NAME, "https://somewhere.service-now.com")
            stays = await leaver.add(owner, app, "stays", "https://stays.service-now.com")
        own_server.child.stop()
        backup = own_server.folder / "backup"
        copy_data(own_server.data_folder, backup)
        own_server.restart()
        words = ("tenant", "offboard", NAME, "--reference", "REQ-1", "--now", "--json")
        deleted = json.loads((await leaver.call(capsys, *words)).stdout)["certificate"]
        assert await find_in_database(deployment.admin_url, [NAME]) == {}

        own_server.child.stop()
        copy_data(backup, own_server.data_folder)
        own_server.restart()
        assert set(await find_in_database(deployment.admin_url, [NAME])) == {NAME}, "the backup has it"
        unlisted = await leaver.call(capsys, "migrate", "--json", ZAPTIK_TOMBSTONES_FILE="")
        assert json.loads(unlisted.stdout)["tombstones"] == {"listed": 0, "deleted": [], "torn": False}
        forged = tmp_path / "forged.jsonl"
        forged.write_text(leaver.tombstones.read_text().replace(str(tenant.tenant_id), str(stays.tenant_id)))
        refused = await leaver.call(capsys, "migrate", "--json", ZAPTIK_TOMBSTONES_FILE=str(forged))
        assert json.loads(refused.stdout)["error"]["code"] == "tombstones_unreadable"
        other = tmp_path / "other.json"
        generate_audit_key(other)
        refused = await leaver.call(capsys, "migrate", "--json", ZAPTIK_AUDIT_KEY_FILE=str(other))
        assert json.loads(refused.stdout)["error"]["code"] == "tombstones_unreadable"

        again = await leaver.call(capsys, "migrate", "--json")
        assert (again.exit_code, json.loads(again.stdout)["tombstones"]) == (
            0, {"listed": 1, "deleted": [str(tenant.tenant_id)], "torn": False},
        )  # fmt: skip
        assert await find_in_database(deployment.admin_url, [NAME, NAME.replace("-", "_")]) == {}
        with leaver.tombstones.open("ab") as file:
            file.write(b'{"form": "zaptik tombst')
        once_more = await leaver.call(capsys, "migrate", "--json")
        assert json.loads(once_more.stdout)["tombstones"] == {"listed": 1, "deleted": [], "torn": True}
        assert "the last line of" in once_more.stderr
        async with (
            open_connection(deployment.admin_url, purpose="test") as owner,
            open_connection(deployment.app_url, purpose="test") as app,
        ):
            told = "SELECT detail FROM control.audit_events WHERE action = 'tenant.deleted'"
            [event] = await read_own(owner, told)
            names = await read_own(owner, "SELECT name, state FROM control.tenant")
            verified = await leaver.seal_and_verify(app)
        assert (event["detail"]["reason"], event["detail"]["reference"]) == ("restored", "REQ-1")
        assert (
            event["detail"]["deleted"]["credential"] == deleted["deleted"]["control_rows"]["credential"] == 1
        )
        assert names == [{"name": "stays", "state": "active"}]
        assert verified.fault is None
