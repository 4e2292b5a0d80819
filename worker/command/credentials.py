"""`credential`: the OAuth client that reads a customer's instance."""

from __future__ import annotations

import argparse
import getpass
import sys
import warnings

from jobs.errors import SecretMissing, WrongArguments
from jobs.events import CREDENTIAL_STORED, TENANT_RESUMED, Event
from worker.command.database import ask_as_app
from worker.command.output import Output
from worker.command.parts import build_parts
from worker.postgres import tenants
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.keys import check_workers_hold
from worker.postgres.tenants import StoredCredentials, Tenant
from worker.settings import Settings
from worker.sync import Parts, check_keys, seal_stored, try_credentials
from worker.vault import ClientCredentials

_LONGEST_SECRET = 4096


def set_credential(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Try a client id and secret, seal them under the tenant's data key, store them, and let the tenant run.

    What the instance refuses is not stored.
    """
    if not asked.client_id.strip() or not asked.client_id.isprintable():
        raise WrongArguments(
            "--client-id is empty or no text: copy it from the OAuth client on the instance."
        )
    # The secret first: the keyring is not in memory while somebody types.
    credentials = ClientCredentials(asked.client_id, _read_secret(from_stdin=asked.client_secret_stdin))
    parts = build_parts(settings, command="credential set")

    async def keep(connection: Connection) -> tuple[StoredCredentials, Tenant]:
        await check_keys(connection, parts.keyring)
        # Sealed under a key that a running worker lacks, the tenant would stand still at once.
        await check_workers_hold(connection, parts.keyring.now().primary)
        tenant = await tenants.find_tenant(connection, asked.name)
        tenants.refuse_leaving(tenant)
        if not asked.no_try:
            output.say(f"zaptik: asking {tenant.url} for a token")
            await try_credentials(parts, connection, tenant, credentials)
        stored = await _store(parts, connection, tenant, credentials)
        return stored, await tenants.find_tenant(connection, asked.name)

    stored, tenant = ask_as_app(settings, keep)
    output.document(
        {
            "tenant": tenant.name,
            "version": stored.version,
            "key_id": stored.key_id,
            "tried": not asked.no_try,
            "state": tenant.state,
        }
    )
    tried = "not tried" if asked.no_try else "tried"
    output.lines(
        [f"credentials of {tenant.name} {tried} and stored, version {stored.version}, under {stored.key_id}"]
    )
    if tenant.state == "paused":
        output.say(
            f"zaptik: {tenant.name} stays paused, {tenant.state_reason}; next, `zaptik tenant resume {tenant.name}`"
        )
    return 0


async def _store(
    parts: Parts, connection: Connection, tenant: Tenant, credentials: ClientCredentials
) -> StoredCredentials:
    reference = str(tenant.tenant_id)
    async with in_tenant_rows(connection, tenant.tenant_id):
        stored = seal_stored(
            parts.keyring,
            credentials,
            tenant_id=tenant.tenant_id,
            version=await tenants.next_credential_version(connection, tenant.tenant_id),
            wrapped_data_key=await tenants.read_data_key(connection, tenant.tenant_id),
        )
        may_run = await tenants.store_credentials(connection, tenant.tenant_id, stored)
        fields = {"version": stored.version, "key_id": stored.key_id}
        events = [Event(CREDENTIAL_STORED, fields, tenant=reference)]
        if may_run and tenant.state == "paused":
            events.append(Event(TENANT_RESUMED, {"reason": "credentials"}, tenant=reference))
        await tenants.insert_events(connection, events)
    return stored


def _read_secret(*, from_stdin: bool) -> str:
    """Read the secret where no list of processes and no shell history shows it."""
    secret = sys.stdin.read(_LONGEST_SECRET + 1) if from_stdin else _ask_for_secret()
    secret = secret.rstrip("\r\n")
    if not secret or not secret.isprintable() or len(secret) >= _LONGEST_SECRET:
        raise SecretMissing(
            f"the client secret is empty, more than one line, or longer than {_LONGEST_SECRET} characters: give it "
            "alone."
        )
    return secret


def _ask_for_secret() -> str:
    """Ask on a terminal that does not show what is typed."""
    missing = "give the secret on standard input with --client-secret-stdin, or call from a terminal."
    if not sys.stdin.isatty():
        raise SecretMissing(missing)
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would go on and show what is typed
        try:
            return getpass.getpass("client secret: ")
        except (getpass.GetPassWarning, EOFError):
            raise SecretMissing(missing) from None
