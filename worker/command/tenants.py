"""`tenant` and `credential`: customers' instances and the OAuth clients that read them."""

from __future__ import annotations

import argparse
import getpass
import sys

from jobs.errors import SecretMissing, WrongArguments
from jobs.events import CREDENTIAL_STORED, TENANT_PAUSED, TENANT_RESUMED, Event
from jobs.names import check_tenant_name
from worker.command.database import ask_as_administrator, ask_as_app
from worker.command.output import Output, align
from worker.postgres import reading, tenants
from worker.postgres.connection import Connection, in_tenant_rows
from worker.postgres.tenants import StoredCredentials, Tenant
from worker.servicenow import check_instance_url
from worker.settings import Settings
from worker.vault import ClientCredentials, Keyring, read_keyring, seal_credentials

_LONGEST_SECRET = 4096


def add(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Provision a tenant: its role, its schema, its row."""
    name = check_tenant_name(asked.name)
    url = check_instance_url(asked.url, allowed_hosts=settings.instance_hosts)
    tenant = ask_as_administrator(
        settings,
        lambda connection: tenants.add_tenant(connection, name, url=url, every_seconds=asked.every),
    )
    output.document(_describe(tenant))
    output.lines([f"{tenant.name} is there, schema {tenant.schema_name}, state {tenant.state}"])
    _say_next(tenant, output)
    return 0


def list_all(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List every tenant."""
    fleet = ask_as_app(settings, reading.read_fleet)
    names = ("tenant", "url", "state", "every_seconds", "schema", "tenant_id")
    rows = [{**row, "schema": row["schema_name"], "tenant_id": str(row["tenant_id"])} for row in fleet]
    output.document({"tenants": [{name: row[name] for name in names} for row in rows]})
    output.lines(align(names, ([row[name] for name in names] for row in rows)))
    return 0


def pause(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Hold a tenant until it is resumed; a live run ends its slice and waits."""
    return _change(asked.name, settings, output, state="paused")


def resume(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let a tenant run again, at once."""
    return _change(asked.name, settings, output, state="active")


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


def _change(name: str, settings: Settings, output: Output, *, state: str) -> int:
    async def change(connection: Connection) -> Tenant:
        tenant = await tenants.find_tenant(connection, name)
        kind = TENANT_RESUMED if state == "active" else TENANT_PAUSED
        reason = None if state == "active" else "by a person"
        has_credentials = await tenants.read_credentials(connection, tenant.tenant_id) is not None
        to = "awaiting_credentials" if state == "active" and not has_credentials else state
        async with in_tenant_rows(connection, tenant.tenant_id):
            await tenants.change_state(connection, tenant.tenant_id, to, reason=reason)
            event = Event(kind, {"reason": "person"}, tenant=str(tenant.tenant_id))
            await tenants.insert_events(connection, [event])
        return await tenants.find_tenant(connection, name)

    tenant = ask_as_app(settings, change)
    output.document(_describe(tenant))
    output.lines([f"{name} is {tenant.state}"])
    _say_next(tenant, output)
    return 0


async def _store(
    connection: Connection, name: str, credentials: ClientCredentials, keyring: Keyring
) -> tuple[int, str]:
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


def _say_next(tenant: Tenant, output: Output) -> None:
    if tenant.state == "awaiting_credentials":
        output.say(
            f"zaptik: next, `zaptik credential set {tenant.name} --client-id ID --client-secret-stdin`"
        )


def _describe(tenant: Tenant) -> dict[str, object]:
    return {
        "tenant": tenant.name,
        "url": tenant.url,
        "state": tenant.state,
        "every_seconds": tenant.every_seconds,
        "schema": tenant.schema_name,
        "tenant_id": str(tenant.tenant_id),
    }
