"""A deleted tenant is gone from the whole database and from Redis, whatever cut the deletion off, and provably so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.local.certificates import Certificates
from ops.local.postgres import EmbeddedPostgres
from ops.local.valkey import EmbeddedValkey
from ops.simulator import Simulator, made_store
from tests.conftest import deploy
from tests.integration.deletion_case import CLIENT_ID, Leaver, build_leaver, find_in_database, find_in_redis
from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection, open_connection
from worker.postgres.consumers import grant_consumer, list_consumers
from worker.postgres.offboarding import read_offboardings, request_offboarding
from worker.postgres.tenants import Tenant

pytestmark = pytest.mark.anyio
Capture = pytest.CaptureFixture[str]
NAMES = iter(f"c4n4ry-{number}-leaves" for number in range(1, 1000))


@pytest.fixture(scope="module")
def instance(certificates: Certificates) -> Iterator[Simulator]:
    files = (certificates.cert_file, certificates.key_file)
    store = made_store(seed=9, groups=20, items=12)
    with Simulator(store, tls=files, client_id=CLIENT_ID, client_secret="slice-secret") as started:
        yield started


@pytest.fixture(scope="module")
def leaver(
    own_server: EmbeddedPostgres,
    instance: Simulator,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Leaver]:
    deployment = deploy(own_server.admin_url())
    host = instance.url.removeprefix("https://")
    with EmbeddedValkey() as valkey:
        yield build_leaver(
            deployment, valkey, tmp_path_factory.mktemp("leaver"), host=host, ca_file=certificates.ca_file
        )


@pytest.fixture
async def owner(leaver: Leaver) -> AsyncIterator[Connection]:
    async with open_connection(leaver.deployment.admin_url, purpose="test admin") as connection:
        yield connection


@pytest.fixture
async def worker(leaver: Leaver) -> AsyncIterator[Connection]:
    async with open_connection(leaver.deployment.app_url, purpose="test app") as connection:
        yield connection


@pytest.fixture
async def tenant(leaver: Leaver, owner: Connection, worker: Connection) -> Tenant:
    """Give a tenant with credentials whose instance was never read."""
    return await leaver.add(owner, worker, next(NAMES), "https://somewhere.service-now.com")


async def read_all(owner: Connection, tenant: Tenant) -> dict[str, int]:
    """Count a tenant's rows, table by table, in every table that knows its reference."""
    counted = {}
    for row in await read_own(
        owner,
        """SELECT c.oid::regclass::text AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           WHERE a.attname = 'tenant_id' AND c.relkind = 'r' AND c.relnamespace = 'control'::regnamespace ORDER BY 1""",
    ):
        [found] = await read_own(
            owner,
            f"SELECT count(*) AS rows FROM {row['name']} WHERE tenant_id = %s",  # noqa: S608  the catalogue's names
            tenant.tenant_id,
        )
        counted[row["name"].removeprefix("control.")] = found["rows"]
    return counted


async def read_event(owner: Connection, tenant: Tenant) -> dict[str, Any]:
    [event] = await read_own(
        owner, "SELECT * FROM control.audit_events WHERE action = 'tenant.deleted' AND tenant_ref = %s",
        tenant.tenant_id,
    )  # fmt: skip
    return event


async def test_nothing_of_a_deleted_tenant_is_found_and_the_audit_still_verifies(
    leaver: Leaver, owner: Connection, worker: Connection, instance: Simulator, capsys: Capture
) -> None:
    name = next(NAMES)
    stays = await leaver.add(owner, worker, "bystander", "https://bystander.service-now.com")
    tenant = await leaver.add(owner, worker, name, instance.url)
    runs = [str((await leaver.sync(worker, tenant))["run_id"]) for _ in range(2)]
    await owner.execute("CREATE ROLE portal LOGIN")
    for one in (tenant, stays):
        await grant_consumer(owner, "portal", tenant=one.name)
    await owner.execute("ANALYZE")  # statistics hold samples of what is there
    sys_ids = [row["sys_id"] for row in instance.instance.store.rows("sys_user_group")[:5]]
    words = [
        name,
        tenant.schema_name.removeprefix("tenant_"),
        instance.url.removeprefix("https://"),
        *sys_ids,
    ]
    before = await find_in_database(leaver.deployment.admin_url, [*words, CLIENT_ID])
    assert set(before) == set(words), "the search sees each of them; the client's id is sealed"
    assert "pg_statistic" in before[name]
    assert set(find_in_redis(leaver.valkey.url(), runs)) == set(runs)

    options = ("--reference", "REQ-1", "--now", "--json")
    ended = await leaver.call(capsys, "tenant", "offboard", name, *options)

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert await find_in_database(leaver.deployment.admin_url, [*words, CLIENT_ID]) == {}
    assert find_in_redis(leaver.valkey.url(), [*runs, *words, CLIENT_ID]) == {}
    assert set((await read_all(owner, tenant)).values()) == {0}
    roles = await read_own(
        owner, "SELECT rolname FROM pg_roles WHERE rolname ~ '_c4n4ry_|^portal$' ORDER BY 1"
    )
    others = [role for role in (row["rolname"] for row in roles) if tenant.schema_name[7:] in role]
    assert others == []
    consumers = [one for one in await list_consumers(owner) if one.login == "portal"]
    assert [one.tenant for one in consumers] == ["bystander"]

    verified = await leaver.seal_and_verify(worker)
    assert (verified.fault, verified.events) == (None, verified.sealed)
    told = "SELECT count(*) AS events FROM control.audit_events WHERE tenant_ref = %s"
    [kept] = await read_own(owner, told, tenant.tenant_id)
    assert kept["events"] > 50, "what was done for it stays told"

    address = ("--url", "https://elsewhere.service-now.com")
    again = await leaver.call(capsys, "tenant", "add", name, *address, "--json")
    assert json.loads(again.stdout)["tenant_id"] != str(tenant.tenant_id), (
        "a tenant of the name is another one"
    )


async def test_the_certificate_counts_what_went_and_is_signed(
    leaver: Leaver, owner: Connection, worker: Connection, instance: Simulator, capsys: Capture
) -> None:
    name = next(NAMES)
    tenant = await leaver.add(owner, worker, name, instance.url)
    await leaver.sync(worker, tenant)
    [nodes] = await read_own(owner, "SELECT count(*) AS rows FROM {tenant}.node", within=tenant)
    counted = await read_all(owner, tenant)
    assert (counted["run"], counted["credential"], counted["data_key"]) == (1, 1, 1)
    file = leaver.folder / "certificate.json"
    options = ("--reference", "REQ-1", "--now", "--certificate", str(file), "--json")
    ended = await leaver.call(capsys, "tenant", "offboard", name, *options)
    certificate = json.loads(file.read_text())
    assert json.loads(ended.stdout)["certificate"] == certificate
    assert file.stat().st_mode & 0o077 == 0
    assert (certificate["tenant"], certificate["reference"]) == (name, "REQ-1")
    gone = certificate["deleted"]
    assert gone["graph_rows"]["node"] == nodes["rows"] > 0
    assert {table: gone["control_rows"][table] for table in counted} == {**counted, "offboarding": 1}
    assert (gone["redis_messages"], gone["consumers"]) == (1, 0)
    detail = (await read_event(owner, tenant))["detail"]
    assert detail["deleted"] == {**gone["graph_rows"], **gone["control_rows"]}
    assert (detail["reason"], detail["reference"]) == ("request", "REQ-1")

    words = ("tenant", "certificate", "verify", str(file))
    checked = await leaver.call(capsys, *words, "--json", ZAPTIK_DATABASE_URL="")
    assert (checked.exit_code, json.loads(checked.stdout)["digest"]) == (0, detail["certificate"])
    file.write_text(file.read_text().replace('"node": ', '"node": 1'))
    changed = await leaver.call(capsys, *words)
    assert (changed.exit_code, "somebody changed it" in changed.stderr) == (1, True)


REFUSALS = {
    "its credentials": "CREATE TRIGGER cut BEFORE DELETE ON control.credential EXECUTE FUNCTION public.cut_off()",
    "its data key": "CREATE TRIGGER cut BEFORE DELETE ON control.data_key EXECUTE FUNCTION public.cut_off()",
    "its consumers": """CREATE TRIGGER cut BEFORE INSERT ON control.audit_events FOR EACH ROW
                        WHEN (NEW.action = 'consumer.revoked') EXECUTE FUNCTION public.cut_off()""",
    "its schema": "CREATE EVENT TRIGGER cut ON sql_drop EXECUTE FUNCTION public.cut_off_ddl()",
    "its runs": "CREATE TRIGGER cut BEFORE DELETE ON control.run EXECUTE FUNCTION public.cut_off()",
    "its row": "CREATE TRIGGER cut BEFORE DELETE ON control.tenant EXECUTE FUNCTION public.cut_off()",
    "the last event": """CREATE TRIGGER cut BEFORE INSERT ON control.audit_events FOR EACH ROW
                         WHEN (NEW.action = 'tenant.deleted') EXECUTE FUNCTION public.cut_off()""",
}
CUT_OFF = """CREATE OR REPLACE FUNCTION public.{} RETURNS {} LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'cut off'; END $$"""


@pytest.mark.parametrize("place", REFUSALS)
async def test_cut_off_anywhere_it_goes_on_with_the_next_call(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: Capture, place: str
) -> None:
    await owner.execute(CUT_OFF.format("cut_off()", "trigger").encode())
    await owner.execute(CUT_OFF.format("cut_off_ddl()", "event_trigger").encode())
    login = f"portal_{tenant.name.split('-')[1]}"
    await owner.execute(f"CREATE ROLE {login} LOGIN".encode())
    await grant_consumer(owner, login, tenant=tenant.name)
    await owner.execute(REFUSALS[place].encode())
    words = ("tenant", "offboard", tenant.name, "--now")
    try:
        cut = await leaver.call(capsys, *words, "--reference", "REQ-2", "--json")
    finally:
        is_event = REFUSALS[place].startswith("CREATE EVENT")
        table = REFUSALS[place].partition(" ON ")[2].partition(" ")[0]
        await owner.execute(
            b"DROP EVENT TRIGGER cut" if is_event else f"DROP TRIGGER cut ON {table}".encode()
        )
    assert (cut.exit_code, json.loads(cut.stdout)["error"]["code"]) == (1, "database"), cut
    counted = await read_all(owner, tenant)
    has_begun = place not in {"its credentials", "its data key"}
    assert (counted["tenant"], counted["offboarding"]) == (1, 1)
    assert (counted["credential"], counted["data_key"]) == ((0, 0) if has_begun else (1, 1))
    [schema] = await read_own(owner, "SELECT count(*) AS there FROM {tenant}.schema_version", within=tenant)
    assert schema["there"] > 0, "what is one transaction went whole or not at all"
    ended = await leaver.call(capsys, *words, "--json")
    assert ended.exit_code == 0, ended
    assert set((await read_all(owner, tenant)).values()) == {0}
    rows = json.loads(ended.stdout)["certificate"]["deleted"]["control_rows"]
    assert (rows["credential"], rows["data_key"]) == (1, 1), "counted when they went"
    await read_event(owner, tenant)


async def test_what_cannot_be_reached_or_written_is_found_before_the_rest_goes(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: Capture
) -> None:
    words = ("tenant", "offboard", tenant.name, "--reference", "REQ-3", "--now", "--json")
    for changed, code in (
        ({"ZAPTIK_AUDIT_KEY_FILE": str(leaver.folder / "nowhere.json")}, "key_missing"),
        ({"ZAPTIK_REDIS_URL": "redis://127.0.0.1:1/0"}, "queue_away"),
        ({"ZAPTIK_TOMBSTONES_FILE": str(leaver.folder / "no" / "folder")}, "file_not_written"),
    ):
        ended = await leaver.call(capsys, *words, **changed)
        assert json.loads(ended.stdout)["error"]["code"] == code
        assert (await read_all(owner, tenant))["tenant"] == 1
    nowhere = ("--certificate", str(leaver.folder / "no" / "folder.json"))
    ended = await leaver.call(capsys, *words, *nowhere)
    assert json.loads(ended.stdout)["error"]["code"] == "file_not_written"
    assert (await read_all(owner, tenant))["tenant"] == 1
    assert (await leaver.call(capsys, *words)).exit_code == 0


@pytest.mark.parametrize(
    "end",
    [b'{"form": "zaptik tomb', b'{"form": "zaptik tombstone 1"}'],
    ids=["cut off", "whole without its end"],
)
async def test_a_line_of_the_list_begins_on_its_own_whatever_was_cut_off_before(
    leaver: Leaver, tenant: Tenant, tmp_path: Path, capsys: Capture, end: bytes
) -> None:
    file = tmp_path / "list.jsonl"
    file.write_bytes(b'{"the": "first"}\n' + end)
    words = ("tenant", "offboard", tenant.name, "--reference", "REQ-3", "--now", "--json")
    ended = await leaver.call(capsys, *words, ZAPTIK_TOMBSTONES_FILE=str(file))
    assert ended.exit_code == 0, ended
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len(lines) == 2 + end.endswith(b"}")
    assert (lines[0], lines[-1]["tenant_id"]) == ({"the": "first"}, str(tenant.tenant_id))


async def test_without_a_key_or_a_list_it_is_deleted_and_what_lacks_is_said(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: Capture
) -> None:
    file = leaver.folder / "unsigned.json"
    ended = await leaver.call(
        capsys, "tenant", "offboard", tenant.name, "--reference", "REQ-4", "--now", "--certificate", str(file),
        ZAPTIK_AUDIT_KEY_FILE="", ZAPTIK_TOMBSTONES_FILE="", ZAPTIK_REDIS_URL="",
    )  # fmt: skip
    assert ended.exit_code == 0
    assert "the certificate is not signed" in ended.stderr
    assert f"a restored backup would bring {tenant.name} back" in ended.stderr
    assert json.loads(file.read_text())["deleted"]["redis_messages"] is None
    assert set((await read_all(owner, tenant)).values()) == {0}
    checked = await leaver.call(capsys, "tenant", "certificate", "verify", str(file))
    assert (checked.exit_code, "It is not signed" in checked.stderr) == (1, True)
    unkeyed = await leaver.call(
        capsys, "tenant", "certificate", "verify", str(file), ZAPTIK_AUDIT_KEY_FILE=""
    )
    assert (unkeyed.exit_code, "--keys FILE" in unkeyed.stderr) == (1, True)


async def test_the_daily_call_deletes_whose_last_week_has_come_and_one_that_fails_is_not_in_the_way(
    leaver: Leaver, owner: Connection, worker: Connection, capsys: Capture
) -> None:
    now = datetime.now(UTC)
    by_age: dict[int, Tenant] = {}
    for days in (22, 24, 29, 31):
        one = await leaver.add(owner, worker, next(NAMES), "https://somewhere.service-now.com")
        await request_offboarding(owner, one.name, reference=f"REQ-{days}", at=now - timedelta(days=days))
        by_age[days] = one
    folder = leaver.folder / "certificates"
    folder.mkdir()
    await owner.execute("CREATE ROLE holds_on NOLOGIN")
    await owner.execute(f"GRANT ALL ON DATABASE postgres TO {by_age[29].schema_name}".encode())
    await owner.execute("CREATE DATABASE elsewhere")
    async with open_connection(
        f"{leaver.deployment.admin_url.rpartition('/')[0]}/elsewhere", purpose="test"
    ) as other:
        await other.execute(
            f"CREATE TABLE kept (); GRANT SELECT ON kept TO {by_age[29].schema_name}".encode()
        )
    ended = await leaver.call(capsys, "tenant", "offboard", "--due", "--certificates", str(folder), "--json")
    said = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert [row["tenant"] for row in said["deleted"]] == [by_age[31].name, by_age[24].name]
    assert [(row["tenant"], row["error"]["code"]) for row in said["failed"]] == [
        (by_age[29].name, "database")
    ]
    assert by_age[22].name in {row["tenant"] for row in said["waiting"]}
    assert sorted(path.stem for path in folder.iterdir()) == sorted(
        str(by_age[days].tenant_id) for days in (31, 24)
    )
    await owner.execute("DROP DATABASE elsewhere")
    ended = await leaver.call(capsys, "tenant", "offboard", "--due")
    assert (ended.exit_code, "1 deleted, 0 failed, " in ended.stdout) == (0, True)
    left = {one.tenant for one in await read_offboardings(owner)}
    assert left & {one.name for one in by_age.values()} == {by_age[22].name}


async def test_no_command_does_anything_more_for_one_that_leaves(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: Capture
) -> None:
    await owner.execute("CREATE ROLE comes_late LOGIN")
    await request_offboarding(owner, tenant.name, reference="REQ-5")
    for words in (
        ("doctor", tenant.name),
        ("consumer", "grant", "comes_late", tenant.name),
        ("sync", tenant.name, "--wait"),
    ):
        ended = await leaver.call(capsys, *words, "--json")
        assert json.loads(ended.stdout)["error"]["code"] == "tenant_leaves", words
    added = await leaver.call(
        capsys, "tenant", "add", tenant.name, "--url", "https://x.service-now.com", "--json"
    )
    assert json.loads(added.stdout)["error"]["code"] == "tenant_exists"


async def test_a_tenants_reader_loses_its_way_in(
    leaver: Leaver, owner: Connection, tenant: Tenant, capsys: Capture
) -> None:
    await owner.execute("CREATE ROLE reads_on LOGIN PASSWORD 'made-up'")
    await grant_consumer(owner, "reads_on", tenant=tenant.name)
    url = leaver.deployment.admin_url.partition("@")[2]
    async with open_connection(f"postgresql://reads_on:made-up@{url}", purpose="test") as reader:
        view = f"TABLE {tenant.schema_name}.graph_v1_nodes".encode()
        await reader.execute(view)
        ended = await leaver.call(capsys, "tenant", "offboard", tenant.name, "--reference", "REQ-6", "--now")
        assert ended.exit_code == 0, ended
        with pytest.raises(psycopg.errors.UndefinedTable):
            await reader.execute(view)


def test_the_list_of_deleted_tenants_names_nobody(leaver: Leaver) -> None:
    path: Path = leaver.tombstones
    if path.exists():
        assert "c4n4ry" not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
