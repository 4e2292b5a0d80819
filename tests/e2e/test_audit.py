"""The audit trail of the whole product: what happened is in it, in documented words, and it is sealed as it grows."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.events import KINDS, REQUEST_ANSWERED
from ops.local.processes import wait_until
from tests.e2e.conftest import Deployed

MOST = "10000"
pytestmark = pytest.mark.timeout(240)


def read_tail(deployed: Deployed, *options: str) -> list[dict[str, Any]]:
    called = deployed.call("audit", "tail", "--json", "--limit", MOST, *options)
    assert called.exit_code == 0, called
    events: list[dict[str, Any]] = called.document["events"]
    return events


def test_every_event_of_every_act_is_in_the_documented_vocabulary(deployed: Deployed) -> None:
    """Of whatever the other tests did to this deployment before."""
    deployed.sync("acme")
    deployed.call("doctor", "acme")
    deployed.export("acme")
    events = read_tail(deployed)
    surplus = {
        (event["action"], name)
        for event in events
        for name in event["detail"]
        if name not in KINDS[event["action"]].fields
    }
    assert surplus == set()
    assert {event["action"] for event in events if not KINDS[event["action"]].audited} == set()
    told = {event["action"] for event in events}
    assert told >= {
        "schema.migrated", "tenant.added", "credential.stored", "credential.opened", "run.requested", "run.claimed",
        "request.answered", "token.fetched", "run.ended", "doctor.ended", "graph.read", "audit.key_used",
    }  # fmt: skip


def test_each_request_says_what_was_asked_and_what_came(deployed: Deployed) -> None:
    run = deployed.sync("acme")
    events = read_tail(deployed, "--run", run["run_id"])
    requests = [event for event in events if event["action"].startswith(("request.", "token."))]
    assert len(requests) == run["requests"]
    for event in events:
        assert event["run"] == run["run_id"]
        assert event["tenant"]
        if event["action"] == REQUEST_ANSWERED.name:
            assert event["detail"].keys() == set(REQUEST_ANSWERED.fields)
            assert event["caller"] is None, "a process did it"
    [ended] = [event["detail"] for event in events if event["action"] == "run.ended"]
    assert ended["requests"] == run["requests"]


def test_a_command_says_who_gave_it(deployed: Deployed) -> None:
    deployed.call("tenant", "pause", "globex-prod")
    [paused] = read_tail(deployed, "--action", "tenant.paused")[-1:]
    deployed.call("tenant", "resume", "globex-prod")
    assert "@" in paused["caller"]


def test_the_scheduler_seals_the_trail_and_tells_each_checkpoint_in_its_log(deployed: Deployed) -> None:
    def read_sealed() -> list[dict[str, Any]]:
        schedulers = [child for child in deployed.stack.children if child.name.startswith("scheduler")]
        lines = [event for scheduler in schedulers for event in scheduler.read_lines()]
        return sorted(
            (event for event in lines if event["event"] == "audit.sealed"), key=lambda event: event["segment"]
        )

    assert wait_until(lambda: len(read_sealed()) > 0, deadline_seconds=70)
    newest = read_sealed()[-1]["digest"]
    called = deployed.call("audit", "verify", "--json", "--checkpoint", newest)
    assert called.exit_code == 0, called
    assert called.document["ok"]
    assert called.document["sealed"] > 0
