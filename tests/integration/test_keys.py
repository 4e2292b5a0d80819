"""`zaptik keys`: the deployment's key is replaced step by step, and nothing is lost or out of reach on the way."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from jobs.errors import InvalidSetting, KeyDropped, KeyNotShared
from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.keys_case import CREDENTIALS, TENANTS, Call, Ended, Fleet, build_fleet, rewrap_by
from worker.command import main
from worker.command.key_rotation import Rotation, put_over
from worker.command.output import Output
from worker.postgres import keys
from worker.postgres.connection import Connection, in_tenant_rows, open_connection
from worker.postgres.reading import Process, report_process
from worker.settings import read_settings
from worker.vault import (
    Keyring,
    change_keyring,
    find_source,
    format_keyring,
    new_keyring,
    read_keyring,
    rewrap_data_key,
    seal_credentials,
    with_new_key,
    with_new_primary,
    with_primary,
)


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture
def fleet(own_deployment: Deployment, tmp_path: Path) -> Fleet:
    return build_fleet(own_deployment, tmp_path / "keyring.json")


@pytest.fixture
def call(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Give a function that calls the command with the fleet's keyring, or with another one."""

    def called(*words: str, **variables: str) -> Ended:
        named = any(name.startswith("ZAPTIK_KEYRING") for name in variables)
        keyring = {**variables, **({} if named else {"ZAPTIK_KEYRING_FILE": str(fleet.file)})}
        with monkeypatch.context() as patched:
            for name, value in {"ZAPTIK_DATABASE_URL": fleet.deployment.app_url, **keyring}.items():
                patched.setenv(name, value)
            code = main([*words, "--json"])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return called


def test_a_file_is_rotated_in_one_call_and_the_old_key_dropped(fleet: Fleet, call: Call) -> None:
    before, told = fleet.ring, fleet.actions()
    rotated = call("keys", "rotate")
    assert (rotated.exit_code, rotated.document["state"]) == (0, "rotated")
    new = rotated.document["key_id"]
    assert (rotated.document["rewrapped"], rotated.document["broken"]) == (TENANTS, [])
    assert rotated.document["keyring"] is None, "what is in a file is not printed"
    assert fleet.ring.primary == new != before.primary
    assert fleet.ring.keys.keys() == {before.primary, new}
    assert fleet.wrapped_by() == {new: TENANTS}
    fleet.check_all_open(with_primary(Keyring(new, {new: fleet.ring.keys[new]}), new))

    listed = {key["key_id"]: key for key in call("keys", "list").document["keys"]}
    assert {name: (key["standing"], key["tenants"]) for name, key in listed.items()} == {
        before.primary: ("opens", 0),
        new: ("primary", TENANTS),
    }
    dropped = call("keys", "drop", before.primary)
    assert dropped.exit_code == 0
    assert "keep a copy of it as long as you keep backups" in dropped.stderr
    assert fleet.ring.keys.keys() == {new}
    now = fleet.actions()
    assert {name: now[name] - told.get(name, 0) for name in now} == {
        "key.generated": 1,
        "key.promoted": 1,
        "key.rewrapped": TENANTS,
        "key.dropped": 1,
    }
    assert call("keys", "drop", before.primary).error[:2] == (1, "key_missing")


def test_a_key_in_use_and_the_primary_are_not_dropped(fleet: Fleet, call: Call) -> None:
    old = fleet.ring.primary
    code, error, message = call("keys", "drop", old).error
    assert (code, error, "`zaptik keys rotate` first" in message) == (2, "key_in_use", True)
    new = change_keyring(fleet.file, with_new_primary).primary
    assert call("keys", "drop", old).error[:2] == (2, "key_in_use"), "nothing is wrapped by the new one yet"
    assert old in fleet.ring.keys
    assert call("keys", "rotate").document["key_id"] == new, "a key that was promoted by hand is taken up"
    assert call("keys", "drop", old).exit_code == 0


def test_a_variable_is_rotated_by_a_person_step_by_step(fleet: Fleet, call: Call) -> None:
    """What is printed is put in its place; nothing happens before every worker has it."""
    old = fleet.ring
    worker = fleet.report_worker(old.primary)
    prepared = call("keys", "rotate", ZAPTIK_KEYRING=format_keyring(old))
    assert (prepared.exit_code, prepared.document["state"]) == (3, "prepared")
    new = prepared.document["key_id"]
    assert prepared.document["keyring"]["primary"] == old.primary
    assert "put this keyring where ZAPTIK_KEYRING has it from" in prepared.stderr
    text = json.dumps(prepared.document["keyring"])

    code, error, message = call("keys", "rotate", ZAPTIK_KEYRING=text).error
    assert (code, error) == (1, "key_not_shared")
    assert f"node-9/42 lacks {new}" in message
    assert fleet.wrapped_by() == {old.primary: TENANTS}

    fleet.report_worker(old.primary, new, process_id=worker)
    rotated = call("keys", "rotate", ZAPTIK_KEYRING=text)
    assert (rotated.exit_code, rotated.document["rewrapped"]) == (0, TENANTS)
    assert rotated.document["keyring"]["primary"] == new
    again = call("keys", "rotate", ZAPTIK_KEYRING=text).document
    assert (again["rewrapped"], again["keyring"]) == (0, rotated.document["keyring"]), (
        "its output may be lost"
    )

    text = json.dumps(rotated.document["keyring"])
    dropped = call("keys", "drop", old.primary, ZAPTIK_KEYRING=text)
    assert dropped.document["keyring"]["keys"].keys() == {new}
    code, error, message = call("keys", "rotate", ZAPTIK_KEYRING=format_keyring(old)).error
    assert (code, error, new in message) == (1, "key_missing", True), "an old keyring rotates nothing back"


def test_a_file_that_is_not_to_be_written_is_printed(fleet: Fleet, call: Call) -> None:
    before = fleet.file.read_bytes()
    prepared = call("keys", "rotate", "--print").document
    assert prepared["keyring"]["keys"].keys() == {*fleet.ring.keys, prepared["key_id"]}
    assert fleet.file.read_bytes() == before
    made = [key for key in call("keys", "list").document["keys"] if key["key_id"] == prepared["key_id"]]
    assert [(key["standing"], key["in_keyring"]) for key in made] == [("elsewhere", False)]
    assert call("keys", "drop", prepared["key_id"]).exit_code == 0, "whoever lost it drops it"


def test_a_second_call_before_the_first_keyring_has_come_says_so(call: Call) -> None:
    """Kubernetes brings a changed Secret within a minute or two: whoever calls sooner must not take a third keyring."""
    first = call("keys", "rotate", "--print")
    assert "made before" not in first.stderr
    second = call("keys", "rotate", "--print")
    assert f"{first.document['key_id']}, made before, is not in this keyring" in second.stderr
    come = call("keys", "list", ZAPTIK_KEYRING=json.dumps(first.document["keyring"])).document["keys"]
    assert f"`zaptik keys list` says `{come[1]['standing']}`" in second.stderr


def test_a_file_in_a_folder_that_is_read_only_is_refused_before_anything_changes(
    fleet: Fleet, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = fleet.ring.primary, call("keys", "rotate").document["key_id"]
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != fleet.file.parent)
    for words in (("rotate",), ("drop", old)):
        code, error, message = call("keys", *words).error
        assert (code, error, "with --print" in message) == (2, "invalid_setting", True)
    assert [key["key_id"] for key in call("keys", "list").document["keys"]] == [old, new]
    assert call("keys", "drop", old, "--print").exit_code == 0


def test_a_data_key_that_does_not_open_is_left_told_and_in_nobodys_way(fleet: Fleet, call: Call) -> None:
    broken, old = fleet.tenants[2], fleet.ring.primary
    fleet.rows(
        "UPDATE control.data_key SET wrapped = set_byte(wrapped, length(wrapped) - 1, "
        "get_byte(wrapped, length(wrapped) - 1) # 1) WHERE tenant_id = %s",
        broken,
    )
    rotated = call("keys", "rotate")
    assert (rotated.exit_code, rotated.document["broken"]) == (3, [str(broken)])
    assert rotated.document["rewrapped"] == TENANTS - 1
    assert str(broken) in rotated.stderr
    code, error, message = call("keys", "drop", old).error
    assert (code, error, "needed for 1 data key:" in message) == (2, "key_in_use", True)


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "rotate"),
        ("doctor", "t1"),
        ("credential", "set", "t1", "--client-id", "x", "--client-secret-stdin"),
    ],
    ids=lambda words: words[0],
)
def test_a_key_that_is_in_use_and_missing_stops_every_command_that_opens(
    fleet: Fleet, call: Call, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret"))
    code, error, message = call(*words, ZAPTIK_KEYRING=format_keyring(new_keyring())).error
    assert (code, error) == (1, "key_missing")
    assert fleet.ring.primary in message
    assert fleet.wrapped_by() == {fleet.ring.primary: TENANTS}


def test_what_is_listed_names_a_missing_key(fleet: Fleet, call: Call) -> None:
    other = new_keyring()
    listed = call("keys", "list", ZAPTIK_KEYRING=format_keyring(other))
    standings = {key["key_id"]: key["standing"] for key in listed.document["keys"]}
    assert standings == {fleet.ring.primary: "missing", other.primary: "primary"}
    assert f"{fleet.ring.primary} is in use and not in the keyring" in listed.stderr


def test_a_key_is_noted_when_it_is_made_and_told_if_it_cannot_be(
    fleet: Fleet, call: Call, tmp_path: Path
) -> None:
    told = fleet.actions().get("key.generated", 0)
    made = call("keys", "generate", "--into", str(tmp_path / "other.json"))
    assert made.document["key_id"] in {key.key_id for key in fleet.ask(keys.read_keys)}
    assert fleet.actions()["key.generated"] == told + 1
    away = "postgresql://zaptik_app:x@127.0.0.1:1/zaptik"
    made = call("keys", "generate", "--into", str(tmp_path / "third.json"), ZAPTIK_DATABASE_URL=away)
    assert (made.exit_code, "not in the audit trail" in made.stderr) == (0, True)


def test_a_rotation_by_an_old_copy_of_the_file_does_not_go_back(
    fleet: Fleet, call: Call, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    call("keys", "rotate", "--prepare")
    copy.write_bytes(fleet.file.read_bytes())
    copy.chmod(0o600)
    new = call("keys", "rotate").document["key_id"]
    turned = call("keys", "rotate", ZAPTIK_KEYRING_FILE=str(copy)).document
    assert (turned["key_id"], turned["rewrapped"]) == (new, 0)
    assert read_keyring(read_settings({"ZAPTIK_KEYRING_FILE": str(copy)})).primary == new, "it is mended"
    assert fleet.wrapped_by() == {new: TENANTS}


def test_a_rotation_that_is_killed_leaves_everything_readable_and_goes_on(fleet: Fleet, call: Call) -> None:
    old = fleet.ring.primary
    new = call("keys", "rotate", "--prepare").document["key_id"]
    assert (fleet.ring.primary, fleet.wrapped_by()) == (old, {old: TENANTS})
    fleet.check_all_open(fleet.ring)

    async def begin(connection: Connection) -> None:
        await keys.promote_key(connection, new)
        ring = with_primary(fleet.ring, new)
        async for _ in keys.rewrap_all(connection, new, rewrap=rewrap_by(ring), batch=2):
            return

    fleet.ask(begin)  # the file still names the old key as its primary
    assert fleet.wrapped_by() == {old: TENANTS - 2, new: 2}
    fleet.check_all_open(fleet.ring)
    assert call("keys", "drop", old).error[1] == "key_in_use"
    ended = call("keys", "rotate").document
    assert (ended["key_id"], ended["rewrapped"], ended["state"]) == (new, TENANTS - 2, "rotated")
    assert (fleet.ring.primary, fleet.wrapped_by()) == (new, {new: TENANTS})
    fleet.check_all_open(fleet.ring)


def test_a_worker_that_comes_in_the_middle_without_the_key_stops_the_rotation(fleet: Fleet) -> None:
    ring, new = with_new_key(fleet.ring)
    ring = with_primary(ring, new)

    async def rotate(connection: Connection) -> None:
        worker = Process(uuid4(), "worker", "node-9", 42, "1", 1, [fleet.ring.primary])
        async for _ in keys.rewrap_all(connection, new, rewrap=rewrap_by(ring), batch=3):
            await report_process(connection, worker)

    with pytest.raises(KeyNotShared, match=f"node-9/42 lacks {new}"):
        fleet.ask(rotate)
    assert fleet.wrapped_by()[new] == 3
    fleet.check_all_open(ring)


def test_a_rotation_waits_for_workers_that_read_the_file(fleet: Fleet) -> None:
    """The worker says that it holds the key while the rotation waits for it; one that never does ends the wait."""
    worker = fleet.report_worker(fleet.ring.primary)
    source = find_source(read_settings({"ZAPTIK_KEYRING_FILE": str(fleet.file)}))
    output = Output(as_json=True)

    async def rotate(connection: Connection, *, seconds: float) -> str:
        deadline = asyncio.get_running_loop().time() + seconds
        turning = Rotation(source, in_file=True, prepare_only=False, output=output, deadline=deadline)
        return (await turning.turn(connection)).state

    with pytest.raises(KeyNotShared, match="node-9/42 lacks"):
        fleet.ask(lambda connection: rotate(connection, seconds=0))

    async def follow() -> str:
        async with (
            open_connection(fleet.deployment.app_url, purpose="test") as connection,
            open_connection(fleet.deployment.app_url, purpose="test") as of_worker,
        ):
            turning = asyncio.create_task(rotate(connection, seconds=60))
            await asyncio.wait([turning], timeout=0.01)
            assert not turning.done()
            described = Process(worker, "worker", "node-9", 42, "1", 1, sorted(fleet.ring.keys))
            await report_process(of_worker, described)
            return await turning

    assert asyncio.run(follow()) == "rotated"


def test_what_others_store_meanwhile_is_left_to_them(fleet: Fleet) -> None:
    """Between reading a data key and writing it wrapped anew, the tenant's is replaced: compare-and-set."""
    ring = with_new_primary(fleet.ring)
    victim, raced = fleet.tenants[0], [False]

    def rewrap(wrapped: bytes, key_id: str, tenant: str) -> bytes:
        if tenant == str(victim) and not raced[0]:
            raced[0] = True
            sealed = seal_credentials(fleet.ring, CREDENTIALS, tenant=tenant, version=1)
            with psycopg.connect(fleet.deployment.admin_url, autocommit=True) as other:
                other.execute(
                    "UPDATE control.data_key SET wrapped = %s WHERE tenant_id = %s",
                    [sealed.wrapped_data_key, tenant],
                )
                other.execute(
                    "UPDATE control.credential SET envelope = %s WHERE tenant_id = %s",
                    [sealed.envelope, tenant],
                )
        return rewrap_data_key(ring, wrapped, tenant, key_id=key_id)

    async def rotate(connection: Connection) -> list[int]:
        return [so_far.done async for so_far in keys.rewrap_all(connection, ring.primary, rewrap=rewrap)]

    assert fleet.ask(rotate) == [TENANTS - 1, TENANTS], "it is passed over, and taken up in another pass"
    assert raced == [True]
    fleet.check_all_open(ring)


def test_nothing_is_wrapped_by_a_dropped_key_whatever_keyring_somebody_has(fleet: Fleet, call: Call) -> None:
    old = fleet.ring
    call("keys", "rotate")
    call("keys", "drop", old.primary)
    newcomer = fleet.tenants[0]
    fleet.rows("DELETE FROM control.data_key WHERE tenant_id = %s", newcomer)
    with pytest.raises(KeyDropped, match=f"the key {old.primary} was dropped: use the keyring"):
        fleet.store(old, newcomer)
    assert old.primary not in fleet.wrapped_by()
    with pytest.raises(KeyDropped):
        fleet.ask(lambda connection: keys.promote_key(connection, old.primary))


def test_a_key_that_is_being_used_is_waited_for_before_it_is_dropped(fleet: Fleet) -> None:
    late = new_keyring()
    sealed = seal_credentials(late, CREDENTIALS, tenant=str(fleet.tenants[0]), version=1)

    async def race() -> int:
        async with (
            open_connection(fleet.deployment.app_url, purpose="test") as user,
            open_connection(fleet.deployment.app_url, purpose="test") as dropper,
            open_connection(fleet.deployment.admin_url, purpose="test") as admin,
        ):
            async with in_tenant_rows(user, fleet.tenants[0]):
                await user.execute(
                    b"UPDATE control.data_key SET key_id = %s, wrapped = %s WHERE tenant_id = %s",
                    [late.primary, sealed.wrapped_data_key, fleet.tenants[0]],
                )
                dropping = asyncio.create_task(keys.drop_key(dropper, late.primary))
                waiting = None
                while not waiting:
                    cursor = await admin.execute(b"SELECT pid FROM pg_locks WHERE NOT granted")
                    waiting = await cursor.fetchone()
            return await dropping

    assert asyncio.run(race()) == 1
    assert fleet.wrapped_by()[late.primary] == 1


def test_the_app_rewraps_within_a_tenants_rows_alone(fleet: Fleet) -> None:
    async def reach(connection: Connection) -> list[int]:
        counts = []
        for named in fleet.tenants[:2]:
            async with in_tenant_rows(connection, named):
                cursor = await connection.execute(
                    b"UPDATE control.data_key SET wrapped = wrapped WHERE tenant_id = %s", [fleet.tenants[0]]
                )
                counts.append(cursor.rowcount)
        return counts

    assert fleet.ask(reach) == [1, 0]


def test_two_commands_that_change_the_file_at_once_lose_no_key(fleet: Fleet, call: Call) -> None:
    """The second one's key stands in the file by the time that the first would write."""

    def change_first(ring: Keyring) -> Keyring:
        assert call("keys", "rotate").error[:2] == (2, "invalid_setting"), "the file beside is the lock"
        return with_new_key(ring)[0]

    with_one = change_keyring(fleet.file, change_first)
    assert fleet.ring == with_one
    stale = new_keyring()
    with pytest.raises(InvalidSetting, match="changed meanwhile"):
        change_keyring(fleet.file, lambda there: put_over(stale, there))
    assert fleet.ring == with_one
