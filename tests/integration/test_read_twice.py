"""A record that two tables of a run give, its base and its subclass: what it refers to is said by one of them alone.

A change between both reads is seen by one; the next run sees it by both.
"""

from __future__ import annotations

from typing import Any

import pytest

from ops.simulator.access import Access
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import check_like_whole, start, ways_of

pytestmark = pytest.mark.anyio
GROUPS, ITEMS, PRODUCERS = "sys_user_group", "sc_cat_item", "sc_cat_item_producer"


def find_producer(case: Case) -> tuple[str, str]:
    """Give a producer, and the group that it is fulfilled by."""
    return next((row["sys_id"], f"{GROUPS}:{row['group']}") for row in case.rows(PRODUCERS) if row["group"])


def move(case: Case, producer: str) -> str:
    """Give a producer another fulfilment group."""
    was = find_row(case, producer)["group"]
    group = next(row["sys_id"] for row in case.rows(GROUPS) if row["sys_id"] != was)
    case.simulator.instance.store.put(PRODUCERS, [{"sys_id": producer, "group": group}])
    return f"{GROUPS}:{group}"


def find_row(case: Case, producer: str) -> dict[str, str]:
    return next(row for row in case.rows(PRODUCERS) if row["sys_id"] == producer)


async def groups_of(case: Case, producer: str) -> list[str]:
    _, edges = await case.read_graph()
    return [edge.to_id for edge in edges if (edge.kind, edge.source.sys_id) == ("FULFILLED_BY", producer)]


async def work(case: Case) -> dict[str, Any]:
    """Do a run in one slice, one request after the other."""
    run_id = await case.request_run()
    await case.work_slice(run_id, instance_concurrency=1, page_rows=1000)
    run = await case.read_run(run_id)
    assert {verdict_of(run, table) for table in (ITEMS, PRODUCERS)} == {("complete", 0)}
    return run


async def test_between_two_whole_reads(case: Case) -> None:
    await case.store_credentials()
    producer, before = find_producer(case)
    after: list[str] = []
    changing = case.when(
        "request.answered", lambda: after.append(move(case, producer)), table=ITEMS, endpoint="table"
    )
    await work(changing)
    [group] = await groups_of(case, producer)
    assert group in {before, *after}
    await case.sync()
    await check_like_whole(case)


async def test_between_the_skipping_of_the_subclass_and_a_delta_of_its_base(case: Case) -> None:
    producer, before = find_producer(case)
    item = next(row["sys_id"] for row in case.rows(ITEMS) if row["sys_class_name"] == ITEMS)
    await start(case)
    await case.sync()
    case.simulator.instance.store.put(ITEMS, [{"sys_id": item, "order": "4711"}])
    after: list[str] = []
    changing = case.when(
        "request.answered", lambda: after.append(move(case, producer)), table=PRODUCERS, endpoint="stats"
    )
    ways = ways_of(await work(changing))
    assert (ways[ITEMS], ways[PRODUCERS]) == ("delta", "skipped")
    assert await groups_of(case, producer) == [before]
    await case.sync()
    assert await groups_of(case, producer) == after
    await check_like_whole(case)


async def test_while_the_subclass_may_not_be_read(case: Case) -> None:
    """What its base says is newer than what it said itself, when it could be read."""
    producer, _ = find_producer(case)
    await start(case)
    await case.sync()
    case.simulator.instance.access[PRODUCERS] = Access(denied=True)
    after = move(case, producer)
    run = await case.sync()
    assert (verdict_of(run, ITEMS), verdict_of(run, PRODUCERS)) == (("complete", 0), ("denied", 0))
    assert await groups_of(case, producer) == [after]
    last = move(case, producer)
    del case.simulator.instance.access[PRODUCERS]
    await case.sync()
    assert await groups_of(case, producer) == [last]
    await check_like_whole(case)
