"""`credential set`, as a person calls it: tried before it is stored, by a pipe or by a prompt that shows nothing."""

from __future__ import annotations

import os
import pty
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from ops.local.processes import build_minimal_environment
from ops.local.stack import ROOT, ZAPTIK
from tests.e2e.conftest import NOBODY, Called, Deployed

CLIENT = ("--client-id", "acme-client")


@pytest.fixture
def tenant(deployed: Deployed) -> Iterator[str]:
    """Give a tenant of acme's instance that has no credentials yet."""
    name = f"trying-{secrets.token_hex(3)}"
    added = deployed.call("tenant", "add", name, "--url", deployed.stack.instances["acme"].url)
    assert added.exit_code == 0, added
    yield name
    deployed.call("tenant", "pause", name)


def set_credential(deployed: Deployed, tenant: str, secret: str, *options: str) -> Called:
    arguments = ("credential", "set", tenant, *CLIENT, "--client-secret-stdin", "--json", *options)
    return deployed.call(*arguments, given=secret)


def state_of(deployed: Deployed, tenant: str) -> str:
    rows = deployed.call("tenant", "list", "--json").document["tenants"]
    return next(str(row["state"]) for row in rows if row["tenant"] == tenant)


def test_what_the_instance_refuses_is_not_stored_and_what_it_takes_is(
    deployed: Deployed, tenant: str
) -> None:
    refused = set_credential(deployed, tenant, "not-the-secret")
    assert refused.exit_code == 1
    error = refused.document["error"]
    assert error["code"] == "credentials_rejected"
    for word in ("Nothing was stored", "grant_type.enabled", "call again"):
        assert word in error["message"]
    assert "not-the-secret" not in refused.stdout + refused.stderr
    assert state_of(deployed, tenant) == "awaiting_credentials"

    taken = set_credential(deployed, tenant, deployed.stack.client_secrets["acme"] + "\n")
    assert taken.exit_code == 0, taken
    document = taken.document
    assert (document["version"], document["tried"], document["state"]) == (1, True, "active")


def test_what_was_not_tried_says_so_and_a_refused_run_is_ended_by_the_right_secret(
    deployed: Deployed, tenant: str
) -> None:
    untried = set_credential(deployed, tenant, "not-the-secret", "--no-try")
    assert (untried.exit_code, untried.document["tried"]) == (0, False)
    failed = deployed.call("sync", tenant, "--wait", "--json")
    assert failed.exit_code == 1, failed
    assert state_of(deployed, tenant) == "paused"
    again = set_credential(deployed, tenant, deployed.stack.client_secrets["acme"])
    assert again.document["state"] == "active"


def test_a_tenant_that_a_person_holds_stays_held(deployed: Deployed, tenant: str) -> None:
    deployed.call("tenant", "pause", tenant)
    stored = set_credential(deployed, tenant, deployed.stack.client_secrets["acme"])
    assert (stored.exit_code, stored.document["state"]) == (0, "paused")
    assert f"zaptik tenant resume {tenant}" in stored.stderr


def test_an_instance_that_is_away_leaves_the_choice_to_the_person(deployed: Deployed) -> None:
    deployed.call("tenant", "add", "trying-away", "--url", f"https://{NOBODY}")
    away = set_credential(deployed, "trying-away", "whatever")
    assert (away.exit_code, away.document["error"]["code"]) == (1, "instance_unreachable")
    assert "--no-try" in away.document["error"]["message"]
    assert state_of(deployed, "trying-away") == "awaiting_credentials"


def test_a_prompt_shows_nothing_of_what_is_typed(deployed: Deployed, tenant: str) -> None:
    ours, theirs = pty.openpty()
    environment = build_minimal_environment(**deployed.stack.admin_settings())
    with subprocess.Popen(  # noqa: S603  our own command
        [ZAPTIK, "credential", "set", tenant, *CLIENT],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    ) as called:
        os.close(theirs)
        shown = b""
        while b"client secret:" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, deployed.stack.client_secrets["acme"].encode() + b"\n")
        while chunk := read_terminal(ours):
            shown += chunk
    os.close(ours)
    assert called.returncode == 0, shown
    assert b"tried and stored" in shown
    assert deployed.stack.client_secrets["acme"].encode() not in shown


def read_terminal(descriptor: int) -> bytes:
    """Give what a terminal shows next; nothing once everybody has left it."""
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return b""
