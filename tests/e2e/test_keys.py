"""The deployment's key is replaced while workers run, and no run is lost by it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.local.processes import Child, build_minimal_environment, wait_until
from ops.local.stack import ROOT, ZAPTIK
from tests.e2e.conftest import Deployed

SLOW_MILLISECONDS = 1_500  # until the key is replaced: then the instances are as fast as they are
TENANTS = ("acme", "globex-prod")
pytestmark = pytest.mark.timeout(180)


def set_latency(deployed: Deployed, milliseconds: float) -> None:
    for name in TENANTS:
        deployed.stack.instances[name].set_latency(milliseconds)


@pytest.fixture
def slow(deployed: Deployed) -> Iterator[None]:
    """Make every request to the instances take long, so that runs are under way when the key is replaced."""
    set_latency(deployed, SLOW_MILLISECONDS)
    yield
    set_latency(deployed, 0)


def start_sync(deployed: Deployed, tenant: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  our own command
        [ZAPTIK, "sync", tenant, "--full", "--wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=build_minimal_environment(**deployed.stack.admin_settings()),
    )


def list_keys(deployed: Deployed) -> dict[str, dict[str, Any]]:
    called = deployed.call("keys", "list", "--json")
    assert called.exit_code == 0, called
    return {key["key_id"]: key for key in called.document["keys"]}


def count_running(deployed: Deployed) -> int:
    running: int = deployed.call("status", "--json").document["queue"]["running"]
    return running


def start_worker(deployed: Deployed, name: str, keyring: Path) -> Child:
    settings = {**deployed.stack.settings(), "ZAPTIK_KEYRING_FILE": str(keyring)}
    return deployed.stack.start_process(name, ZAPTIK, "worker", environment=settings)


@pytest.mark.usefixtures("slow")
def test_the_key_is_replaced_under_a_working_fleet_and_the_old_one_dropped(
    deployed: Deployed, tmp_path: Path
) -> None:
    file = deployed.stack.folder / "keyring.json"
    before = Path(shutil.copy(file, tmp_path / "before.json"))
    [old] = [key["key_id"] for key in list_keys(deployed).values() if key["primary"]]
    syncs = [start_sync(deployed, tenant) for tenant in TENANTS]
    assert wait_until(lambda: count_running(deployed) == len(TENANTS), deadline_seconds=30)

    rotated = deployed.call("keys", "rotate", "--json")
    assert rotated.exit_code == 0, rotated
    new = rotated.document["key_id"]
    assert rotated.document["rewrapped"] == list_keys(deployed)[new]["tenants"] >= len(TENANTS)
    assert deployed.call("keys", "drop", new).exit_code == 2
    assert deployed.call("keys", "drop", old, "--json").document["dropped"]
    assert count_running(deployed) > 0, "the runs ended too early to prove anything: make them slower"
    set_latency(deployed, 0)
    for sync in syncs:
        said, told = sync.communicate(timeout=100)
        assert (sync.returncode, json.loads(said)["error"]) == (0, None), told

    assert old not in json.loads(file.read_text())["keys"]
    kept = list_keys(deployed)
    assert old not in kept
    assert (kept[new]["standing"], kept[new]["workers_without"]) == ("primary", [])
    for (
        tenant
    ) in TENANTS:  # tokens are in memory; another worker, or a later run, opens the credentials again
        assert deployed.sync(tenant)["error"] is None
    late = start_worker(deployed, "worker-of-before", before)
    assert late.wait(deadline_seconds=30) == 1
    assert new in late.read_log(), "a key that is in use and not in the keyring stops the start by its name"


def test_nothing_is_wrapped_by_a_key_that_a_worker_lacks(deployed: Deployed, tmp_path: Path) -> None:
    """A worker with a copy of the keyring stands for one on another machine."""
    file, copy = deployed.stack.folder / "keyring.json", tmp_path / "copy.json"
    shutil.copy(file, copy)
    elsewhere = start_worker(deployed, "worker-elsewhere", copy)
    elsewhere.wait_for_event("process.started")
    new = deployed.call("keys", "rotate", "--prepare", "--json").document["key_id"]
    assert list_keys(deployed)[new]["standing"] == "next"
    refused = deployed.call("keys", "rotate", "--print", "--json")
    assert (refused.exit_code, refused.document["error"]["code"]) == (1, "key_not_shared"), refused
    assert f"/{elsewhere.pid} lacks {new}" in refused.document["error"]["message"].replace(",", " ")

    shutil.copy(file, copy)
    assert elsewhere.wait_for_event("keyring.changed")["key_ids"].count(new) == 1
    rotated = deployed.call("keys", "rotate", "--json")
    assert (rotated.exit_code, rotated.document["key_id"]) == (0, new), rotated
    elsewhere.send(signal.SIGTERM)
    assert elsewhere.wait(deadline_seconds=30) == 0
    assert deployed.sync("acme")["error"] is None
