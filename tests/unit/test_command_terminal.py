"""What moves on a terminal: phase, time that is left, table of the fleet; and that it obeys nobody's text."""

from __future__ import annotations

import io
import signal
from typing import Any

import pytest
from rich.console import Console, Group
from rich.progress import Progress, TextColumn

from worker.command.terminal import Bar, draw_fleet, guess_left, name_phase, watch


def make_run(state: str = "running", *, judged: int = 0, begun: int = 0, **fields: Any) -> dict[str, Any]:
    verdicts = ["complete"] * judged + ["unknown"] * begun
    run = {"tenant": "acme", "state": state, "error": None, "requests": 0, "records": 0, "seconds": None}
    return {**run, "tables": [{"verdict": verdict} for verdict in verdicts], **fields}


def make_tenant(
    name: str, *, trouble: str = "", cadences: float = 0.5, state: str = "active"
) -> dict[str, Any]:
    return {"tenant": name, "state": state, "revision": 1, "as_of": "2026-11-30T06:00:00Z", "trouble": trouble,
            "cadences": cadences}  # fmt: skip


def render(
    rows: list[dict[str, Any]],
    *,
    height: int = 30,
    width: int = 120,
    summary: tuple[str, ...] = ("queue: 0",),
) -> str:
    text = io.StringIO()
    console = Console(
        file=text, markup=False, highlight=False, emoji=False, width=width, height=height, force_terminal=True,
        color_system=None,
    )  # fmt: skip
    console.print(draw_fleet(rows, list(summary), console=console))
    return text.getvalue()


@pytest.mark.parametrize(
    ("run", "phase"),
    [
        (make_run("requested"), "waiting for a worker"),
        (make_run("requested", error={"message": "…"}), "to be tried again"),
        (make_run(), "reading, 0 of 3 tables"),
        (make_run(judged=2, begun=1), "reading, 2 of 3 tables"),
        (make_run(judged=3), "publishing"),
        (make_run("published", judged=3), "published"),
    ],
)
def test_a_run_waits_reads_and_publishes(run: dict[str, Any], phase: str) -> None:
    assert name_phase(run, tables=3) == phase


@pytest.mark.parametrize(
    ("done", "expected", "left"),
    [(10, 40, 6.0), (40, 40, None), (41, 40, None), (0, 40, None), (10, None, None)],
)
def test_the_time_that_is_left_is_guessed_from_the_run_before(
    done: int, expected: int | None, left: float | None
) -> None:
    assert guess_left(done, expected, 2.0) == left


def test_who_is_in_trouble_comes_first_and_then_the_stalest() -> None:
    fleet = [make_tenant("fresh"), make_tenant("stale", cadences=3), make_tenant("sick", trouble="paused: x")]
    shown = render(fleet)
    assert shown.index("sick") < shown.index("stale") < shown.index("fresh")
    assert "queue: 0" in shown


def test_a_fleet_that_does_not_fit_is_cut_and_says_by_how_much() -> None:
    shown = render([make_tenant(f"t-{number:03}", cadences=number / 100) for number in range(60)], height=20)
    assert shown.count("t-0") == 20 - 3 - 2
    assert f"and {60 - 15} more" in shown
    assert len(shown.splitlines()) == 20


TROUBLE = (
    "breaker open: instance_asleep: it answered with a page for people, so open it in a browser and wake it"
)


def test_what_is_the_matter_is_told_whole_where_it_fits() -> None:
    shown = render([make_tenant("acme", trouble=TROUBLE)], width=80)
    assert "".join(TROUBLE.split()) in "".join(line[54:] for line in shown.splitlines()).replace(" ", "")


@pytest.mark.parametrize(("width", "height"), [(80, 10), (40, 12), (40, 8), (24, 10)])
def test_on_a_small_terminal_tenants_and_what_is_below_them_stay_in_sight(width: int, height: int) -> None:
    fleet = [make_tenant(name, trouble=TROUBLE) for name in ("acme-one", "acme-two")]
    shown = render(fleet, width=width, height=height)
    for word in ("acme-one", "acme-two", "queue: 0", "Ctrl-C"):
        assert word in shown
    assert len(shown.splitlines()) <= height
    assert max(map(len, shown.splitlines())) <= width


def test_sigterm_leaves_the_terminal_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what is captured for a terminal
    monkeypatch.setenv("TERM", "xterm")

    def draw(_: Console) -> Group:
        signal.raise_signal(signal.SIGTERM)
        return Group()

    with pytest.raises(SystemExit) as ended:
        watch(draw, every_seconds=60)
    assert ended.value.code == 128 + signal.SIGTERM
    written = capsys.readouterr().out
    assert written.index("\x1b[?1049h") < written.index("\x1b[?1049l")
    assert written.index("\x1b[?25l") < written.index("\x1b[?25h")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_text_from_an_instance_is_not_obeyed() -> None:
    shown = render([make_tenant("acme", trouble="[bold]x[/bold] :smile: \x1b]0;title\x07 \u202e")])
    assert "[bold]x[/bold] :smile:" in shown
    assert "\x1b]0" not in shown
    assert "\u202e" not in shown


def test_a_bar_says_once_why_a_run_is_tried_again() -> None:
    text = io.StringIO()
    console = Console(file=text, markup=False, highlight=False, emoji=False, width=120)
    with Progress(TextColumn("{task.fields[phase]}"), console=console) as progress:
        bar = Bar(progress, "acme")
        bar.expect(make_run("published", requests=40))
        for _ in range(3):
            bar.show(make_run("requested", error={"message": "asleep [red]"}, requests=10, seconds=2.0))
    assert text.getvalue().count("acme: to be tried again: asleep [red]") == 1
