"""The alerts on what must go: Prometheus takes them, they fire when they should, and each leads to its runbook."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.house.sources import ROOT
from worker.telemetry import FleetFigures, Metrics

FOLDER = ROOT / "ops" / "prometheus"
RULES = (FOLDER / "leaving_rules.yaml").read_text("utf-8")
CALL_SECONDS = 60


@pytest.mark.parametrize(
    "words", [["check", "rules", "leaving_rules.yaml"], ["test", "rules", "leaving_rules_test.yaml"]]
)
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(words: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: install Debian's package prometheus")
    ended = subprocess.run(  # noqa: S603  our own files
        [promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=CALL_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_alert_is_of_a_metric_that_there_is_and_its_runbook_names_it() -> None:
    metrics = Metrics(version="0", process="scheduler")
    metrics.set_fleet(FleetFigures({}, {}, (), 0.0, {}, {}, 0))
    shown = {family.name for family in metrics.registry.collect()}
    asked = set(re.findall(r"zaptik_\w+", RULES))
    assert asked
    assert asked - shown == set()
    alerts = re.findall(r"(?s)- alert: (\w+).*?runbook: (docs/runbooks/[\w-]+\.md)", RULES)
    assert len(alerts) == RULES.count("- alert:")
    assert [name for name, runbook in alerts if name not in (ROOT / runbook).read_text("utf-8")] == []
