"""The dashboards show what the processes measure, every alert has a panel, and the files are what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ops.alerts import Alert, name_series, read_alerts
from ops.dashboards.__main__ import COMMAND, FOLDER, build_files
from ops.dashboards.catalogue import build_dashboards, find_alerts
from ops.dashboards.panel import Dashboard, Panel
from ops.series import PROCESSES, read_families
from tests.house.sources import ROOT, name_file

BOARDS = build_dashboards()
FAMILIES = {family.name: family for process in PROCESSES for family in read_families(process)}
SERIES = {series for family in FAMILIES.values() for series in family.series}
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))


def read_series(panel: Panel) -> set[str]:
    return {series for query in panel.queries for series in name_series(query.expr)}


def name_board(board: Dashboard) -> str:
    return board.name


def name_alert(alert: Alert) -> str:
    return alert.name


@pytest.mark.parametrize(("name", "text"), build_files().items(), ids=lambda given: given.partition("\n")[0])
def test_a_dashboards_file_is_what_the_code_says(name: str, text: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == text, f"run `{COMMAND}` and commit ops/grafana/{name}"


def test_there_is_no_file_that_the_code_does_not_make() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == build_files().keys()


@pytest.mark.parametrize("board", BOARDS, ids=name_board)
def test_the_panels_of_a_dashboard_lie_side_by_side(board: Dashboard) -> None:
    document = json.loads(build_files()[f"{board.name}.json"])
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("board", BOARDS, ids=name_board)
def test_a_panel_shows_series_that_the_processes_have(board: Dashboard) -> None:
    for panel in board.panels:
        assert read_series(panel) <= SERIES, panel.title
        assert read_series(panel) or any("ALERTS" in query.expr for query in panel.queries), panel.title
    titles = [panel.title for panel in board.panels]
    assert len(titles) == len(set(titles))


def test_whatever_is_measured_is_on_a_dashboard() -> None:
    shown = {series for board in BOARDS for panel in board.panels for series in read_series(panel)}
    assert [name for name, family in FAMILIES.items() if not shown.intersection(family.series)] == []


@pytest.mark.parametrize("alert", read_alerts(), ids=name_alert)
def test_an_alert_has_a_panel_that_shows_what_it_rests_on(alert: Alert) -> None:
    panels = [panel for board in BOARDS for panel in board.panels if alert.name in find_alerts(panel)]
    assert any(read_series(panel) & name_series(alert.expr) for panel in panels)


def test_a_panel_names_no_alert_that_is_not_there() -> None:
    named = {name for board in BOARDS for panel in board.panels for name in find_alerts(panel)}
    assert named == {alert.name for alert in read_alerts()}


@pytest.mark.parametrize("page", RUNBOOKS, ids=name_file)
def test_a_runbook_leads_to_panels_that_are_there(page: Path) -> None:
    there = {(panel.title, board.title.split(": ")[1]) for board in BOARDS for panel in board.panels}
    for titles, board in re.findall(
        r"((?:\*[^*\n]+\*(?:, | and )?)+) on the dashboard \*([^*]+)\*", page.read_text("utf-8")
    ):
        assert {(title, board) for title in re.findall(r"\*([^*]+)\*", titles)} <= there


def test_a_panel_leaves_no_option_of_its_kind_to_a_default() -> None:  # as @grafana/schema has them, 12.1
    wanted = {
        "timeseries": {
            "legend": {"showLegend", "displayMode", "placement", "calcs"},
            "tooltip": {"mode", "sort"},
        },
    }
    for text in build_files().values():
        for panel in json.loads(text)["panels"]:
            for option, keys in wanted.get(panel["type"], {}).items():
                assert panel["options"][option].keys() == keys, panel["title"]
