"""Old revisions go, and every revision that is kept reads back byte for byte as it did before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from jobs.errors import UnknownRevision
from jobs.graph import encode_line
from jobs.guard import Guard
from tests.conftest import Deployment
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish,
    publish_tables,
    read_lines,
    read_own,
    stage_table,
)
from worker.fleet.process import Process
from worker.fleet.retention import RetentionTurns
from worker.postgres.connection import Connection, as_tenant, open_connection
from worker.postgres.findings import Finding, read_findings
from worker.postgres.quarantine import read_revisions
from worker.postgres.reading import at_one_moment, read_head, stream_nodes
from worker.postgres.retention import Keeping, Let, let_go
from worker.postgres.tenants import Tenant
from worker.settings import Settings

pytestmark = pytest.mark.anyio
KEEPING = Keeping("this test", 365)
UNUSED_REDIS = SecretStr("redis://127.0.0.1:1/0")


async def publish_names(app: Connection, tenant: Tenant, *names: str) -> None:
    """Publish a revision for each name: a group of that name, and another that stays."""
    for name in names:
        groups = [node(GROUP, 1, name=name), node(GROUP, 2, name="stays")]
        await publish_tables(app, tenant, {GROUP: (groups, []), ITEM: ([], [])})


async def age(admin: Connection, tenant: Tenant, revision: int, *, days: int) -> None:
    """Let all revisions up to one be so many days older than they are, with all that says when."""
    for table, column, what in (
        ("revision", "published_at", "revision <= %(revision)s"),
        ("feed", "published_at", "revision <= %(revision)s"),
        (
            "table_read",
            "begun_at",
            "run_id IN (SELECT run_id FROM {schema}.revision WHERE revision <= %(revision)s)",
        ),
    ):
        text = f"UPDATE {{schema}}.{table} SET {column} = {column} - %(days)s * interval '1 day' WHERE {what}"  # noqa: S608
        query = text.format(schema=tenant.schema_name)
        await admin.execute(query.encode(), {"revision": revision, "days": days})


async def read_numbers(app: Connection, tenant: Tenant) -> list[int]:
    return [row["revision"] for row in await read_revisions(app, tenant)][::-1]


async def count(admin: Connection, tenant: Tenant, table: str) -> int:
    [row] = await read_own(admin, f"SELECT count(*) AS found FROM {{tenant}}.{table}", within=tenant)  # noqa: S608
    return int(row["found"])


@dataclass(frozen=True, slots=True)
class Kept:
    """All that can be asked of one revision."""

    lines: list[bytes]
    digest: str
    findings: list[Finding]


async def read_kept(app: Connection, tenant: Tenant, revision: int) -> Kept:
    async with as_tenant(app, tenant.schema_name):
        head = await read_head(app, tenant, revision)
    findings = (await read_findings(app, tenant, revision))[1]
    return Kept(await read_lines(app, tenant, revision), head.digest, findings)


NUMBERS = st.integers(0, 4)
GRAPHS = st.builds(
    lambda nodes, edges: (nodes, [(start, end) for start, end in edges if start in nodes]),
    st.dictionaries(NUMBERS, st.sampled_from(["a", "b", "c"])),
    st.frozensets(st.tuples(NUMBERS, NUMBERS), max_size=5),
)


@settings(
    max_examples=20,
    deadline=None,  # a server's time is not ours
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example adds a tenant of its own
)
@given(
    graphs=st.lists(GRAPHS, min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 6), min_size=2, max_size=2),
)
async def test_every_revision_that_is_kept_reads_back_as_before(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant, graphs: list[Any], cuts: list[int]
) -> None:
    tenant = await add_fresh_tenant()
    for nodes, edges in graphs:
        groups = [
            node(GROUP, number, name=name, attributes={"active": "false"}) for number, name in nodes.items()
        ]
        by_number = {int(group.sys_id, 16): group for group in groups}
        parents = [edge(by_number[a], node(GROUP, b).id, kind="ROUTES_TO", field="p") for a, b in edges]
        await publish_tables(app, tenant, {GROUP: (groups, parents), ITEM: ([], [])})
    published = await read_numbers(app, tenant)
    before = {number: await read_kept(app, tenant, number) for number in published}
    for cut in cuts:  # twice, so that retention meets what it left
        await age(admin, tenant, cut, days=400)
        ending, _ = await let_go(app, tenant, KEEPING)
        assert ending == "done"
    kept = [number for number in published if number > max(cuts)] or published[-1:]
    assert await read_numbers(app, tenant) == kept
    assert {number: await read_kept(app, tenant, number) for number in kept} == {
        number: before[number] for number in kept
    }
    for table in ("node_history", "edge_history", "finding_history"):
        [row] = await read_own(admin, f"SELECT min(until) AS least FROM {{tenant}}.{table}", within=tenant)  # noqa: S608
        assert row["least"] is None or row["least"] > kept[0]


async def test_what_goes_is_counted_and_told_and_asked_for_no_more(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "b", "c", "d")
    await age(admin, tenant, 2, days=366)
    ending, gone = await let_go(app, tenant, KEEPING)
    assert (ending, gone) == (
        "done",
        Let(oldest=3, revisions=2, feed=2, nodes=2, edges=0, findings=0, reads=4, runs=0, requests=0),
    )
    assert [
        row["number"]
        for row in await read_own(admin, "SELECT number FROM {tenant}.feed ORDER BY 1", within=tenant)
    ] == [3, 4]
    with pytest.raises(UnknownRevision):
        await read_kept(app, tenant, 2)
    [event] = await read_own(
        admin, "SELECT actor, detail FROM control.audit_events WHERE action = 'retention.run' AND tenant_ref = %s",
        tenant.tenant_id,
    )  # fmt: skip
    assert (event["actor"], event["detail"]) == ("zaptik_app", gone.counts())
    assert await let_go(app, tenant, KEEPING) == ("done", Let(oldest=3))
    await publish_names(app, tenant, "e")
    assert await read_numbers(app, tenant) == [3, 4, 5]


async def test_the_revision_in_force_and_one_that_waits_stay_however_old(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    groups = [node(GROUP, number) for number in range(10)]
    await publish_tables(app, tenant, {GROUP: (groups, [])})
    run = await claim_fresh_run(app, tenant)
    await stage_table(app, run, GROUP, groups[:5])
    await publish(app, run, closing=(GROUP,), guard=Guard(removed_rows=2, removed_share=0.2))
    await age(admin, tenant, 2, days=4000)
    assert await let_go(app, tenant, KEEPING) == ("done", Let(oldest=1))
    assert [row["state"] for row in await read_revisions(app, tenant)] == ["quarantined", "current"]
    assert await count(admin, tenant, "table_read") == 2


async def test_a_revision_is_whole_when_retention_is_cut_short(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "b", "c")
    await age(admin, tenant, 2, days=400)
    before = await read_kept(app, tenant, 3)
    ending, gone = await let_go(app, tenant, KEEPING, most_batches=1)
    assert (ending, gone.revisions) == ("unfinished", 2)
    assert await read_kept(app, tenant, 3) == before
    assert (await let_go(app, tenant, Keeping("another", 365)))[0] == "held"
    assert (await let_go(app, tenant, KEEPING))[0] == "done"


async def test_who_reads_a_revision_while_it_goes_reads_it_whole(
    app: Connection, admin: Connection, deployment: Deployment, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "b", "c")
    await age(admin, tenant, 2, days=400)
    expected = (await read_kept(app, tenant, 1)).lines
    async with open_connection(deployment.app_url, purpose="test") as reader, at_one_moment(reader, tenant):
        await read_head(reader, tenant, 1)
        assert (await let_go(app, tenant, KEEPING))[0] == "done"
        assert [encode_line(line) async for line in stream_nodes(reader, tenant, 1)] == expected
    with pytest.raises(UnknownRevision):
        await read_kept(app, tenant, 1)


async def test_verdicts_of_runs_without_a_revision_go_after_a_month_but_the_newest(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "a", "a")
    assert await count(admin, tenant, "table_read") == 6
    month = f"UPDATE {tenant.schema_name}.table_read SET begun_at = begun_at - interval '31 days'"  # noqa: S608
    await admin.execute(month.encode())
    _, gone = await let_go(app, tenant, KEEPING)
    assert gone == Let(oldest=1, reads=2)
    async with as_tenant(app, tenant.schema_name):
        assert (await read_head(app, tenant, None)).tables == {GROUP: "complete", ITEM: "complete"}


async def test_verdicts_that_the_revision_in_force_was_last_checked_by_stay(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "a", "a")
    unfinished = await claim_fresh_run(app, tenant)
    await stage_table(app, unfinished, GROUP, [node(GROUP, 1)])
    month = f"UPDATE {tenant.schema_name}.table_read SET begun_at = begun_at - interval '31 days'"  # noqa: S608
    await admin.execute(month.encode())
    checked = "SELECT verdict FROM {tenant}.graph_v1_tables"
    before = await read_own(admin, checked, within=tenant)
    assert len(before) == 2
    _, gone = await let_go(app, tenant, KEEPING)
    assert gone.reads == 2, "of the run between"
    assert await read_own(admin, checked, within=tenant) == before


async def test_one_at_a_time_and_once_a_day(app: Connection, admin: Connection, tenant: Tenant) -> None:
    await publish_names(app, tenant, "a")
    daily = Keeping("a scheduler", 365, every_seconds=23 * 3600)
    assert (await let_go(app, tenant, daily))[0] == "done"
    assert (await let_go(app, tenant, daily))[0] == "held"
    await admin.execute(
        f"UPDATE {tenant.schema_name}.retention SET done_at = done_at - interval '1 day', holder = 'one that died', "  # noqa: S608
        "lease_until = clock_timestamp() + interval '1 minute'"
    )
    assert (await let_go(app, tenant, daily))[0] == "held"
    await admin.execute(f"UPDATE {tenant.schema_name}.retention SET lease_until = clock_timestamp()")  # noqa: S608
    assert (await let_go(app, tenant, daily))[0] == "done"


async def test_the_apps_way_in_deletes_no_history_and_nothing_younger_than_a_year(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    await publish_names(app, tenant, "a", "b", "c")
    await age(admin, tenant, 2, days=363)
    for table in ("node_history", "edge_history", "finding_history", "revision", "feed"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with as_tenant(app, tenant.schema_name):
                await app.execute(f"DELETE FROM {tenant.schema_name}.{table}".encode())  # noqa: S608
    for days in ("0", "30", "364", "NULL", "-1"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="365 days at least"):
            async with as_tenant(app, tenant.schema_name):
                await app.execute(f"SELECT {tenant.schema_name}.forget_revisions({days})".encode())
    async with as_tenant(app, tenant.schema_name):
        await app.execute(f"SELECT {tenant.schema_name}.prune_history(1000)".encode())
    assert await count(admin, tenant, "node_history") == 2
    assert await read_numbers(app, tenant) == [1, 2, 3]


async def test_a_state_that_is_changed_lets_no_kept_history_go(
    app: Connection, admin: Connection, tenant: Tenant
) -> None:
    """The tenant's role changes none; and where an administrator did, what was kept stays nevertheless."""
    await publish_names(app, tenant, "a", "b", "c")
    change = "UPDATE {tenant}.revision SET state = 'rejected' WHERE revision < 3 RETURNING revision"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="that is published stays so"):
        async with as_tenant(app, tenant.schema_name):
            await read_own(app, change, within=tenant)
    assert len(await read_own(admin, change, within=tenant)) == 2
    async with as_tenant(app, tenant.schema_name):
        await read_own(app, "SELECT {tenant}.prune_history(1000)", within=tenant)
    assert await count(admin, tenant, "node_history") == 2


async def test_nobody_else_runs_it_and_the_owner_sees_nothing_by_it(
    app: Connection, admin: Connection, tenant: Tenant, add_fresh_tenant: AddTenant
) -> None:
    other = await add_fresh_tenant()
    await publish_names(app, other, "a", "b", "c")
    await age(admin, other, 2, days=400)
    for function in ("forget_revisions(400)", "prune_history(10)"):
        call = f"SELECT {other.schema_name}.{function}".encode()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute(call)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with as_tenant(app, tenant.schema_name):
                await app.execute(call)
        async with admin.transaction():
            await admin.execute("SET LOCAL ROLE zaptik_owner")
            await admin.execute(call)
            for table in ("revision", "feed", "node_history"):
                cursor = await admin.execute(f"DELETE FROM {other.schema_name}.{table}".encode())  # noqa: S608
                assert cursor.rowcount == 0
    assert await read_numbers(app, other) == [1, 2, 3]


async def test_a_scheduler_lets_go_of_every_tenants_old_revisions_and_one_that_fails_is_not_in_the_way(
    app: Connection, admin: Connection, add_fresh_tenant: AddTenant, instance_settings: Settings
) -> None:
    tenants = [await add_fresh_tenant() for _ in range(3)]
    for tenant in tenants:
        await publish_names(app, tenant, "a", "b", "c")
        await age(admin, tenant, 2, days=400)
    ahead, well = tenants[1], [tenants[0], tenants[2]]
    await admin.execute(f"INSERT INTO {ahead.schema_name}.schema_version (version, name) VALUES (9999, 'x')")  # noqa: S608
    turns = RetentionTurns(make_scheduler(instance_settings), look_seconds=3600)
    numbers: list[list[int]] = []
    while numbers != [[3], [3]]:  # each turn is short, and looks at other tests' tenants too
        await asyncio.to_thread(turns.take)
        numbers = [await read_numbers(app, tenant) for tenant in well]
    assert await read_numbers(app, ahead) == [1, 2, 3]


def make_scheduler(known: Settings) -> Process:
    """Make a scheduler that was not started: it rings for nothing here, so no Redis need answer."""
    return Process("scheduler", known.model_copy(update={"redis_url": UNUSED_REDIS}), threads=1)
