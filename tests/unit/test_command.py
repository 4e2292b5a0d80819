"""The command's words, documents and exit codes, without a database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs.errors import WrongArguments
from worker.command import main
from worker.command.arguments import parse_arguments
from worker.command.documents import (
    describe_isolation,
    describe_process,
    describe_run,
    describe_tenant_status,
    exit_code_of,
)
from worker.command.output import Output, align, format_time

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)])
def test_a_cadence_is_written_with_its_unit(text: str, seconds: int) -> None:
    asked = parse_arguments(
        ["tenant", "add", "acme", "--url", "https://acme.service-now.com", "--every", text]
    )
    assert asked.every == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1w", "-1h", "1.5h", "1h30m", " 1h", "59s", "32d", "0h", "\u0663m", "9999999999s"]
)
def test_what_is_no_duration_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(WrongArguments, match="90s, 15m, 1h or 1d"):
        parse_arguments(["tenant", "add", "acme", "--url", "x", f"--every={text}"])


@pytest.mark.parametrize("text", ["0", "-3", "1001", "many", "", "1.0", "\u0663"])
def test_a_number_out_of_its_bounds_is_refused_with_them(text: str) -> None:
    with pytest.raises(WrongArguments, match="from 1 to 1000"):
        parse_arguments(["runs", "acme", f"--limit={text}"])


def test_a_revision_is_a_number_that_the_database_can_hold() -> None:
    assert parse_arguments(["graph", "export", "acme", "--revision", str(2**63 - 1)]).revision == 2**63 - 1
    with pytest.raises(WrongArguments, match="from 1 to"):
        parse_arguments(["graph", "export", "acme", "--revision", str(2**63)])


@pytest.mark.parametrize(
    "words", [[], ["keys"], ["graph"], ["credential"], ["sync"], ["nonsense"], ["status", "more"]]
)
def test_an_incomplete_call_points_to_help(words: list[str]) -> None:
    with pytest.raises(WrongArguments, match="--help"):
        parse_arguments(words)


def test_a_secret_has_no_place_among_the_arguments() -> None:
    given = ["credential", "set", "acme", "--client-id", "x", "--client-secret", "the-word"]
    for words in (given, [*given[:-2], "--client-secret=the-word"], [*given[:-2], "the-word"]):
        with pytest.raises(WrongArguments, match="unrecognized") as raised:
            parse_arguments(words)
        assert "the-word" not in raised.value.message


def test_wrong_usage_is_exit_code_2_and_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == "wrong_arguments"
    assert said.err.startswith("zaptik: ")


def test_the_version_and_the_help_are_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["tenant", "add", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    assert "zaptik" in capsys.readouterr().out


def test_surface_needs_no_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZAPTIK_DATABASE_URL", raising=False)
    assert main(["surface", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"]
    [groups] = [table for table in document["tables"] if table["table"] == "sys_user_group"]
    assert groups.keys() == {"domain", "table", "fields", "filter", "why", "role", "plugin"}
    assert groups["fields"][0] == "sys_id"
    [rules] = [table for table in document["tables"] if table["table"] == "sysrule_assignment"]
    assert rules["flags"] == {"opaque": ["script"]}
    assert "script" not in rules["fields"]
    [rule] = document["discovered"]
    assert (rule["named_in"], rule["field"]) == ("dl_definition", "matcher_table")


def test_surface_shows_the_properties_that_the_deployment_adds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZAPTIK_PROPERTY_NAMES", "x_acme.switch")
    assert main(["surface", "--json"]) == 0
    [properties] = [
        table for table in json.loads(capsys.readouterr().out)["tables"] if table["table"] == "sys_properties"
    ]
    assert "x_acme.switch" in properties["values"]
    assert properties["fields"] == [
        "sys_id", "name", "type", "description", "sys_mod_count", "sys_updated_on", "value",
    ]  # fmt: skip
    assert main(["surface"]) == 0
    assert "x_acme.switch" in capsys.readouterr().out


def test_without_json_nothing_is_a_document_and_with_it_nothing_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for_people, for_machines = Output(as_json=False), Output(as_json=True)
    for output in (for_people, for_machines):
        output.document({"a": 1})
        output.lines(["a line"])
        output.say("a word")
    said = capsys.readouterr()
    assert said.out == 'a line\n{\n "a": 1\n}\n'
    assert said.err == "a word\na word\n"


def test_what_a_terminal_would_obey_is_spelled_out_wherever_it_stands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names, table names and reasons are an instance's own texts, and any command may print one."""
    hostile = "sys_db_object:\x1b]0;owned\x07\x9b2J\u202e"
    output = Output(as_json=False)
    output.lines(align(["node"], [[hostile]]))
    output.lines([f"- {hostile} is denied\rforged"])
    output.say(f"zaptik: {hostile}\nand more")
    said = capsys.readouterr()
    shown = "sys_db_object:\\u001b]0;owned\\u0007\\u009b2J\\u202e"
    assert said.out.splitlines()[1:] == [shown, f"- {shown} is denied\\u000dforged"]
    assert said.err == f"zaptik: {shown}\nand more\n"


def test_columns_are_aligned_and_nothing_is_shown_as_a_dash() -> None:
    assert align(["name", "rows"], [["a", None], ["longer", 3]]) == ["name    rows", "a       -", "longer  3"]
    assert align(["name"], []) == ["name"]


def test_times_are_utc_to_the_second() -> None:
    assert format_time(NOON.astimezone(timezone(timedelta(hours=5)))) == "2026-11-24T12:00:00Z"
    assert format_time(None) is None


def a_row(**changed: Any) -> dict[str, Any]:
    table = {
        "table_name": "sys_user_group", "verdict": "complete", "read": "whole", "as_of": NOON, "rows": 60,
        "known": None, "hidden": 0, "requests": 2, "reason": None,
    }  # fmt: skip
    row = {
        "run_id": uuid4(), "state": "published", "mode": "full", "revision": 1, "requests": 41, "records": 1733,
        "nodes": 1500, "edges": 2600, "added": 4100, "changed": 0, "removed": 0, "error": None, "tables": [table],
        "requested_at": NOON, "started_at": NOON, "ended_at": NOON + timedelta(seconds=3.2), "canaries": None,
        "coverage_changes": [],
    }  # fmt: skip
    return {**row, **changed}


def test_a_run_is_described_as_promised() -> None:
    row = a_row()
    assert describe_run(row, tenant="acme") == {
        "run_id": str(row["run_id"]), "tenant": "acme", "state": "published", "mode": "full", "revision": 1,
        "requests": 41, "records": 1733, "nodes": 1500, "edges": 2600, "added": 4100, "changed": 0, "removed": 0,
        "seconds": 3.2, "requested_at": "2026-11-24T12:00:00Z",
        "tables": [
            {"table": "sys_user_group", "verdict": "complete", "read": "whole", "as_of": "2026-11-24T12:00:00Z",
             "rows": 60, "hidden": 0, "requests": 2, "reason": None}
        ],
        "error": None, "coverage_changes": [], "canaries": None, "warnings": [],
    }  # fmt: skip


def test_what_a_runs_canaries_found_is_told_with_it() -> None:
    found = {"table": "sc_catalog", "unknown_field": "drops_term", "range": "holds", "times": "shifted"}
    run = describe_run(a_row(canaries=found), tenant="acme")
    assert run["canaries"] == found
    [warning] = run["warnings"]
    assert warning.startswith("times_shifted: ")


def test_a_run_that_has_not_begun_has_no_seconds_and_its_tables_no_verdict_yet() -> None:
    unread = {**a_row()["tables"][0], "verdict": None}
    run = describe_run(
        a_row(state="requested", started_at=None, ended_at=None, tables=[unread]), tenant="acme"
    )
    assert run["seconds"] is None
    assert run["tables"][0]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("state", "verdicts", "code"),
    [
        ("published", ["complete", "complete"], 0),
        ("unchanged", ["complete", "absent"], 0),
        ("published", ["complete", "denied"], 3),
        ("unchanged", ["hidden"], 3),
        ("published", ["partial"], 3),
        ("published", ["failed"], 3),
        ("published", ["unknown"], 3),
        ("quarantined", ["complete"], 3),
        ("failed", ["complete"], 1),
        ("failed", [], 1),
        ("cancelled", ["denied"], 1),
    ],
)
def test_the_exit_code_says_how_a_run_ended(state: str, verdicts: list[str], code: int) -> None:
    assert exit_code_of({"state": state, "tables": [{"verdict": verdict} for verdict in verdicts]}) == code


def test_a_tenants_status_and_a_process_are_described_as_promised() -> None:
    row = {
        "tenant": "acme", "tenant_id": UUID(int=1), "state": "paused", "state_reason": "by a person",
        "published_at": None, "as_of": NOON, "revision": None, "staleness_seconds": 1.26, "last_error": None,
        "last_state": "quarantined", "breaker": "half_open",
    }  # fmt: skip
    assert describe_tenant_status(row) == {
        "tenant": "acme", "tenant_id": str(UUID(int=1)), "state": "paused", "reason": "by a person",
        "last_published": None, "as_of": "2026-11-24T12:00:00Z", "revision": None,
        "staleness_seconds": 1.3, "last_state": "quarantined", "breaker": "half_open", "last_error": None,
        "due_at": None,
    }  # fmt: skip
    process = {
        "process_id": uuid4(), "kind": "worker", "host": "h", "pid": 7, "version": "0", "threads": 2,
        "started_at": NOON, "seen_at": NOON,
    }  # fmt: skip
    assert describe_process(process)["seen_at"] == "2026-11-24T12:00:00Z"
    assert describe_isolation(NOON, None) == {"checked_at": "2026-11-24T12:00:00Z", "reached_at": None}
