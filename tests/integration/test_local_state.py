"""What `make up` notes is enough to end its processes, and only these."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ops.local.failure import StepFailure
from ops.local.processes import Child
from ops.local.state import (
    describe_running,
    read_running,
    read_start_ticks,
    write_exports,
    write_running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with Child("sleeper", command, log_file=tmp_path / "log", environment={}) as started:
        yield started


def test_what_was_noted_is_ended_and_its_folders_removed(child: Child, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    write_running(tmp_path / "state.json", describe_running([child], folders=[folder]))
    left = read_running(tmp_path / "state.json")
    assert left is not None
    assert left.is_running()
    left.stop()
    assert not left.is_running()
    assert read_start_ticks(child.pid) is None
    assert not folder.exists()
    left.stop()  # a second time is fine


def test_a_number_given_to_another_process_is_left_alone(child: Child) -> None:
    left = describe_running([child], folders=[])
    former = dataclasses.replace(left.processes[0], start_ticks=left.processes[0].start_ticks - 1)
    stale = dataclasses.replace(left, processes=(former,))
    assert not stale.is_running()
    stale.stop()
    assert child.is_running


def test_nothing_noted_is_nothing_running(tmp_path: Path) -> None:
    assert read_running(tmp_path / "state.json") is None


def test_a_damaged_note_is_said_and_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(StepFailure, match="is damaged"):
        read_running(tmp_path / "state.json")


def test_exports_survive_a_shell_and_are_private(tmp_path: Path) -> None:
    values = {"ZAPTIK_A": 'it\'s $HOME `x` "y"', "ZAPTIK_B": "postgresql://u:p@127.0.0.1:1/d?a=b&c=d"}
    file = tmp_path / "env"
    write_exports(file, values)
    assert file.stat().st_mode & 0o777 == 0o600
    script = f'. {file} && printf "%s\\n" "$ZAPTIK_A" "$ZAPTIK_B"'
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert shown.stdout.splitlines() == list(values.values())
