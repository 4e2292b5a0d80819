"""What `make up` gives those who watch it: its logs for people, and a configuration for a Prometheus beside it."""

from __future__ import annotations

import io
import json
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from ops.alerts import find_rule_files
from ops.local.failure import StepFailure
from ops.local.logs import show_logs
from ops.local.watched import build_scraping


def say(event: str, time: str) -> str:
    return json.dumps({"event": event, "level": "info", "time": time, "seconds": 3}) + "\n"


def test_what_the_processes_said_is_told_in_order_whoever_said_it(tmp_path: Path) -> None:
    folder = tmp_path / "logs-1"
    folder.mkdir()
    (folder / "worker-1.log").write_text(say("run.claimed", "2026-11-30T06:00:02Z") + "zaptik: for people\n")
    (folder / "scheduler.log").write_text(say("run.requested", "2026-11-30T06:00:01Z") + '{"event": "cut off')
    out = io.StringIO()
    show_logs(tmp_path, out)
    first, second = out.getvalue().splitlines()
    assert "run.requested" in first
    assert "process=scheduler" in first
    assert "run.claimed" in second
    assert "\x1b" not in out.getvalue()


def test_where_nothing_was_said_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match="make up"):
        show_logs(tmp_path, io.StringIO())


def test_a_prometheus_finds_each_process_and_every_file_of_rules() -> None:
    known = yaml.safe_load(build_scraping({"scheduler": 9190, "worker-1": 9191}))
    [job] = known["scrape_configs"]
    assert {each["labels"]["process_name"]: each["targets"] for each in job["static_configs"]} == {
        "scheduler": ["127.0.0.1:9190"],
        "worker-1": ["127.0.0.1:9191"],
    }
    [pattern] = known["rule_files"]
    assert [path for path in find_rule_files() if not fnmatch(str(path), pattern)] == []
