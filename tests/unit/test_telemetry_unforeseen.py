"""What nobody foresaw: of an exception its type and our own lines, wherever nothing caught it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import InvalidSetting
from jobs.events import FAILURE_UNFORESEEN, Event
from worker.command import main
from worker.settings import read_settings
from worker.telemetry import describe_unforeseen, name_frames, tell_strays
from worker.vault.keyring import parse_keyring


@pytest.fixture
def told() -> Iterator[list[Event]]:
    events: list[Event] = []
    hooks = threading.excepthook, sys.unraisablehook
    tell_strays(events.append)
    yield events
    threading.excepthook, sys.unraisablehook = hooks


class Stray:
    def __del__(self) -> None:
        raise ValueError("secret-canary")


def crash() -> None:
    raise LookupError("secret-canary")


def test_a_thread_and_a_destructor_that_raise_are_told_by_type_alone(
    told: list[Event], capfd: pytest.CaptureFixture[str]
) -> None:
    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    Stray()
    gc.collect()
    assert [(event.kind, event.fields["where"], event.fields["error"]) for event in told] == [
        (FAILURE_UNFORESEEN, "thread", "LookupError"),
        (FAILURE_UNFORESEEN, "destructor", "ValueError"),
    ]
    said = capfd.readouterr()
    assert "canary" not in said.out + said.err + repr(told)


def test_a_thread_that_ends_itself_is_no_failure(told: list[Event]) -> None:
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert told == []


def test_only_our_own_lines_are_named() -> None:
    with pytest.raises(InvalidSetting) as caught:
        read_settings({"ZAPTIK_DATABASE_URL": "secret-canary"})
    [frame] = name_frames(caught.value)
    assert frame.startswith("worker/settings/__init__.py:")
    assert frame.endswith(" read_settings")
    assert "canary" not in repr(describe_unforeseen(caught.value, where="test"))


def test_a_command_that_meets_a_defect_tells_its_type_and_place_and_prints_one_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A keyring's text that no reader of ours can turn down: deeper than the parser goes, in a file of bytes."""
    file = tmp_path / "keyring"
    file.write_text('{"primary": "k-a", "keys": {"k-a": "secret-canary-\\ud800"}}')
    file.chmod(0o600)
    monkeypatch.setenv("ZAPTIK_KEYRING_FILE", str(file))
    assert main(["doctor", "acme", "--json"]) == 1
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    with pytest.raises(Exception, match="k-a") as caught:
        parse_keyring(file.read_text(), where="here")
    assert "canary" not in str(caught.value)
