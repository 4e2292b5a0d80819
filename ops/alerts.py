"""The rules for Prometheus in `ops/prometheus/`, read: alerts, recorded series, and the cases that show them.

Every file there that ends in `rules.yaml` is one of rules, and has a `…rules_test.yaml` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ops.markdown import build_table

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "ops" / "prometheus"

PAGE = """\
# Alerts

What the rules in `ops/prometheus/` tell, and where to read on. A page wakes somebody, a ticket waits for working
hours. [Watch it](../how-to/watch.md) says how to load them.
"""
_SERIES = re.compile(r"\bzaptik[_:][a-z0-9_:]*[a-z0-9]\b")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as its file has it; `runbook` is a path from the top of the checkout."""

    name: str
    file: str
    expr: str
    severity: str
    wait: str
    summary: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Case:
    """One question of a test: whether an alert fires at a time; `file` holds it."""

    alert: str
    file: str
    fires: bool


def find_rule_files() -> list[Path]:
    """Find the files of rules."""
    return sorted(FOLDER.glob("*rules.yaml"))


def find_test_files() -> list[Path]:
    """Find the files that show them firing and silent."""
    return sorted(FOLDER.glob("*_test.yaml"))


@cache
def read_alerts() -> tuple[Alert, ...]:
    """Read every alert, in the order of the files."""
    return tuple(
        Alert(
            name=rule["alert"],
            file=path.name,
            expr=rule["expr"],
            severity=rule.get("labels", {}).get("severity", ""),
            wait=rule.get("for", ""),
            summary=rule.get("annotations", {}).get("summary", ""),
            runbook=rule.get("annotations", {}).get("runbook", ""),
        )
        for path, rule in _read_rules()
        if "alert" in rule
    )


@cache
def read_recorded() -> Mapping[str, str]:
    """Read what the rules record: the expression of each series by its name."""
    return {rule["record"]: rule["expr"] for _, rule in _read_rules() if "record" in rule}


@cache
def read_cases() -> tuple[Case, ...]:
    """Read every question of the tests."""
    return tuple(
        Case(alert=asked["alertname"], file=path.name, fires=bool(asked["exp_alerts"]))
        for path in find_test_files()
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for asked in test.get("alert_rule_test", ())
    )


def name_series(expr: str) -> set[str]:
    """Name the series of ours that an expression reads; for one that is recorded, those behind it."""
    recorded = read_recorded()
    named = set(_SERIES.findall(expr))
    behind = {series for name in named & recorded.keys() for series in name_series(recorded[name])}
    return (named - recorded.keys()) | behind


def build_alerts() -> list[str]:
    """Build the reference page of the alerts."""
    rows = [
        (f"`{alert.name}`", alert.severity, alert.wait, _name_value(alert.summary), _link(alert.runbook))
        for alert in sorted(read_alerts(), key=lambda alert: (alert.severity, alert.name))
    ]
    return [PAGE, *build_table(("alert", "severity", "after", "summary", "runbook"), rows)]


def _name_value(summary: str) -> str:
    return re.sub(r"\{\{.*?\}\}", "*N*", summary)


def _link(runbook: str) -> str:
    title = (ROOT / runbook).read_text("utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{title}](../{runbook.removeprefix('docs/')})"


def _read_rules() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in find_rule_files():
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                yield path, rule
