"""The vocabulary of the audit trail: whatever SQL writes is an event of the one dictionary, with its fields."""

from __future__ import annotations

import re

from jobs.events import KINDS
from tests.house.sources import ROOT

SNAPSHOT = (ROOT / "schema" / "control" / "snapshot.sql").read_text("utf-8")
FUNCTIONS = re.findall(r"(?s)CREATE FUNCTION control\.(\w+)\(.*?AS \$\$(.*?)\$\$;", SNAPSHOT)


def find_actions(body: str) -> set[str]:
    """Give what looks like an event's name and is no object's or setting's."""
    return set(re.findall(r"'((?!control\.|zaptik\.)[a-z_]+\.[a-z_]+)'", body))


def test_every_action_that_sql_writes_is_audited() -> None:
    named = {(function, action) for function, body in FUNCTIONS for action in find_actions(body)}
    assert len(named) > 15
    assert {(by, action) for by, action in named if action not in KINDS} == set()
    assert {(by, action) for by, action in named if not KINDS[action].audited} == set()


def test_every_field_that_sql_writes_is_documented() -> None:
    """Each function writes details of its own actions: a field must be one of theirs."""
    for function, body in FUNCTIONS:
        if "INSERT INTO control.audit_events" not in body:
            continue
        documented = {name for action in find_actions(body) for name in KINDS[action].fields}
        details = re.findall(
            r"jsonb_build_object\(((?:[^()]|\([^()]*\))*)\)", body.partition("audit_events")[2]
        )
        written = {name for detail in details for name in re.findall(r"'(\w+)',", f"{detail},")}
        values = {"mode", "reason", "message", "retry", "audience"}  # of a run's error, which is no detail
        assert written - documented - values <= {"cadence", "request"}, function


def test_every_audited_event_is_written_by_somebody() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py"))
    constants = (ROOT / "jobs" / "events.py").read_text("utf-8")
    by_name = {
        name: constant for constant, name in re.findall(r'(?m)^([A-Z_]+) = _kind\(\s*"([\w.]+)"', constants)
    }
    in_sql = {action for _, body in FUNCTIONS for action in find_actions(body)}
    silent = [
        kind.name
        for kind in KINDS.values()
        if kind.audited and kind.name not in in_sql and not re.search(rf"\b{by_name[kind.name]}\b", sources)
    ]
    assert silent == []
