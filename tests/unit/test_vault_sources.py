"""A keyring comes from one place, within bounds, and a process that holds it notices another one."""

import fcntl
import json
import os
import pickle
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import InvalidSetting, KeyMissing
from ops.local.processes import wait_until
from worker.settings import read_settings
from worker.vault import (
    HeldKeyring,
    Keyring,
    change_keyring,
    find_source,
    format_keyring,
    generate_keyring,
    new_keyring,
    read_keyring,
    with_new_key,
    with_new_primary,
    without_key,
)
from worker.vault.key_command import ask_key_command, leave_out_secrets
from worker.vault.sources import CommandSource, FileSource

RING = new_keyring()
LIMIT = 1 << 20


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def ask(code: str, *, seconds: float = 20, max_bytes: int = LIMIT) -> str:
    return ask_key_command(python(code), where="ZAPTIK_KEYRING_COMMAND", max_bytes=max_bytes, seconds=seconds)


def refuse(code: str, *, seconds: float = 20, max_bytes: int = LIMIT) -> str:
    with pytest.raises(KeyMissing) as caught:
        ask(code, seconds=seconds, max_bytes=max_bytes)
    return caught.value.message


def test_a_file_that_others_may_read_of_late_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    generate_keyring(path)
    source = FileSource(path)
    before = source.stamp()
    assert source.stamp() == before
    path.chmod(0o644)
    assert source.stamp() != before
    path.chmod(0o600)
    assert source.stamp() == before


def test_a_keyring_is_what_a_command_prints(tmp_path: Path) -> None:
    (tmp_path / "ring $HOME;.json").write_text(format_keyring(RING))
    words = shlex.join(["cat", str(tmp_path / "ring $HOME;.json")])
    source = find_source(read_settings({"ZAPTIK_KEYRING_COMMAND": words}))
    assert source.read() == RING, "the words are passed on as they are, without a shell"
    assert (source.name, source.file) == ("ZAPTIK_KEYRING_COMMAND", None)
    assert str(tmp_path) not in repr(source), "its words may hold a token"


@pytest.mark.parametrize("command", ["'open", '"', "a 'b"])
def test_a_command_that_is_none_is_refused_when_settings_are_read(command: str) -> None:
    with pytest.raises(InvalidSetting, match="ZAPTIK_KEYRING_COMMAND: write a program"):
        read_settings({"ZAPTIK_KEYRING_COMMAND": command})


@pytest.mark.parametrize(
    "two", [("_FILE", "_COMMAND"), ("", "_COMMAND"), ("", "_FILE"), ("", "_FILE", "_COMMAND")]
)
def test_of_the_three_places_one_is_named(two: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSetting, match="set one of"):
        read_settings({f"ZAPTIK_KEYRING{which}": "x" for which in two})


def test_no_view_of_the_settings_shows_the_command() -> None:
    settings = read_settings({"ZAPTIK_KEYRING_COMMAND": "client --token canary"})
    assert "canary" not in f"{settings!r}{settings}{settings.model_dump_json()}"


def test_a_command_gets_none_of_our_settings_and_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAPTIK_DATABASE_URL", "canary")
    monkeypatch.setenv("CLOUD_REGION", "eu")
    seen = json.loads(ask("import json, os, sys; print(json.dumps([dict(os.environ), sys.stdin.read()]))"))
    assert seen[0]["CLOUD_REGION"] == "eu"
    assert not [name for name in seen[0] if name.startswith("ZAPTIK_")]
    assert seen[1] == ""


def test_a_program_that_is_not_there_is_told_without_its_words() -> None:
    with pytest.raises(KeyMissing, match="cannot be run: No such file") as caught:
        ask_key_command(["/nowhere/canary"], where="ZAPTIK_KEYRING_COMMAND", max_bytes=1)
    assert "canary" not in caught.value.message


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    message = refuse("import sys; sys.stderr.write('a\\nAccess denied to key alias\\n'); sys.exit(7)")
    assert message == "ZAPTIK_KEYRING_COMMAND ended with exit code 7: it said 'Access denied to key alias'"
    assert refuse("import sys; sys.exit(1)") == "ZAPTIK_KEYRING_COMMAND ended with exit code 1"
    assert "exit code -9" in refuse("import os; os.kill(os.getpid(), 9)")


def test_what_a_command_says_wrong_is_told_without_a_key() -> None:
    key = json.loads(format_keyring(RING))["keys"][RING.primary]
    message = refuse(f"import sys; sys.stderr.write('bad ring: ' + {key!r}); sys.exit(1)")
    assert message.endswith("it said 'bad ring: \\u2026'")
    with pytest.raises(KeyMissing, match="what ZAPTIK_KEYRING_COMMAND printed holds no keyring") as caught:
        CommandSource(tuple(python(f"print({key!r})"))).read()
    assert key[:8] not in caught.value.message


@given(st.binary(min_size=24, max_size=64), st.text(max_size=20))
def test_no_key_passes_in_hex_or_base64(key: bytes, around: str) -> None:
    for form in (key.hex(), json.loads(format_keyring(Keyring("k", {"k": key})))["keys"]["k"]):
        told = leave_out_secrets(f"{around} {form} {around}")
        assert not [form for at in range(len(form) - 11) if form[at : at + 12] in told]


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Both hold the pipe open, and a lock that only their end takes away."""
    lock = tmp_path / "lock"
    code = (
        f"import fcntl, os, time; file = open({str(lock)!r}, 'w'); fcntl.flock(file, fcntl.LOCK_EX); os.fork(); "
        "time.sleep(60)"
    )
    assert "did not end within 1 s" in refuse(code, seconds=1)
    with lock.open("a") as file:

        def is_free() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        assert wait_until(is_free, deadline_seconds=20)


def test_a_command_that_closes_its_output_and_stays_is_ended_too() -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(60)"
    assert "did not end within 0.5 s" in refuse(code, seconds=0.5)


def test_a_command_that_says_too_much_is_ended() -> None:
    message = refuse("import sys\nwhile True: sys.stdout.write('x' * 65536)", max_bytes=1000)
    assert "printed more than 1000 bytes" in message
    assert len(refuse("import sys; sys.stderr.write('word ' * 10**6); sys.exit(1)")) < 500


@dataclass
class Place:
    """A source whose keyring and stamp a test sets."""

    keyring: Keyring
    changed: int = 0
    name: str = "a place"
    file: None = None
    fails: bool = False
    read_times: list[int] = field(default_factory=list)

    def read(self) -> Keyring:
        self.read_times.append(self.changed)
        if self.fails:
            raise KeyMissing("it is away")
        return self.keyring

    def stamp(self) -> object:
        return self.changed


def test_a_key_that_came_is_held_and_none_is_forgotten() -> None:
    place = Place(RING)
    held = HeldKeyring(place)
    assert not held.refresh()
    place.keyring, new = with_new_key(RING)
    place.changed = 1
    assert held.refresh()
    assert held.now().keys.keys() == {RING.primary, new}
    assert held.now().primary == RING.primary
    place.keyring = without_key(with_new_primary(place.keyring), RING.primary)
    place.changed = 2
    assert held.refresh()
    assert held.now().primary == place.keyring.primary
    assert held.now().keys.keys() == {RING.primary, *place.keyring.keys}
    assert place.read_times == [0, 1, 2], "it is read only when it may have changed"


def test_a_place_that_gives_nothing_leaves_what_is_held() -> None:
    place = Place(RING)
    held = HeldKeyring(place)
    place.fails, place.changed = True, 1
    with pytest.raises(KeyMissing, match="away"):
        held.refresh()
    assert held.now() == RING
    assert not held.refresh(), "it is told once"


def test_another_key_of_a_known_id_is_not_taken() -> None:
    place = Place(RING)
    held = HeldKeyring(place)
    place.keyring, place.changed = Keyring(RING.primary, {RING.primary: bytes(32)}), 1
    with pytest.raises(KeyMissing, match=f"another key as {RING.primary}"):
        held.refresh()
    assert held.now() == RING


def test_a_key_that_is_missed_is_asked_for_at_once_but_not_all_the_time() -> None:
    place, now = Place(RING), [0.0]
    held = HeldKeyring(place, clock=lambda: now[0])
    place.keyring, _ = with_new_key(RING)
    assert not held.press(), "it was just read"
    now[0] = 11.0
    assert held.press()
    assert not held.press()
    place.changed = 1
    held.press()
    assert place.read_times == [0, 0, 1]


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first = generate_keyring(path)
    held = HeldKeyring(find_source(read_settings({"ZAPTIK_KEYRING_FILE": str(path)})))
    assert not held.refresh()
    changed = change_keyring(path, with_new_primary)
    assert held.refresh()
    assert (held.now().primary, set(held.now().keys)) == (changed.primary, {first, changed.primary})
    path.chmod(0o644)
    os.utime(path, (time.time() + 9, time.time() + 9))
    with pytest.raises(KeyMissing, match="chmod 600"):
        held.refresh()
    path.unlink()
    with pytest.raises(KeyMissing, match="cannot be read"):
        held.refresh()
    assert held.now() == changed


def test_a_held_keyring_shows_ids_and_is_not_pickled() -> None:
    held = HeldKeyring(Place(RING))
    assert repr(held) == f"<HeldKeyring from a place: {RING!r}>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(held)


def test_the_variable_is_read_as_before() -> None:
    text = format_keyring(RING)
    settings = read_settings({"ZAPTIK_KEYRING": text})
    assert read_keyring(settings) == RING
    assert RING.primary not in repr(find_source(settings))
