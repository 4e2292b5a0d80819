"""Prometheus's own tool reads our rules, plays their cases, and parses every query of the dashboards."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ops.alerts import find_rule_files, find_test_files
from ops.dashboards.catalogue import build_dashboards

PROMTOOL_VARIABLE = "ZAPTIK_TEST_PROMTOOL"


@pytest.fixture
def promtool() -> str:
    """Give the path of promtool, or skip; where it is required, its absence is a failure."""
    program = shutil.which("promtool")
    if program is None:
        assert os.environ.get(PROMTOOL_VARIABLE) != "required", (
            f"{PROMTOOL_VARIABLE}=required, and there is no promtool: apt-get install prometheus"
        )
        pytest.skip("no promtool here: apt-get install prometheus")
    return program


def run(*command: str) -> str:
    """Run promtool; give what it says where it finds a fault, else nothing."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  found on the path
    return ended.stdout + ended.stderr if ended.returncode else ""


@pytest.mark.parametrize("path", find_rule_files(), ids=lambda path: path.name)
def test_a_file_of_rules_is_one(promtool: str, path: Path) -> None:
    assert run(promtool, "check", "rules", str(path)) == ""


@pytest.mark.parametrize("path", find_test_files(), ids=lambda path: path.name)
def test_each_alert_fires_when_it_should_and_is_silent_when_not(promtool: str, path: Path) -> None:
    """Some seconds: two of the alerts wait for a day, and promtool evaluates all of it."""
    assert run(promtool, "test", "rules", str(path)) == ""


def test_every_query_of_a_dashboard_is_promql(promtool: str, tmp_path: Path) -> None:
    exprs = {query.expr for board in build_dashboards() for panel in board.panels for query in panel.queries}
    rules = [
        {"record": f"query:{number}", "expr": expr.replace("$__rate_interval", "5m")}
        for number, expr in enumerate(sorted(exprs))
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")
    assert run(promtool, "check", "rules", str(path)) == ""
