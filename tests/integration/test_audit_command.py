"""`zaptik audit` as it is called, and its export checked by a script that knows nothing of ours."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.local.postgres import EmbeddedPostgres
from tests.conftest import Deployment, deploy
from tests.integration.audit_case import add_events
from worker.command import main
from worker.postgres.connection import open_connection

SCRIPT = Path(__file__).parents[2] / "ops" / "verify_audit.py"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a call came to."""

    code: int
    document: dict[str, Any]
    said: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A deployment with a key, which has a sealed trail; `call` calls the command."""

    deployment: Deployment
    key: Path
    call: Callable[..., Ended]

    def rows(self, *queries: str) -> list[dict[str, Any]]:
        """Run queries as the superuser; gives the last one's rows."""
        return asyncio.run(self._rows(queries))

    async def _rows(self, queries: tuple[str, ...]) -> list[dict[str, Any]]:
        async with open_connection(self.deployment.admin_url, purpose="test") as admin:
            for query in queries:
                cursor = await admin.execute(query.encode())
            return await cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def own_deployment(own_server: EmbeddedPostgres) -> Deployment:
    return deploy(own_server.admin_url())


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give where the key of all these tests is; the first that needs it makes it."""
    return tmp_path_factory.mktemp("key") / "audit.json"


@pytest.fixture
def kept(
    own_deployment: Deployment,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Kept:
    def call(*words: str, **variables: str) -> Ended:
        given = {
            "ZAPTIK_DATABASE_URL": own_deployment.app_url,
            "ZAPTIK_ADMIN_DATABASE_URL": own_deployment.admin_url,
            "ZAPTIK_AUDIT_KEY_FILE": str(key_file),
            **variables,
        }
        with monkeypatch.context() as patched:
            for name, value in given.items():
                patched.setenv(name, value)
            patched.setattr(sys, "stdin", io.StringIO())
            code = main(["audit", *words, "--json"])
        said = capsys.readouterr()
        return Ended(code, json.loads(said.out), said.err)

    if not key_file.exists():
        assert call("key", "generate", "--into", str(key_file)).code == 0
        asyncio.run(add_events(own_deployment, 1_500))
    assert call("seal").code == 0
    return Kept(own_deployment, key_file, call)


def check_file(trail: Path, keys: Path, *digests: str) -> tuple[int, str]:
    """Run the stand-alone script by a bare Python: without our packages and our folder."""
    words = [sys.executable, "-I", "-S", str(SCRIPT), str(trail), "--public-key", str(keys)]
    words += [word for digest in digests for word in ("--checkpoint", digest)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def exported(kept: Kept, tmp_path: Path) -> tuple[Path, Path]:
    """Give an export and the public keys, as an auditor gets them."""
    trail, keys = tmp_path / "trail.jsonl", tmp_path / "keys.json"
    assert kept.call("export", "-o", str(trail)).code == 0
    keys.write_text(json.dumps(kept.call("key", "show").document))
    return trail, keys


def test_a_trail_is_verified_and_that_is_an_act_of_its_own(kept: Kept) -> None:
    ended = kept.call("verify")
    document = ended.document
    assert (ended.code, document["ok"], document["first_bad"]) == (0, True, None)
    assert document["sealed"] >= 1_500
    assert document["newest"]["segment"] == document["segments"]
    [told] = kept.call("tail", "--action", "audit.verified", "--limit", "1").document["events"]
    assert told["detail"] == {
        "ok": True,
        "events": document["events"],
        "sealed": document["sealed"],
        "first_bad": None,
    }
    assert told["actor"] == "zaptik_app"
    assert "@" in told["caller"]


def test_the_tail_is_the_newest_events_the_newest_last(kept: Kept) -> None:
    events = kept.call("tail", "--limit", "3").document["events"]
    ids = [event["audit_id"] for event in events]
    assert ids == sorted(ids)
    assert len(ids) == 3
    newest = kept.rows("SELECT max(audit_id) AS id FROM control.audit_events")[0]["id"]
    assert ids[-1] == newest
    assert kept.call("tail", "--tenant", "nobody").code == 2


def test_one_byte_that_a_superuser_changed_is_named_by_the_command(kept: Kept) -> None:
    [row] = kept.rows(
        "SELECT max(audit_id) AS id FROM control.audit_events WHERE action = 'request.answered'"
    )
    replica = "SET session_replication_role = replica"
    change = (
        "UPDATE control.audit_events SET detail = jsonb_set(detail, '{rows}', 'ROWS') WHERE audit_id = ID"
    )
    change = change.replace("ID", str(row["id"]))
    kept.rows(replica, change.replace("ROWS", "4713"))
    ended = kept.call("verify")
    kept.rows(replica, change.replace("ROWS", "1500"))
    assert ended.code == 1
    assert not ended.document["ok"]
    assert (ended.document["first_bad"]["what"], ended.document["first_bad"]["audit_id"]) == (
        "altered",
        row["id"],
    )
    assert f"event {row['id']} of segment" in ended.said
    assert kept.call("verify").document["ok"]


def test_a_checkpoint_from_the_log_must_be_in_the_chain(kept: Kept) -> None:
    newest = kept.call("verify").document["newest"]["digest"]
    assert kept.call("verify", "--checkpoint", newest).document["ok"]
    ended = kept.call("verify", "--checkpoint", newest, "--checkpoint", "0" * 64)
    assert (ended.code, ended.document["first_bad"]["what"]) == (1, "truncated")
    assert kept.call("verify", "--checkpoint", "c0ffee").code == 2


def test_public_keys_are_enough_to_verify_and_others_believe_nothing(kept: Kept, tmp_path: Path) -> None:
    public, other = tmp_path / "public.json", tmp_path / "other.json"
    public.write_text(json.dumps(kept.call("key", "show").document))
    assert "private" not in public.read_text()
    assert kept.call("verify", "--public-key", str(public), ZAPTIK_AUDIT_KEY_FILE="").document["ok"]
    assert kept.call("key", "generate", "--into", str(other), ZAPTIK_AUDIT_KEY_FILE="").code == 0
    ended = kept.call("verify", "--public-key", str(other))
    assert (ended.code, ended.document["first_bad"]["what"]) == (1, "unknown_key")


@pytest.mark.parametrize(
    ("words", "variables", "code"),
    [
        (("verify",), {"ZAPTIK_AUDIT_KEY_FILE": ""}, "key_missing"),
        (("seal",), {"ZAPTIK_AUDIT_KEY_FILE": "/nonexistent/audit.json"}, "key_missing"),
        (("seal",), {"ZAPTIK_AUDIT_KEY": '{"private": "x"}', "ZAPTIK_AUDIT_KEY_FILE": ""}, "key_missing"),
        (("seal",), {"ZAPTIK_AUDIT_KEY": "x"}, "invalid_setting"),
        (("verify", "--public-key", "/nonexistent"), {}, "key_missing"),
        (("verify", "--from", "yesterday"), {}, "wrong_arguments"),
        (("export",), {}, "wrong_arguments"),
    ],
)
def test_what_cannot_be_done_says_why(
    words: tuple[str, ...], variables: dict[str, str], code: str, kept: Kept
) -> None:
    assert kept.call(*words, **variables).document["error"]["code"] == code


def test_a_fresh_key_never_overwrites_a_file_and_trusts_those_before(kept: Kept, tmp_path: Path) -> None:
    assert (
        kept.call("key", "generate", "--into", str(kept.key)).document["error"]["code"] == "invalid_setting"
    )
    second = tmp_path / "second.json"
    made = kept.call("key", "generate", "--into", str(second)).document["key_id"]
    first = set(kept.call("key", "show").document["public"])
    assert set(kept.call("key", "show", ZAPTIK_AUDIT_KEY_FILE=str(second)).document["public"]) == first | {
        made
    }
    assert second.stat().st_mode & 0o777 == 0o600


def test_an_export_is_verified_without_the_database(exported: tuple[Path, Path], kept: Kept) -> None:
    trail, keys = exported
    lines = [json.loads(line) for line in trail.read_text("utf-8").splitlines()]
    digests = [line["digest"] for line in lines if line["type"] == "checkpoint"]
    code, said = check_file(trail, keys, digests[-1])
    assert code == 0, said
    assert f"{lines[-1]['events']} events as they were sealed" in said
    assert check_file(trail, keys, "0" * 64)[0] == 1
    other = keys.parent / "other.json"
    kept.call("key", "generate", "--into", str(other), ZAPTIK_AUDIT_KEY_FILE="")
    assert check_file(trail, other) == (1, check_file(trail, other)[1])


def _alter(lines: list[str]) -> list[str]:
    return [line.replace('"rows\\": 17,', '"rows\\": 18,') for line in lines]


def _events(lines: list[str]) -> list[int]:
    return [at for at, line in enumerate(lines) if line.startswith('{"type":"event"')]


def _without(lines: list[str], *places: int) -> list[str]:
    return [line for at, line in enumerate(lines) if at not in places]


def _swap(lines: list[str]) -> list[str]:
    one, other = _events(lines)[7:9]
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _forge_end(lines: list[str]) -> list[str]:
    """Leave out the last checkpoint with its events, and make the end fit."""
    last = max(at for at, line in enumerate(lines) if line.startswith('{"type":"checkpoint"'))
    kept_lines = lines[:last]
    counts = {
        "segments": sum('{"type":"checkpoint"' in line for line in kept_lines),
        "events": len(_events(kept_lines)),
    }
    return [*kept_lines, json.dumps({"type": "end", **counts, "unsealed": 0})]


def _empty_last(lines: list[str]) -> list[str]:
    """Leave the events of the last checkpoint out, as of a month that went, and make the end fit."""
    last = max(at for at, line in enumerate(lines) if line.startswith('{"type":"checkpoint"'))
    checkpoint, end = json.loads(lines[last]), json.loads(lines[-1])
    emptied = {**checkpoint, "entries": None}
    end["events"] -= checkpoint["events"]
    return [*lines[:last], json.dumps(emptied), json.dumps(end)]


CHANGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a byte of an event": (_alter, "was altered"),
    "an event left out": (lambda lines: _without(lines, _events(lines)[7]), "is missing"),
    "an event twice": (lambda lines: [*lines[:20], lines[19], *lines[20:]], "was added"),
    "two events swapped": (_swap, "was altered, or is not in its place"),
    "the first checkpoint left out": (lambda lines: _without(lines, 1, *_events(lines)[:1000]), "is missing"),
    "the end cut off": (lambda lines: lines[:-1], "it was cut"),
    "events of the last month left out": (_empty_last, "are gone, and are not two years old"),
    "no checkpoints at all": (lambda lines: [lines[0], lines[-1]], "end tells of"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_in_an_export_is_named(name: str, exported: tuple[Path, Path]) -> None:
    trail, keys = exported
    change, words = CHANGES[name]
    lines = trail.read_text("utf-8").splitlines()
    changed = change(list(lines))
    assert changed != lines
    trail.write_text("\n".join(changed) + "\n", "utf-8")
    code, said = check_file(trail, keys)
    assert code == 1, said
    assert words in said


def test_an_export_cut_to_an_earlier_checkpoint_is_found_by_one_from_the_log(
    exported: tuple[Path, Path],
) -> None:
    trail, keys = exported
    lines = trail.read_text("utf-8").splitlines()
    newest = [json.loads(line)["digest"] for line in lines if line.startswith('{"type":"checkpoint"')][-1]
    trail.write_text("\n".join(_forge_end(lines)) + "\n", "utf-8")
    assert check_file(trail, keys)[0] == 0
    code, said = check_file(trail, keys, newest)
    assert (code, newest in said) == (1, True)


def test_an_export_of_a_time_has_the_whole_chain_and_the_events_of_that_time(
    kept: Kept, tmp_path: Path
) -> None:
    trail, keys = tmp_path / "trail.jsonl", tmp_path / "keys.json"
    keys.write_text(json.dumps(kept.call("key", "show").document))
    ended = kept.call("export", "--from", "2001-01-01", "--to", "2001-02-01", "-o", str(trail))
    assert (ended.document["events"], ended.document["segments"] > 1) == (0, True)
    code, said = check_file(trail, keys)
    assert (code, "asked was from 2001-01-01T00:00:00Z to 2001-02-01" in said) == (0, True)
    [told] = kept.call("tail", "--action", "audit.exported", "--limit", "1").document["events"]
    assert told["detail"] == {"from": "2001-01-01T00:00:00Z", "to": "2001-02-01T00:00:00Z", "events": 0}


def test_months_whose_time_is_over_are_named_and_no_fault(kept: Kept, tmp_path: Path) -> None:
    keys, trail = tmp_path / "keys.json", tmp_path / "trail.jsonl"
    kept.rows("SET ROLE zaptik_owner", "SELECT control.make_audit_partition('2020-01')")
    at = "'2020-01-31 23:59Z'::timestamptz"
    asyncio.run(add_events(kept.deployment, 3, at=at))
    assert kept.call("seal").code == 0
    [row] = kept.rows("SET ROLE zaptik_owner", "SELECT events FROM control.forget_audit_month(24)")
    assert row["events"] == 3
    ended = kept.call("verify")
    assert (ended.code, ended.document["dropped"]) == (0, ["2020-01"])
    assert kept.call("export", "-o", str(trail)).code == 0
    keys.write_text(json.dumps(kept.call("key", "show").document))
    code, said = check_file(trail, keys)
    assert (code, "gone when their time was over: 2020-01" in said) == (0, True), said


def test_an_event_numbered_below_one_is_named_by_the_command(kept: Kept) -> None:
    check = "CONSTRAINT audit_events_numbered"
    kept.rows(
        f"ALTER TABLE control.audit_events DROP {check}",
        "INSERT INTO control.audit_events (audit_id, action) OVERRIDING SYSTEM VALUE VALUES (-7, 'x')",
    )
    ended = kept.call("verify")
    kept.rows(
        "SET session_replication_role = replica",
        "DELETE FROM control.audit_events WHERE audit_id = -7",
        f"ALTER TABLE control.audit_events ADD {check} CHECK (audit_id > 0) NOT VALID",
    )
    assert (ended.code, ended.document["first_bad"]["what"]) == (1, "unread")
    [unread] = ended.document["unread"]
    assert (unread["events"], unread["lowest"], unread["highest"]) == (1, -7, -7)
    assert f"{unread['table']}: 1 events that no check reads, among them -7 to -7" in ended.said
    assert kept.call("verify").code == 0


def test_behind_a_segment_that_does_not_hold_the_rest_is_checked(kept: Kept) -> None:
    replica, change = (
        "SET session_replication_role = replica",
        "UPDATE control.audit_checkpoint SET signature = ",
    )
    [row] = kept.rows(
        "SELECT encode(signature, 'hex') AS was FROM control.audit_checkpoint WHERE segment = 1"
    )
    kept.rows(replica, change + "decode(repeat('00', 64), 'hex') WHERE segment = 1")
    whole = kept.call("verify")
    behind = kept.call("verify", "--after-segment", "1")
    kept.rows(replica, change + f"decode('{row['was']}', 'hex') WHERE segment = 1")
    assert (whole.code, whole.document["first_bad"]["segment"]) == (1, 1)
    assert (behind.code, behind.document["newest"]["segment"]) == (0, behind.document["segments"] + 1)


def test_what_is_no_export_cannot_be_checked(exported: tuple[Path, Path], tmp_path: Path) -> None:
    trail, keys = exported
    for text in ("", "{}\n", "x", '{"form": "another"}\n'):
        (tmp_path / "none.jsonl").write_text(text)
        assert check_file(tmp_path / "none.jsonl", keys)[0] == 2
    assert check_file(tmp_path / "nobody", keys)[0] == 2
    (tmp_path / "wrong.json").write_text(keys.read_text().replace("a-", "a-0", 1))
    assert check_file(trail, tmp_path / "wrong.json")[0] == 2
