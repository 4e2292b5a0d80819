"""What a person at a terminal sees move: a run's progress, and the fleet in a table that is drawn anew.

Only on a terminal; elsewhere lines are printed, once each. Colours go where NO_COLOR is set (https://no-color.org) or
the terminal has none. Names and messages come from instances: they are spelled out, and no markup is read in them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from jobs.export.inert import show_text, spell_text
from jobs.surface import read_surface
from worker.command.output import Output

_LINES_AROUND: Final = 8  # header, summary and prompt
_LEAST_ROWS: Final = 5
_COLUMNS: Final = ("tenant", "state", "revision", "read", "cadences", "what is the matter")
_STALE: Final = 2.0  # cadences, as the alert has it


def open_console(stream: TextIO) -> Console:
    """Open a console that obeys nothing in what it prints."""
    return Console(file=stream, markup=False, highlight=False, emoji=False)


def guess_left(done: int, expected: int | None, elapsed_seconds: float) -> float | None:
    """Guess the seconds that are left from the requests that are done; None where nothing tells."""
    if not expected or not done or done >= expected:
        return None
    return elapsed_seconds * (expected - done) / done


def name_phase(run: Mapping[str, Any], *, tables: int) -> str:
    """Name what a run is at: it waits, reads, or publishes once all `tables` have a verdict."""
    if run["state"] == "requested":
        return "to be tried again" if run["error"] else "waiting for a worker"
    if run["state"] != "running":
        return str(run["state"])
    judged = sum(table["verdict"] != "unknown" for table in run["tables"])
    return "publishing" if judged >= tables else f"reading, {judged} of {tables} tables"


@dataclass(slots=True)
class Lines:
    """Tells a run's course in lines, one for each change."""

    output: Output
    tenant: str
    told: str = ""

    def say(self, news: str) -> None:
        """Tell a sentence."""
        self.output.say(news)

    def expect(self, _before: Mapping[str, Any] | None) -> None:
        """Guess nothing."""

    def show(self, run: Mapping[str, Any]) -> None:
        """Tell how the run stands, where it stands otherwise than before."""
        news = f"{run['state']}, {run['requests']} requests, {run['records']} records"
        if run["error"] and run["state"] == "requested":
            news += f"; to be tried again: {run['error']['message']}"
        if news != self.told:
            self.output.say(f"{self.tenant}: {news}")
            self.told = news


class Bar:
    """Shows a run's course as a bar, against the requests of the run before."""

    def __init__(self, progress: Progress, tenant: str) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(tenant, total=None, phase="", requests=0, records=0, left="")
        self._expected: int | None = None
        self._tables = len(read_surface().tables)
        self._told = ""

    def say(self, news: str) -> None:
        """Tell a sentence above the bar."""
        self._progress.console.print(Text(spell_text(news)))

    def expect(self, before: Mapping[str, Any] | None) -> None:
        """Measure the bar by the run before."""
        self._expected = before["requests"] if before else None

    def show(self, run: Mapping[str, Any]) -> None:
        """Draw how the run stands."""
        left = guess_left(run["requests"], self._expected, run["seconds"] or 0.0)
        self._progress.update(
            self._task,
            total=max(self._expected, run["requests"]) if self._expected else None,
            completed=run["requests"],
            phase=name_phase(run, tables=self._tables),
            requests=run["requests"],
            records=run["records"],
            left=f"about {left:.0f} s left" if left is not None else "",
        )
        if run["error"] and run["state"] == "requested" and run["error"]["message"] != self._told:
            self._told = run["error"]["message"]
            self.say(f"{run['tenant']}: to be tried again: {self._told}")


@contextmanager
def telling(output: Output, tenant: str) -> Iterator[Lines | Bar]:
    """Give who tells a run's course: a bar where standard error is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines(output, tenant)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn(
            "{task.fields[phase]}, {task.fields[requests]} requests, {task.fields[records]} rows,",
            markup=False,
        ),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=open_console(sys.stderr), transient=True) as progress:
        yield Bar(progress, spell_text(tenant))


def watch(draw: Callable[[int], Group], *, every_seconds: float) -> None:
    """Draw what `draw` gives for so many lines on the whole terminal, again and again until Ctrl-C."""
    console = open_console(sys.stdout)
    with Live(console=console, screen=True, auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while True:
            live.update(draw(console.height), refresh=True)
            time.sleep(every_seconds)


def draw_fleet(rows: list[dict[str, Any]], summary: list[str], *, height: int) -> Group:
    """Draw tenants, those in trouble first and then the stalest, as many as fit, and lines below.

    Each row has what `status --json` has of a tenant, and `cadences`, its age in them, and `trouble`.
    """
    fitting = max(_LEAST_ROWS, height - _LINES_AROUND - len(summary))
    ordered = sorted(rows, key=lambda row: (not row["trouble"], -row["cadences"], row["tenant"]))
    table = Table(*_COLUMNS, box=None, pad_edge=False, expand=True)
    for row in ordered[:fitting]:
        cells = (row["tenant"], row["state"], _or_dash(row["revision"]), _or_dash(row["as_of"]))
        late = f"{row['cadences']:.1f}"
        table.add_row(
            *(spell_text(str(cell)) for cell in cells),
            late,
            show_text(row["trouble"]),
            style=_choose_style(row),
        )
    more = len(rows) - fitting
    below = [*([f"and {more} more"] if more > 0 else []), *summary, "Ctrl-C ends this"]
    return Group(table, Text(""), *(Text(spell_text(line)) for line in below))


def _choose_style(row: Mapping[str, Any]) -> str:
    if row["trouble"]:
        return "red"
    return "yellow" if row["state"] == "active" and row["cadences"] > _STALE else ""


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
