"""A deleting process that is killed, in each of its transactions and between them: the next call ends what it began."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from ops.local.certificates import Certificates
from ops.local.postgres import EmbeddedPostgres
from ops.local.stack import ZAPTIK
from ops.local.valkey import EmbeddedValkey
from tests.conftest import deploy
from tests.integration.deletion_case import Leaver, build_leaver
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection, open_connection
from worker.postgres.consumers import grant_consumer
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio
NAMES = iter(f"killed-{number}" for number in range(1, 1000))
LOCK = 4711
GATE = """CREATE OR REPLACE FUNCTION public.{name} RETURNS {kind} LANGUAGE plpgsql SECURITY DEFINER AS $$
          BEGIN PERFORM pg_advisory_xact_lock({lock}); {returns} END $$"""
AT_EVENT = """CREATE TRIGGER gate BEFORE INSERT ON control.audit_events FOR EACH ROW
              WHEN (NEW.action = '{}') EXECUTE FUNCTION public.gate()"""
AT_DELETE = "CREATE TRIGGER gate BEFORE DELETE ON control.{} FOR EACH ROW EXECUTE FUNCTION public.gate()"
GATES = {
    "the request": AT_EVENT.format("offboarding.requested"),
    "its credentials": AT_DELETE.format("credential"),
    "the event that it has begun": AT_EVENT.format("offboarding.begun"),
    "its consumers": AT_EVENT.format("consumer.revoked"),
    "its schema": "CREATE EVENT TRIGGER gate ON sql_drop EXECUTE FUNCTION public.gate_ddl()",
    "its row": AT_DELETE.format("tenant"),
    "the last event, with the certificate on the disk": AT_EVENT.format("tenant.deleted"),
}
COMMITTED = {"the request": "nothing", "its credentials": "asked", "the event that it has begun": "asked"}


@pytest.fixture(scope="module")
def leaver(
    own_server: EmbeddedPostgres, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Leaver]:
    deployment = deploy(own_server.admin_url())
    folder = tmp_path_factory.mktemp("killed")
    with EmbeddedValkey() as valkey:
        yield build_leaver(deployment, valkey, folder, host="127.0.0.1:1", ca_file=certificates.ca_file)


@pytest.fixture
async def owner(leaver: Leaver) -> AsyncIterator[Connection]:
    async with open_connection(leaver.deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def tenant(leaver: Leaver, owner: Connection) -> Tenant:
    """Give a tenant with credentials and a consumer."""
    name = next(NAMES)
    login = name.replace("killed-", "reads_killed_")
    async with open_connection(leaver.deployment.app_url, purpose="test app") as app:
        added = await leaver.add(owner, app, name, "https://somewhere.service-now.com")
    await owner.execute(f"CREATE ROLE {login} LOGIN".encode())
    await grant_consumer(owner, login, tenant=name)
    return added


async def start(leaver: Leaver, *words: str, **changed: str) -> asyncio.subprocess.Process:
    """Start the command as a process of its own."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("ZAPTIK_")}
    return await asyncio.create_subprocess_exec(
        ZAPTIK, *words, env={**inherited, **leaver.variables, **changed},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def wait_for_gate(owner: Connection) -> int:
    """Return when a server process waits at the gate; gives which."""
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    for _ in range(4_000):
        if rows := await read_own(owner, query, LOCK):
            return int(rows[0]["pid"])
        await asyncio.sleep(0.01)
    raise AssertionError("nobody came to the gate")


async def wait_for_end(owner: Connection, pid: int) -> None:
    for _ in range(4_000):
        if not await read_own(owner, "SELECT FROM pg_stat_activity WHERE pid = %s", pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the server went on")


async def count(owner: Connection, tenant: Tenant, table: str) -> int:
    query = f"SELECT count(*) AS rows FROM control.{table} WHERE tenant_id = %s"  # noqa: S608  our own words
    [row] = await read_own(owner, query, tenant.tenant_id)
    return int(row["rows"])


async def end(leaver: Leaver, owner: Connection, tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    """Call again, and see that it is whole."""
    words = ("tenant", "offboard", tenant.name, "--reference", "REQ-1", "--now", "--json")
    ended = await leaver.call(capsys, *words)
    assert ended.exit_code == 0, ended
    gone = json.loads(ended.stdout)["certificate"]["deleted"]["control_rows"]
    assert (gone["credential"], gone["data_key"], gone["tenant"]) == (1, 1, 1)
    for table in ("tenant", "offboarding", "credential", "data_key"):
        assert await count(owner, tenant, table) == 0
    told = await read_own(
        owner,
        "SELECT action FROM control.audit_events WHERE tenant_ref = %s AND action ~ '^(tenant.deleted|offboarding)' "
        "ORDER BY audit_id",
        tenant.tenant_id,
    )
    assert [row["action"] for row in told] == ["offboarding.requested", "offboarding.begun", "tenant.deleted"]
    left = "SELECT nspname FROM pg_namespace WHERE nspname = %s UNION SELECT rolname FROM pg_roles WHERE rolname = %s"
    assert await read_own(owner, left, tenant.schema_name, tenant.schema_name) == []
    listed = [json.loads(line) for line in leaver.tombstones.read_text().splitlines()]
    assert str(tenant.tenant_id) in {line["tenant_id"] for line in listed}


@pytest.mark.parametrize("place", GATES)
async def test_killed_in_any_of_its_transactions_the_next_call_ends_it(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """Each transaction is whole or is not: what the killed one had not committed is there as before."""
    await owner.execute(
        GATE.format(name="gate()", kind="trigger", lock=LOCK, returns="RETURN coalesce(NEW, OLD);").encode()
    )
    await owner.execute(GATE.format(name="gate_ddl()", kind="event_trigger", lock=LOCK, returns="").encode())
    await owner.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    await owner.execute(GATES[place].encode())
    process = await start(leaver, "tenant", "offboard", tenant.name, "--reference", "REQ-1", "--now")
    pid = await wait_for_gate(owner)
    await kill(process)
    await owner.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    await wait_for_end(owner, pid)
    is_event = GATES[place].startswith("CREATE EVENT")
    table = GATES[place].partition(" ON ")[2].partition(" ")[0]
    await owner.execute(b"DROP EVENT TRIGGER gate" if is_event else f"DROP TRIGGER gate ON {table}".encode())
    committed = COMMITTED.get(place, "begun")
    assert await count(owner, tenant, "tenant") == 1
    assert await count(owner, tenant, "offboarding") == (committed != "nothing")
    assert await count(owner, tenant, "credential") == (committed != "begun")
    [schema] = await read_own(owner, "SELECT count(*) AS there FROM {tenant}.schema_version", within=tenant)
    assert schema["there"] > 0
    await end(leaver, owner, tenant, capsys)


async def test_killed_between_two_transactions_the_next_call_ends_it(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it waits for Redis, which does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        words = ("tenant", "offboard", tenant.name, "--reference", "REQ-1", "--now")
        process = await start(leaver, *words, ZAPTIK_REDIS_URL=url)
        connected, _ = await asyncio.to_thread(silent.accept)
        await kill(process)
        connected.close()
    assert [await count(owner, tenant, table) for table in ("tenant", "offboarding", "credential")] == [
        1,
        1,
        0,
    ]
    await end(leaver, owner, tenant, capsys)


async def test_the_list_and_the_trail_hold_after_all_of_that(
    leaver: Leaver, capsys: pytest.CaptureFixture[str]
) -> None:
    again = await leaver.call(capsys, "migrate", "--json")
    assert json.loads(again.stdout)["tombstones"]["deleted"] == []
    async with open_connection(leaver.deployment.app_url, purpose="test app") as app:
        assert (await leaver.seal_and_verify(app)).fault is None
