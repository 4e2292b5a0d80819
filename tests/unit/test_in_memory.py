"""Where the tests' files are: in memory, unless someone says otherwise or there is no room."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests import in_memory

MEMORY = "MemTotal:       24684096 kB\nMemFree:         1000000 kB\nMemAvailable:   22584000 kB\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that could be chosen, on a machine with room, before anybody has said where files belong."""
    monkeypatch.setattr(in_memory, "PLACE", tmp_path)
    monkeypatch.setattr(in_memory, "LEAST_BYTES", 1)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "")  # so that it is put back, whatever is said meanwhile
    monkeypatch.delenv("TMPDIR")
    return tmp_path


def test_files_are_where_there_is_room(place: Path) -> None:
    in_memory.stay_in_memory()
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(place)


def test_whoever_says_where_files_belong_is_obeyed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(place.parent))
    in_memory.stay_in_memory()
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(place.parent)


def test_without_room_they_are_where_they_were(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "LEAST_BYTES", 2**62)
    in_memory.stay_in_memory()
    assert "TMPDIR" not in os.environ
    assert not in_memory.has_room(place / "not there")


def test_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    said = tmp_path / "meminfo"
    assert in_memory.read_free_bytes(said) == 0
    said.write_text(MEMORY)
    assert in_memory.read_free_bytes(said) == 22_584_000 * 1024


@pytest.mark.parametrize(
    ("names", "most", "left"),
    [
        (("memory.max", "memory.current"), "max", float("inf")),
        (("memory.max", "memory.current"), "3000", 2000),
        (("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"), "3000", 2000),
    ],
)
def test_a_groups_bound_counts(tmp_path: Path, names: tuple[str, str], most: str, left: float) -> None:
    assert in_memory.read_left_bytes(tmp_path) == float("inf")
    (tmp_path / "memory").mkdir()
    for name, text in zip(names, (most, "1000"), strict=True):
        (tmp_path / name).write_text(f"{text}\n")
    assert in_memory.read_left_bytes(tmp_path) == left
