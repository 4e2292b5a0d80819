"""What a command prints: a document to standard output, words to standard error.

With `--json` standard output is one JSON document and nothing else; without, it is lines for people. Lines may hold
an instance's own texts: what a terminal would obey is spelled out here, whoever made the line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from jobs.export.inert import spell_text


class Output:
    """Where one command's results go."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, document: Mapping[str, Any]) -> None:
        """Print the command's document, with `--json`."""
        if self.as_json:
            sys.stdout.write(encode_document(document) + "\n")

    def pieces(self, pieces: Iterable[str]) -> None:
        """Print a text as it comes: lines for people, or with `--json` a document that is made piece by piece."""
        sys.stdout.writelines(pieces)

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines for people, without `--json`."""
        if not self.as_json:
            sys.stdout.writelines(f"{spell_text(line)}\n" for line in lines)

    def say(self, message: str) -> None:
        """Tell how it goes, on standard error."""
        sys.stderr.write("\n".join(map(spell_text, message.split("\n"))) + "\n")
        sys.stderr.flush()


def encode_document(document: object) -> str:
    """Give a document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def format_time(moment: datetime | None) -> str | None:
    """Give a time in UTC, to the second."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def align(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Give rows as aligned columns under a header; nothing but the header where there are none."""
    texts = [list(header), *([spell_text(_show(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]


def _show(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
