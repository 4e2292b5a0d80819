"""What is written for people to keep: theirs alone, and whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.errors import FileNotWritten
from worker.command.files import opened


def test_a_file_is_its_owners_alone_whatever_the_umask_or_the_file_before_it(tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    file.write_bytes(b"an earlier export")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        with opened(file) as out:
            out.write(b"a customer's graph")
    finally:
        os.umask(before)
    assert file.read_bytes() == b"a customer's graph"
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_fails_half_way_leaves_the_file_before_it_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    file.write_bytes(b"an earlier export")

    def write_half() -> None:
        with opened(file) as out:
            out.write(b"half of")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("acme.jsonl", b"an earlier export")
    ]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotWritten, match="cannot be written"), opened(tmp_path / "no" / "acme.jsonl"):
        pass
