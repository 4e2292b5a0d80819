"""Runs as tables for a person to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Run = dict[str, Any]


def print_title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}")


def print_tables(*runs: Run) -> None:
    """Print each table's verdict, rows and requests, run beside run."""
    header = ["table"]
    for run in runs:
        header += [f"revision {run['revision']}", "rows", "requests"]
    names = dict.fromkeys(entry["table"] for run in runs for entry in run["tables"])
    by_name = [{entry["table"]: entry for entry in run["tables"]} for run in runs]
    rows = [[name, *(cell for known in by_name for cell in _cells(known.get(name)))] for name in names]
    rows.append(["all", *(cell for run in runs for cell in ("", run["records"], run["requests"]))])
    print_rows([header, *rows])


def print_changes(*runs: Run) -> None:
    """Print what each run made of the graph, and its time."""
    counts = ("nodes", "edges", "added", "changed", "removed")
    header = ["revision", "mode", *counts, "seconds"]
    rows = [
        [run["revision"], run["mode"], *(run[count] for count in counts), f"{run['seconds']:.1f}"]
        for run in runs
    ]
    print_rows([header, *rows])


def print_rows(rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns, the first row being the header; figures stand to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = [
            text.rjust(width) if text.replace(".", "").isdigit() else text.ljust(width)
            for text, width in zip(row, widths, strict=True)
        ]
        print(f"  {'  '.join(cells).rstrip()}")


def _cells(entry: dict[str, Any] | None) -> tuple[object, ...]:
    return ("-", "-", "-") if entry is None else (entry["verdict"], entry["rows"], entry["requests"])
