"""Trying a client id and secret: one token is asked for, and nothing else. What comes of it is in the audit trail."""

from __future__ import annotations

from dataclasses import replace

from jobs.errors import Failure, HostNotAllowed, InstanceFailure
from worker.postgres.connection import Connection
from worker.postgres.pace import read_pace
from worker.postgres.tenants import Tenant
from worker.servicenow import TokenStore
from worker.sync.opening import Opened, check_no_pause, open_patiently
from worker.sync.parts import Parts
from worker.sync.record import Record
from worker.vault import ClientCredentials

_NO_VERSION = 0  # they are not stored


async def try_credentials(
    parts: Parts, connection: Connection, tenant: Tenant, credentials: ClientCredentials
) -> None:
    """Ask the tenant's instance for a token; raises what kept it from giving one, as an InstanceFailure mostly."""
    record = Record(parts.emit, connection, tenant.tenant_id)
    pace = await read_pace(connection, tenant.tenant_id)
    try:
        check_no_pause(pace, tenant)
        opened = Opened(credentials, _NO_VERSION)
        # With tokens of its own: one that other credentials gave proves nothing of these.
        apart = replace(parts, tokens=TokenStore())
        async with open_patiently(apart, opened, tenant, pace=pace) as client:
            await client.fetch_scope(emit=record.emit)
    except (InstanceFailure, HostNotAllowed) as raised:
        failure = _describe(raised, tenant)
    else:
        return
    finally:
        await record.write()
    raise failure


def _describe(failure: Failure, tenant: Tenant) -> Failure:
    told = f"{failure.message} Nothing was stored for {tenant.name}: call again when that is mended"
    if failure.retry != "never":
        told += ", or store them untried with --no-try"
    return type(failure)(f"{told}.", after_seconds=failure.after_seconds)
