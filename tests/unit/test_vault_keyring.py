"""The keyring is read whole or refused with advice; its file is its owner's alone and never lost."""

import base64
import copy
import json
import os
import pickle
import stat
from pathlib import Path

import pytest

from jobs.errors import InvalidSetting, KeyMissing
from worker.settings import read_settings
from worker.vault import (
    Keyring,
    change_keyring,
    check_keys_present,
    format_keyring,
    generate_keyring,
    new_keyring,
    read_keyring,
    with_new_primary,
    without_key,
)

KEY = base64.b64encode(bytes(range(32))).decode()
RING = {"primary": "k-a", "keys": {"k-a": KEY, "k-b": base64.b64encode(bytes(32)).decode()}}


def from_text(text: str) -> Keyring:
    return read_keyring(read_settings({"ZAPTIK_KEYRING": text}))


def from_file(path: Path) -> Keyring:
    return read_keyring(read_settings({"ZAPTIK_KEYRING_FILE": str(path)}))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_keyring_is_read_from_the_variable() -> None:
    ring = from_text(json.dumps(RING))
    assert (ring.primary, ring.primary_key, sorted(ring.keys)) == ("k-a", bytes(range(32)), ["k-a", "k-b"])


def test_a_generated_keyring_is_read_from_its_file_and_from_its_text(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    key_id = generate_keyring(path)
    ring = from_file(path)
    assert (ring.primary, list(ring.keys), len(ring.primary_key)) == (key_id, [key_id], 32)
    assert from_text(path.read_text()) == ring
    assert from_text(format_keyring(ring)) == ring


def test_a_generated_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate_keyring(tmp_path / "keyring.json")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "keyring.json") == 0o600


def test_generating_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    generate_keyring(path)
    content = path.read_bytes()
    with pytest.raises(InvalidSetting, match="name another file"):
        generate_keyring(path)
    assert path.read_bytes() == content


def test_generating_does_not_follow_a_link_somebody_laid(tmp_path: Path) -> None:
    (tmp_path / "keyring.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidSetting, match="never overwritten"):
        generate_keyring(tmp_path / "keyring.json")
    assert not (tmp_path / "elsewhere").exists()


def test_generating_into_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="No such file or directory"):
        generate_keyring(tmp_path / "absent" / "keyring.json")


def test_generated_keys_differ() -> None:
    assert new_keyring().primary_key != new_keyring().primary_key


def test_no_keyring_at_all_says_how_to_get_one() -> None:
    with pytest.raises(KeyMissing, match=r"ZAPTIK_KEYRING_FILE .* `zaptik keys generate --into FILE`"):
        read_keyring(read_settings({}))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=r"absent\.json cannot be read: No such file"):
        from_file(tmp_path / "absent.json")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o777])
def test_a_file_others_can_touch_is_refused_with_the_chmod_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    generate_keyring(path)
    path.chmod(mode)
    with pytest.raises(KeyMissing, match=f"chmod 600 {path}"):
        from_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    key_id = generate_keyring(path)
    path.chmod(mode)
    assert from_file(path).primary == key_id


def test_a_pipe_in_the_files_place_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keyring.json", 0o600)
    with pytest.raises(KeyMissing, match="no regular file"):
        from_file(tmp_path / "keyring.json")


def test_a_folder_in_the_files_place_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=f"the keyring {tmp_path} is a folder: name the file in it"):
        from_file(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "[" * 100_000,
        '{"primary": "k-a"}',
        json.dumps({**RING, "surplus": 1}),
        json.dumps({**RING, "primary": 1}),
        json.dumps({**RING, "keys": [KEY]}),
        json.dumps({**RING, "primary": "k-c"}),
        json.dumps({"primary": "a", "keys": {"a": KEY}}),
        json.dumps({"primary": "k-\n", "keys": {"k-\n": KEY}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": KEY[:-4]}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": KEY[:-1]}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": "!" + KEY}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": "schlüssel"}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": None}}),
        json.dumps({"primary": "k-a", "keys": {"k-a": KEY, "k-b": ""}}),
    ],
)
def test_a_malformed_keyring_is_missing_and_its_text_is_not_repeated(text: str) -> None:
    with pytest.raises(KeyMissing, match="ZAPTIK_KEYRING") as caught:
        from_text(text)
    assert KEY[:12] not in str(caught.value)
    context = caught.value.__context__
    assert context is None or not hasattr(context, "doc"), "a JSON error would carry the whole keyring along"


def test_a_new_primary_keeps_the_others() -> None:
    old = new_keyring()
    ring = with_new_primary(old)
    assert ring.primary != old.primary
    assert ring.keys[old.primary] == old.primary_key
    assert without_key(ring, old.primary).keys == {ring.primary: ring.primary_key}


def test_the_primary_and_unknown_keys_cannot_be_dropped() -> None:
    ring = new_keyring()
    with pytest.raises(InvalidSetting, match="`zaptik keys rotate` first"):
        without_key(ring, ring.primary)
    with pytest.raises(KeyMissing, match="no key k-absent"):
        without_key(ring, "k-absent")


def test_every_absent_key_is_named() -> None:
    ring = from_text(json.dumps(RING))
    check_keys_present(ring, ["k-b", "k-a"])
    with pytest.raises(KeyMissing, match="k-c, k-d"):
        check_keys_present(ring, ["k-d", "k-a", "k-c"])


def test_changing_the_file_keeps_every_key_and_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first = generate_keyring(path)
    ring = change_keyring(path, with_new_primary)
    assert from_file(path) == ring
    assert set(ring.keys) == {first, ring.primary}
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_change_that_fails_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first = generate_keyring(path)
    with pytest.raises(InvalidSetting):
        change_keyring(path, lambda ring: without_key(ring, first))
    assert from_file(path).primary == first
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_changes_at_once_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    generate_keyring(path)

    def change_meanwhile(ring: Keyring) -> Keyring:
        with pytest.raises(InvalidSetting, match="another command changes the keyring"):
            change_keyring(path, with_new_primary)
        return with_new_primary(ring)

    assert from_file(path).keys.keys() < change_keyring(path, change_meanwhile).keys.keys()


def test_a_keyring_shows_its_ids_and_nothing_else() -> None:
    ring = from_text(json.dumps(RING))
    assert repr(ring) == str(ring) == "Keyring(primary='k-a', keys=['k-a', 'k-b'])"


def test_a_keyring_is_neither_pickled_nor_copied_deep() -> None:
    for act in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            act(new_keyring())
