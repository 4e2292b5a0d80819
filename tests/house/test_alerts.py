"""An alert, the cases that show it, its runbook and the series it rests on are held together."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import worker
from jobs.errors import Failure
from ops.alerts import FOLDER, Alert, find_rule_files, find_test_files, name_series, read_alerts, read_cases
from ops.series import PROCESSES, read_families
from tests.house.commands import read_calls, split_call
from tests.house.sources import ROOT, name_file
from worker.command.arguments import parse_arguments

ALERTS = read_alerts()
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
SECTIONS = ["Meaning", "Impact", "Check", "Act", "Verify", "Escalate"]
CHANGES_NOTHING = {
    "audit tail", "audit verify", "consumer list", "doctor", "graph diff", "graph explain", "graph findings",
    "keys list", "revision list", "runs", "status", "surface", "tenant list",
}  # fmt: skip


def read_sections(page: Path) -> dict[str, str]:
    parts = re.split(r"(?m)^## (.+)$", page.read_text("utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def name_alert(alert: Alert) -> str:
    return alert.name


def test_every_file_of_rules_has_one_that_shows_them() -> None:
    assert [path.name.replace(".yaml", "_test.yaml") for path in find_rule_files()] == [
        path.name for path in find_test_files()
    ]


def test_the_prometheus_of_the_compose_file_loads_every_file_of_rules() -> None:
    known = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    loaded = {path for pattern in known["rule_files"] for path in FOLDER.glob(pattern)}
    assert loaded == set(find_rule_files())


def test_an_alert_has_a_name_of_its_own_that_says_whose_it_is() -> None:
    names = [alert.name for alert in ALERTS]
    assert names
    assert len(names) == len(set(names))
    assert [name for name in names if not name.startswith("Zaptik")] == []


@pytest.mark.parametrize("alert", ALERTS, ids=name_alert)
def test_an_alert_says_how_urgent_it_is_and_what_happened(alert: Alert) -> None:
    assert alert.severity in {"page", "ticket"}
    assert re.fullmatch(r"[A-Z{*\d].{15,}\.", alert.summary), alert.summary


@pytest.mark.parametrize("alert", ALERTS, ids=name_alert)
def test_an_alert_is_shown_firing_and_silent(alert: Alert) -> None:
    test_file = alert.file.replace(".yaml", "_test.yaml")
    shown = {case.fires for case in read_cases() if (case.alert, case.file) == (alert.name, test_file)}
    assert shown == {True, False}


def test_every_case_is_of_an_alert_that_is_there() -> None:
    known = {(alert.name, alert.file.replace(".yaml", "_test.yaml")) for alert in ALERTS}
    assert {(case.alert, case.file) for case in read_cases()} - known == set()


@pytest.mark.parametrize("alert", ALERTS, ids=name_alert)
def test_an_alert_rests_on_series_that_the_processes_show(alert: Alert) -> None:
    shown = {series for process in PROCESSES for family in read_families(process) for series in family.series}
    named = name_series(alert.expr)
    assert named
    assert named - shown == set()


@pytest.mark.parametrize("alert", ALERTS, ids=name_alert)
def test_the_page_of_an_alert_names_it_and_how_urgent_it_is(alert: Alert) -> None:
    page = ROOT / alert.runbook
    assert page in RUNBOOKS, f"{alert.name} has no page {alert.runbook!r}"
    assert f"`{alert.name}` ({alert.severity})" in page.read_text("utf-8")


@pytest.mark.parametrize("page", RUNBOOKS, ids=name_file)
def test_a_runbook_is_some_alerts_and_names_no_other(page: Path) -> None:
    named = set(re.findall(r"`(Zaptik\w+)`", page.read_text("utf-8").split("\n## ")[0]))
    assert named == {alert.name for alert in ALERTS if ROOT / alert.runbook == page}
    assert named


@pytest.mark.parametrize("page", RUNBOOKS, ids=name_file)
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_do(page: Path) -> None:
    sections = read_sections(page)
    assert list(sections) == SECTIONS
    assert [name for name, text in sections.items() if len(text.strip()) < 15] == []


@pytest.mark.parametrize("page", RUNBOOKS, ids=name_file)
def test_looking_changes_nothing(page: Path) -> None:
    sections = read_sections(page)
    calls = [split_call(call) for name in ("Check", "Verify") for call in read_calls(sections[name])]
    changing = [words for words in calls if not {" ".join(words[:1]), " ".join(words[:2])} & CHANGES_NOTHING]
    assert changing == []


@pytest.mark.parametrize("page", [*RUNBOOKS, *sorted((ROOT / "docs" / "how-to").glob("*.md"))], ids=name_file)
def test_every_call_on_a_page_that_says_how_is_one_that_the_command_takes(page: Path) -> None:
    for call in read_calls(page.read_text("utf-8")):
        words = split_call(call)
        if "--version" not in words:
            parse_arguments(words)


def test_the_failures_left_out_of_the_objective_are_those_that_instances_cause() -> None:
    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        importlib.import_module(module.name)  # a failure stands beside the code that raises it
    [left_out] = {
        pattern
        for path in find_rule_files()
        for pattern in re.findall(r'code!~"([^"]+)"', path.read_text("utf-8"))
    }
    for failure in _failures(Failure):
        is_left_out = re.fullmatch(left_out, failure.code) is not None
        assert is_left_out == (failure.audience == "tenant"), failure.code


def _failures(kind: type[Failure]) -> list[type[Failure]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _failures(below))]
