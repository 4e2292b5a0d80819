"""`zaptik doctor`, as a person calls it: what it prints, and the exit code of each way in which it can end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import NOBODY, Called, Deployed

LINKS, QUEUES = "sc_cat_item_category", "awa_queue"


@pytest.fixture
def fresh(deployed: Deployed) -> Iterator[str]:
    """Give a tenant of the instance of acme, paused so that no run of its own disturbs."""
    url = deployed.stack.instances["acme"].url
    name = f"examined-{secrets.token_hex(3)}"
    for arguments in (("add", name, "--url", url), ("pause", name)):
        called = deployed.call("tenant", *arguments)
        assert called.exit_code == 0, called
    yield name
    deployed.call("tenant", "pause", name)


def store_secret(deployed: Deployed, tenant: str, secret: str) -> None:
    called = deployed.call(
        *("credential", "set", tenant, "--client-id", "acme-client", "--client-secret-stdin", "--no-try"),
        given=secret,
    )
    assert called.exit_code == 0, called
    deployed.call("tenant", "pause", tenant)


def check_credentials_fail(called: Called, code: str) -> None:
    assert called.exit_code == 1, called
    document = called.document
    assert (document["ok"], document["credentials"]["ok"]) == (False, False)
    assert document["credentials"]["error"]["code"] == code
    assert document["credentials"]["error"]["message"] in called.stderr
    assert document["tables"] == []
    assert "Traceback" not in called.stderr


def test_an_instance_that_may_be_read_is_well(deployed: Deployed) -> None:
    called = deployed.call("doctor", "acme", "--json")
    assert called.exit_code == 0, called
    document = called.document
    assert (document["tenant"], document["ok"]) == ("acme", True)
    assert document["credentials"] == {"ok": True, "error": None}
    surface = {table["table"] for table in deployed.call("surface", "--json").document["tables"]}
    assert {table["table"] for table in document["tables"]} > surface
    assert {table["verdict"] for table in document["tables"]} == {"complete"}
    assert {(table["grant"], *table["unblinds"]) for table in document["tables"]} == {(None,)}
    assert any("snc_read_only" in warning for warning in document["warnings"])
    assert "sys_user_group: complete" in called.stderr


def test_what_is_missing_is_told_to_programs_and_to_people(deployed: Deployed) -> None:
    instance = deployed.stack.instances["acme"]
    instance.set_access(LINKS, denied=True)
    instance.set_access(QUEUES, absent=True)
    try:
        called = deployed.call("doctor", "acme", "--json")
        told = deployed.call("doctor", "acme")
    finally:
        instance.set_access(LINKS, denied=False)
        instance.set_access(QUEUES, absent=False)
    assert (called.exit_code, told.exit_code) == (3, 3), called
    tables = {table["table"]: table for table in called.document["tables"]}
    assert (tables[LINKS]["verdict"], tables[LINKS]["unblinds"]) == ("denied", ["IN_CATEGORY"])
    assert tables[LINKS]["grant"] == "catalog_manager"
    assert "com.glide.awa" in tables[QUEUES]["grant"]
    assert f"- the role catalog_manager, or read ACLs for {LINKS}: shows IN_CATEGORY" in told.stdout
    assert f"- {LINKS} is denied: " in told.stdout
    assert f"- {QUEUES} is" not in told.stdout
    assert "account_could_write" in told.stdout


def test_a_tenant_without_credentials_is_told_so(deployed: Deployed, fresh: str) -> None:
    check_credentials_fail(deployed.call("doctor", fresh, "--json"), "credentials_missing")


def test_a_wrong_secret_is_told_and_repeated_nowhere(deployed: Deployed, fresh: str) -> None:
    store_secret(deployed, fresh, "not-the-secret")
    called = deployed.call("doctor", fresh, "--json")
    check_credentials_fail(called, "credentials_rejected")
    assert "not-the-secret" not in called.stdout + called.stderr
    assert "No table was tried." in deployed.call("doctor", fresh).stdout


def test_an_instance_that_is_away_is_told(deployed: Deployed) -> None:
    added = deployed.call("tenant", "add", "examined-away", "--url", f"https://{NOBODY}")
    assert added.exit_code == 0, added
    store_secret(deployed, "examined-away", "whatever")
    check_credentials_fail(deployed.call("doctor", "examined-away", "--json"), "instance_unreachable")


@pytest.mark.parametrize(
    ("name", "changed", "exit_code", "code"),
    [
        ("nobody", {}, 2, "unknown_tenant"),
        ("acme", {"ZAPTIK_KEYRING_FILE": "/nonexistent/keyring.json"}, 1, "key_missing"),
        (
            "acme",
            {"ZAPTIK_DATABASE_URL": "postgresql://zaptik_app:x@127.0.0.1:1/zaptik"},
            1,
            "database_away",
        ),
    ],
)
def test_what_is_no_fault_of_the_instance_is_told_as_by_every_command(
    deployed: Deployed, name: str, changed: dict[str, str], exit_code: int, code: str
) -> None:
    called = deployed.call("doctor", name, "--json", **changed)
    assert called.exit_code == exit_code, called
    assert called.document["error"]["code"] == code
