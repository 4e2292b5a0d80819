"""Each thing that can be wrong with a call is told plainly, with what to do next and the promised exit code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.local.processes import build_minimal_environment
from ops.local.stack import ZAPTIK
from tests.e2e.conftest import NOBODY, Called, Deployed, call_zaptik


def check_told(
    called: Called, *, exit_code: int, code: str, words: tuple[str, ...], said: bool = True
) -> None:
    """Check a refusal: its exit code, its document, and (where it is `said`) the words a person reads."""
    assert called.exit_code == exit_code, called
    error = called.document["error"]
    assert error["code"] == code
    for word in words:
        assert word in error["message"]
        assert word in called.stderr or not said
    assert "Traceback" not in called.stderr


@contextmanager
def fresh_tenant(deployed: Deployed, name: str, url: str) -> Iterator[None]:
    added = deployed.call("tenant", "add", name, "--url", url, "--json")
    assert added.exit_code == 0, added
    try:
        yield
    finally:
        deployed.call("tenant", "pause", name)


def set_credential(deployed: Deployed, tenant: str, secret: str) -> None:
    called = deployed.call(
        *("credential", "set", tenant, "--client-id", "acme-client", "--client-secret-stdin", "--no-try"),
        given=secret,
    )
    assert called.exit_code == 0, called


def test_a_wrong_client_secret_fails_the_run_and_pauses_the_tenant(deployed: Deployed) -> None:
    url = deployed.stack.instances["acme"].url
    with fresh_tenant(deployed, "wrong-secret", url):
        set_credential(deployed, "wrong-secret", "not-the-secret\n")
        called = deployed.call("sync", "wrong-secret", "--wait", "--json")
        # The first run may be the scheduler's own, and then the tenant is paused before this request is taken up.
        check_told(called, exit_code=1, code="credentials_rejected", words=("credential set",), said=False)
        assert "not-the-secret" not in called.stdout + called.stderr
        [run] = deployed.call("runs", "wrong-secret", "--json").document["runs"]
        assert run["state"] == "failed"
        assert (run["error"]["retry"], run["error"]["audience"]) == ("never", "tenant")
        again = deployed.call("sync", "wrong-secret", "--json")
        check_told(again, exit_code=1, code="credentials_rejected", words=("paused", "credential set"))


def test_an_unreachable_host_is_tried_again_and_then_told(deployed: Deployed) -> None:
    with fresh_tenant(deployed, "nowhere", f"https://{NOBODY}"):
        set_credential(deployed, "nowhere", "whatever")
        called = deployed.call("sync", "nowhere", "--wait", "--json")
        assert called.exit_code == 1, called
        error = called.document["error"]
        assert (error["code"], error["retry"], error["audience"]) == (
            "instance_unreachable",
            "later",
            "tenant",
        )
        assert NOBODY in error["message"]
        assert "tried again" in called.stderr
        for_people = deployed.call("sync", "nowhere", "--wait").stdout
        assert for_people.startswith("nowhere: failed, ")
        assert "None" not in for_people


def test_a_worker_checks_the_host_again_before_it_reads(deployed: Deployed) -> None:
    elsewhere = "127.0.0.1:2"
    added = deployed.call(
        *("tenant", "add", "moved", "--url", f"https://{elsewhere}"), ZAPTIK_INSTANCE_HOSTS=elsewhere
    )
    assert added.exit_code == 0, added
    set_credential(deployed, "moved", "whatever")
    run = deployed.call("sync", "moved", "--wait", "--json").document
    assert (run["state"], run["error"]["code"]) == ("failed", "host_not_allowed")
    deployed.call("tenant", "pause", "moved")


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("http://acme.service-now.com", "plain_http", ("https://",)),
        ("https://acme.example.com", "host_not_allowed", ("acme.example.com", "ZAPTIK_INSTANCE_HOSTS")),
        ("https://acme.service-now.com.evil.example", "host_not_allowed", ("ZAPTIK_INSTANCE_HOSTS",)),
        ("https://user@acme.service-now.com", "invalid_address", ("https://",)),
    ],
)
def test_an_address_that_must_not_be_reached_is_refused(
    deployed: Deployed, url: str, code: str, words: tuple[str, ...]
) -> None:
    called = deployed.call("tenant", "add", "elsewhere", "--url", url, "--json")
    check_told(called, exit_code=2, code=code, words=words)
    assert "elsewhere" not in deployed.call("tenant", "list").stdout


def test_a_missing_key_is_told_by_every_command_that_needs_it(deployed: Deployed) -> None:
    called = deployed.call(
        *("credential", "set", "acme", "--client-id", "x", "--client-secret-stdin", "--json"),
        given="y",
        ZAPTIK_KEYRING_FILE="/nonexistent/keyring.json",
    )
    check_told(
        called, exit_code=1, code="key_missing", words=("/nonexistent/keyring.json", "zaptik keys generate")
    )
    without = deployed.call("worker", ZAPTIK_KEYRING_FILE="")
    assert without.exit_code == 1
    assert "ZAPTIK_KEYRING_FILE" in without.stderr


def test_a_worker_refuses_a_keyring_that_lacks_a_key_in_use(deployed: Deployed, tmp_path: object) -> None:
    other = f"{tmp_path}/other.json"
    assert deployed.call("keys", "generate", "--into", other, "--json").exit_code == 0
    called = deployed.call("worker", ZAPTIK_KEYRING_FILE=other)
    assert called.exit_code == 1
    assert "which the keyring lacks" in called.stderr


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(deployed: Deployed) -> None:
    called = deployed.call("status", "--json", ZAPTIK_WORKER_THREAD="3")
    check_told(
        called, exit_code=2, code="unknown_setting", words=("ZAPTIK_WORKER_THREAD ", "ZAPTIK_WORKER_THREADS")
    )


def test_a_database_not_migrated_is_told_by_commands_and_processes(deployed: Deployed) -> None:
    bare = deployed.stack.settings()["ZAPTIK_DATABASE_URL"].rpartition("/")[0] + "/postgres"
    called = deployed.call("status", "--json", ZAPTIK_DATABASE_URL=bare)
    check_told(called, exit_code=1, code="not_migrated", words=("zaptik migrate",))
    for process in ("worker", "scheduler"):
        refused = deployed.call(process, ZAPTIK_DATABASE_URL=bare)
        assert refused.exit_code == 1, refused
        assert "zaptik migrate" in refused.stderr


def test_a_database_that_is_away_or_refuses_us_is_told(deployed: Deployed) -> None:
    url = deployed.stack.settings()["ZAPTIK_DATABASE_URL"]
    away = deployed.call(
        "status", "--json", ZAPTIK_DATABASE_URL="postgresql://zaptik_app:secret-word@127.0.0.1:1/zaptik"
    )
    check_told(away, exit_code=1, code="database_away", words=("PostgreSQL is away", "ZAPTIK_DATABASE_URL"))
    assert "secret-word" not in away.stderr
    host = url.rpartition("@")[2]
    wrong = deployed.call(
        "status", "--json", ZAPTIK_DATABASE_URL=f"postgresql://zaptik_app:secret-word@{host}"
    )
    check_told(wrong, exit_code=1, code="database_away", words=("refused the user or the password",))
    assert "secret-word" not in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sync", "nobody"), "unknown_tenant"),
        (("runs", "nobody"), "unknown_tenant"),
        (("graph", "export", "nobody", "-o", "/tmp/never-written"), "unknown_tenant"),  # noqa: S108
        (("graph", "export", "acme", "--revision", "999999", "-o", "/tmp/never-written"), "unknown_revision"),  # noqa: S108
        (("tenant", "add", "Not_A_Name", "--url", "https://x.service-now.com"), "invalid_name"),
        (("tenant", "add", "acme", "--url", "https://other.service-now.com"), "tenant_exists"),
        (("nonsense",), "wrong_arguments"),
        (("tenant",), "wrong_arguments"),
        ((), "wrong_arguments"),
        (("tenant", "add", "x", "--url", "https://x.service-now.com", "--every", "often"), "wrong_arguments"),
    ],
)
def test_a_call_that_must_change_has_exit_code_2(
    deployed: Deployed, arguments: tuple[str, ...], code: str
) -> None:
    called = deployed.call(*arguments, "--json")
    assert called.exit_code == 2, called
    assert called.document["error"]["code"] == code


def test_settings_that_are_not_set_are_named() -> None:
    called = call_zaptik("status", "--json", environment={})
    check_told(called, exit_code=2, code="invalid_setting", words=("ZAPTIK_DATABASE_URL",))
    called = call_zaptik("migrate", "--json", environment={})
    check_told(called, exit_code=2, code="invalid_setting", words=("ZAPTIK_ADMIN_DATABASE_URL",))


def test_an_export_is_its_owners_alone_and_spares_what_is_no_file(deployed: Deployed, tmp_path: Path) -> None:
    deployed.sync("acme", "--full")
    file, pipe, copy = tmp_path / "acme.jsonl", tmp_path / "pipe", tmp_path / "copy"
    assert deployed.call("graph", "export", "acme", "-o", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    with copy.open("wb") as out, subprocess.Popen(["/bin/cat", pipe], stdout=out):  # noqa: S603
        assert deployed.call("graph", "export", "acme", "-o", str(pipe)).exit_code == 0
    assert copy.read_bytes() == file.read_bytes()
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acme.jsonl", "copy", "pipe"]


def test_output_that_cannot_be_written_is_told(deployed: Deployed) -> None:
    environment = build_minimal_environment(**deployed.stack.admin_settings())
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(  # noqa: S603  our own command
            [ZAPTIK, "surface"], stdout=full, stderr=subprocess.PIPE, env=environment, check=False, text=True
        )
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_login_that_may_not_administer_is_told_which(deployed: Deployed) -> None:
    app = deployed.stack.settings()["ZAPTIK_DATABASE_URL"]
    called = deployed.call("migrate", "--json", ZAPTIK_ADMIN_DATABASE_URL=app)
    check_told(
        called, exit_code=1, code="privilege_missing", words=("ZAPTIK_ADMIN_DATABASE_URL", "superuser")
    )


def test_a_paused_tenant_without_credentials_goes_back_to_waiting_for_them(deployed: Deployed) -> None:
    url = deployed.stack.instances["acme"].url
    with fresh_tenant(deployed, "keyless", url):
        assert deployed.call("tenant", "pause", "keyless", "--json").document["state"] == "paused"
        resumed = deployed.call("tenant", "resume", "keyless", "--json")
        assert resumed.document["state"] == "awaiting_credentials"
        assert "credential set keyless" in resumed.stderr


@pytest.mark.parametrize("client_id", ["", "  "])
def test_an_empty_client_id_does_not_replace_what_is_stored(deployed: Deployed, client_id: str) -> None:
    called = deployed.call(
        *("credential", "set", "acme", "--client-id", client_id, "--client-secret-stdin", "--json"), given="x"
    )
    check_told(called, exit_code=2, code="wrong_arguments", words=("--client-id",))
