"""`credential`: the OAuth client that reads a customer's instance."""

from __future__ import annotations

import argparse
import getpass
import sys

from jobs.errors import SecretMissing, WrongArguments
from jobs.events import CREDENTIAL_STORED, Event
from worker.command.database import ask_as_app
from worker.command.output import Output
from worker.postgres import tenants
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.keys import check_workers_hold
from worker.postgres.tenants import StoredCredentials
from worker.settings import Settings
from worker.vault import ClientCredentials, Keyring, check_keys_present, read_keyring, seal_credentials

_LONGEST_SECRET = 4096


def set_credential(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Seal a client id and secret under the tenant's data key, store them, and let the tenant run."""
    if not asked.client_id.strip() or not asked.client_id.isprintable():
        raise WrongArguments(
            "--client-id is empty or no text: copy it from the OAuth client on the instance."
        )
    # The secret first: the keyring is not in memory while somebody types.
    credentials = ClientCredentials(asked.client_id, _read_secret(from_stdin=asked.client_secret_stdin))
    keyring = read_keyring(settings)
    version, key_id = ask_as_app(
        settings, lambda connection: _store(connection, asked.name, credentials, keyring)
    )
    output.document({"tenant": asked.name, "version": version, "key_id": key_id})
    output.lines([f"credentials of {asked.name} stored, version {version}, under {key_id}"])
    return 0


async def _store(
    connection: Connection, name: str, credentials: ClientCredentials, keyring: Keyring
) -> tuple[int, str]:
    check_keys_present(keyring, await tenants.read_key_ids(connection))
    await check_workers_hold(connection, keyring.primary)
    tenant = await tenants.find_tenant(connection, name)
    reference = str(tenant.tenant_id)
    async with in_tenant_rows(connection, tenant.tenant_id):
        sealed = seal_credentials(
            keyring,
            credentials,
            tenant=reference,
            version=await tenants.next_credential_version(connection, tenant.tenant_id),
            wrapped_data_key=await tenants.read_data_key(connection, tenant.tenant_id),
        )
        stored = StoredCredentials(sealed.version, sealed.envelope, sealed.key_id, sealed.wrapped_data_key)
        await tenants.store_credentials(connection, tenant.tenant_id, stored)
        fields = {"version": sealed.version, "key_id": sealed.key_id}
        await tenants.insert_events(connection, [Event(CREDENTIAL_STORED, fields, tenant=reference)])
    return sealed.version, sealed.key_id


def _read_secret(*, from_stdin: bool) -> str:
    """Read the secret where no list of processes and no shell history shows it."""
    if not from_stdin and not sys.stdin.isatty():
        raise SecretMissing(
            "give the secret on standard input with --client-secret-stdin, or call from a terminal."
        )
    secret = sys.stdin.read(_LONGEST_SECRET + 1) if from_stdin else getpass.getpass("client secret: ")
    secret = secret.rstrip("\r\n")
    if not secret or not secret.isprintable() or len(secret) >= _LONGEST_SECRET:
        raise SecretMissing(
            f"the client secret is empty, more than one line, or longer than {_LONGEST_SECRET} characters: give it "
            "alone."
        )
    return secret
