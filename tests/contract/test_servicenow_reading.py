"""A whole read of the simulated instance: every visible row arrives, and nothing else was ever asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from jobs.errors import OrderIgnored, TableAbsent, TableDenied
from jobs.events import REQUEST_ANSWERED, TOKEN_FETCHED, Event
from jobs.filters import parse_filter
from jobs.page import Position, next_position
from jobs.surface import Table, read_surface
from jobs.verdict import judge_read
from ops.local.certificates import Certificates, write_certificates
from ops.simulator import Simulator, made_store
from ops.simulator.access import EVERY_ROW, Access
from tests.contract.scripted_instance import GROUPS, open_reader
from worker.servicenow import Client

TABLES = tuple(read_surface().tables.values())
PAGE_ROWS = 7


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    tls = (certificates.cert_file, certificates.key_file)
    with Simulator(made_store(groups=60, items=40), tls=tls) as running:
        yield running


async def read_table(client: Client, table: Table, told: list[Event]) -> list[dict[str, str]]:
    """Read a table as a run does, checking that the position moves."""
    rows: list[dict[str, str]] = []
    position = Position()
    while not position.ended:
        fetched = await client.fetch_page(table, position, emit=told.append)
        rows += fetched.page.rows
        after = next_position(position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total)
        assert after != position
        position = after
    return rows


def read_tables(
    simulator: Simulator, certificates: Certificates, *tables: Table
) -> tuple[dict[str, list[dict[str, str]]], list[Event]]:
    told: list[Event] = []

    async def main() -> dict[str, list[dict[str, str]]]:
        async with open_reader(simulator.url, certificates, page_rows=PAGE_ROWS) as client:
            results = await asyncio.gather(*(read_table(client, table, told) for table in tables))
            return {table.name: rows for table, rows in zip(tables, results, strict=True)}

    return asyncio.run(main()), told


def expected(
    simulator: Simulator, table: Table, hidden: frozenset[str] = frozenset()
) -> list[dict[str, str]]:
    """Give the rows that the instance holds and shows and that answer the filter, with the surface's fields alone."""
    conditions = parse_filter(table.filter)
    return [
        {name: walk(simulator, row, name) for name in table.asked}
        for row in simulator.store.rows(table.name)
        if row["sys_id"] not in hidden
        and all(any(term.holds(row) for term in any_of) for any_of in conditions)
    ]


def walk(simulator: Simulator, row: dict[str, str], name: str) -> str:
    """Give a field's value, over the one walk that the surface has: to the name of the table that one extends."""
    if "." not in name:
        return row[name]
    assert name == "super_class.name"
    tables = {other["sys_id"]: other["name"] for other in simulator.store.rows("sys_db_object")}
    return tables.get(row["super_class"], "")


def test_every_row_of_every_table_arrives_once_and_in_order(
    simulator: Simulator, certificates: Certificates
) -> None:
    read, _ = read_tables(simulator, certificates, *TABLES)
    assert read == {table.name: expected(simulator, table) for table in TABLES}
    assert sum(map(len, read.values())) > 200


def test_only_the_token_is_posted_and_only_the_surface_is_asked_for(
    simulator: Simulator, certificates: Certificates
) -> None:
    read, told = read_tables(simulator, certificates, *TABLES)
    tokens = [request for request in simulator.requests if request["path"] == "/oauth_token.do"]
    asked = [request for request in simulator.requests if request["path"] != "/oauth_token.do"]
    assert [request["method"] for request in tokens] == ["POST"], "one token for all tasks"
    assert {request["method"] for request in asked} == {"GET"}
    for request in asked:
        table = read_surface().tables[request["table"]]
        assert request["path"] == f"/api/now/table/{table.name}"
        assert request["query"]["sysparm_fields"] == ",".join(table.asked)
        assert request["query"]["sysparm_display_value"] == "false"
        assert request["query"]["sysparm_exclude_reference_link"] == "true"
        assert request["query"]["sysparm_query"].endswith("ORDERBYsys_id")
    assert "CANARY" not in json.dumps(read), "forbidden columns and tables hold canaries"
    assert [event.kind for event in told].count(TOKEN_FETCHED) == 1
    assert [event.kind for event in told].count(REQUEST_ANSWERED) == len(asked)


@pytest.mark.parametrize(
    "hidden",
    [
        range(3, 4),
        range(7),
        range(7, 14),
        range(1, 50),
        range(55, 60),
        range(0, 60, 2),
        range(1, 60),
    ],
    ids=["one row", "the first page", "the second page", "seven pages", "the end", "every other", "all but one"],
)  # fmt: skip
def test_rows_that_acls_hide_keep_no_visible_row_from_arriving(
    simulator: Simulator, certificates: Certificates, hidden: range
) -> None:
    sys_ids = [row["sys_id"] for row in simulator.store.rows(GROUPS.name)]
    gone = frozenset(sys_ids[number] for number in hidden)
    simulator.instance.access[GROUPS.name] = Access(hidden=gone)
    read, _ = read_tables(simulator, certificates, GROUPS)
    assert read[GROUPS.name] == expected(simulator, GROUPS, gone)


def test_a_table_of_which_all_is_hidden_ends_and_is_not_called_complete(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[GROUPS.name] = Access(hidden=frozenset({EVERY_ROW}))

    async def main() -> tuple[int, int]:
        async with open_reader(simulator.url, certificates, page_rows=PAGE_ROWS) as client:
            rows = await read_table(client, GROUPS, [])
            return len(rows), await client.fetch_count(GROUPS, emit=lambda _event: None)

    rows, count = asyncio.run(main())
    assert (rows, count) == (0, 60)
    verdict = judge_read(rows=rows, counted_before=count, counted_after=count)
    assert (verdict.name, verdict.hidden) == ("hidden", 60)


def test_counts_are_read_of_every_table(simulator: Simulator, certificates: Certificates) -> None:
    async def main() -> dict[str, int]:
        async with open_reader(simulator.url, certificates) as client:
            return {table.name: await client.fetch_count(table, emit=lambda _event: None) for table in TABLES}

    assert asyncio.run(main()) == {table.name: len(expected(simulator, table)) for table in TABLES}
    stats = [request for request in simulator.requests if request["path"].startswith("/api/now/stats/")]
    assert [request["method"] for request in stats] == ["GET"] * len(TABLES)
    assert {key for request in stats for key in request["query"]} <= {"sysparm_count", "sysparm_query"}


def test_a_query_acl_that_drops_the_lower_bound_is_noticed_on_the_second_page(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[GROUPS.name] = Access(strip_range=True)
    with pytest.raises(OrderIgnored, match="query_range"):
        read_tables(simulator, certificates, GROUPS)


def test_a_denied_table_says_what_the_instance_said_and_what_to_grant(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[GROUPS.name] = Access(denied=True)
    with pytest.raises(TableDenied, match=r"No permission to read table 'sys_user_group'.*Grant"):
        read_tables(simulator, certificates, GROUPS)


def test_an_absent_table_is_absent_to_pages_and_counts(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[GROUPS.name] = Access(absent=True)

    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            with pytest.raises(TableAbsent):
                await client.fetch_page(GROUPS, Position(), emit=lambda _event: None)
            with pytest.raises(TableAbsent):
                await client.fetch_count(GROUPS, emit=lambda _event: None)

    asyncio.run(main())


def test_a_field_that_the_account_may_not_read_is_missing_and_its_row_is_not(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[GROUPS.name] = Access(fields_hidden=frozenset({"description"}))
    read, _ = read_tables(simulator, certificates, GROUPS)
    assert len(read[GROUPS.name]) == 60
    assert not any("description" in row for row in read[GROUPS.name])


def test_rows_that_come_and_go_during_a_read_bring_no_other_row_twice_or_lose_it(
    simulator: Simulator, certificates: Certificates
) -> None:
    before = [row["sys_id"] for row in simulator.store.rows(GROUPS.name)]

    async def main() -> list[str]:
        position, read = Position(), list[str]()
        async with open_reader(simulator.url, certificates, page_rows=PAGE_ROWS) as client:
            while not position.ended:
                fetched = await client.fetch_page(GROUPS, position, emit=lambda _event: None)
                read += [row["sys_id"] for row in fetched.page.rows]
                position = next_position(
                    position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total
                )
                simulator.store.put(
                    GROUPS.name, [{"sys_id": f"{len(read):032x}", "name": "new, before the cursor"}]
                )
                simulator.store.delete(GROUPS.name, read[-1])
        return read

    assert asyncio.run(main()) == before


def test_two_tenants_in_one_process_never_mix(certificates: Certificates) -> None:
    tls = (certificates.cert_file, certificates.key_file)
    stores = [made_store(seed=seed, groups=30, items=5) for seed in (1, 2)]
    with Simulator(stores[0], tls=tls) as one, Simulator(stores[1], tls=tls) as two:

        async def main() -> list[list[dict[str, str]]]:
            async with (
                open_reader(one.url, certificates) as first,
                open_reader(two.url, certificates) as second,
            ):
                return list(
                    await asyncio.gather(read_table(first, GROUPS, []), read_table(second, GROUPS, []))
                )

        assert asyncio.run(main()) == [expected(one, GROUPS), expected(two, GROUPS)]
