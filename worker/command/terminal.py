"""What a person at a terminal sees move: a run's progress, and the fleet in a table that is drawn anew.

Only on a terminal; elsewhere lines are printed, once each. Colours go where NO_COLOR is set (https://no-color.org) or
the terminal has none. Names and messages come from instances: they are spelled out, and no markup is read in them.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from jobs.export.inert import show_text, spell_text
from jobs.surface import read_surface
from worker.command.output import Output

_LINES_AROUND: Final = 3  # the header, an empty line, and how many more there are
_COLUMNS: Final = ("tenant", "state", "revision", "read", "cadences", "what is the matter")
_NARROW_COLUMNS: Final = ("tenant", "state", "what is the matter")
_WIDE: Final = 80  # columns of a terminal
_GAP: Final = 2  # columns between two of the table
_LEAST_TOLD: Final = 6
_SIGNALLED: Final = 128  # what a shell adds to a signal's number
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
    bar = Progress(*columns, console=open_console(sys.stderr), transient=True)
    with _ending_by_signal(), bar as progress:
        yield Bar(progress, spell_text(tenant))


def watch(draw: Callable[[Console], Group], *, every_seconds: float) -> None:
    """Draw what `draw` gives on the whole terminal, again and again until Ctrl-C; SIGTERM leaves it as it was too."""
    console = open_console(sys.stdout)
    screen = Live(console=console, screen=True, auto_refresh=False)
    with _ending_by_signal(), screen as live, suppress(KeyboardInterrupt):
        while True:
            live.update(draw(console), refresh=True)
            time.sleep(every_seconds)


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Let SIGTERM unwind, so that cursor and screen are as they were; the exit code is that of the signal."""

    def end(number: int, _: object) -> None:
        sys.exit(_SIGNALLED + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def draw_fleet(rows: list[dict[str, Any]], summary: list[str], *, console: Console) -> Group:
    """Draw tenants, those in trouble first and then the stalest, as many as fit, and lines below.

    Each row has what `status --json` has of a tenant, and `cadences`, its age in them, and `trouble`. A row is one
    line where not everything fits: what is the matter is cut, and on a narrow terminal what else is known is left out.
    """
    ordered = sorted(rows, key=lambda row: (not row["trouble"], -row["cadences"], row["tenant"]))
    below = [Text(spell_text(line)) for line in [*summary, "Ctrl-C ends this"]]
    columns = _COLUMNS if console.width >= _WIDE else _NARROW_COLUMNS
    whole = Group(_draw_tenants(ordered, columns, width=console.width, is_cut=False), Text(""), *below)
    if _count_lines(whole, console) <= console.height:
        return whole
    fitting = max(1, console.height - _count_lines(Group(*below), console) - _LINES_AROUND)
    more = len(rows) - fitting
    said = [Text(f"and {more} more")] if more > 0 else []
    return Group(
        _draw_tenants(ordered[:fitting], columns, width=console.width, is_cut=True), Text(""), *said, *below
    )


def _count_lines(drawn: Group, console: Console) -> int:
    return len(console.render_lines(drawn, pad=False))


def _draw_tenants(rows: list[dict[str, Any]], columns: tuple[str, ...], *, width: int, is_cut: bool) -> Table:
    told = [[spell_text(_tell(row, column)) for column in columns] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    left = width
    for number, column in enumerate(columns[:-1]):
        needed = max(len(text) for text in (column, *(cells[number] for cells in told)))
        table.add_column(column, no_wrap=True, width=needed)
        left -= needed + _GAP
    overflow: Literal["ellipsis", "fold"] = "ellipsis" if is_cut else "fold"
    table.add_column(columns[-1], no_wrap=is_cut, overflow=overflow, width=max(left, _LEAST_TOLD))
    for row, cells in zip(rows, told, strict=True):
        table.add_row(*cells, style=_choose_style(row))
    return table


def _tell(row: Mapping[str, Any], column: str) -> str:
    match column:
        case "read":
            return _or_dash(row["as_of"])
        case "cadences":
            return f"{row['cadences']:.1f}"
        case "what is the matter":
            return show_text(row["trouble"])
        case _:
            return _or_dash(row[column])


def _choose_style(row: Mapping[str, Any]) -> str:
    if row["trouble"]:
        return "red"
    return "yellow" if row["state"] == "active" and row["cadences"] > _STALE else ""


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
