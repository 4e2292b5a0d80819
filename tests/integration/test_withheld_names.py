"""A name that may not be read is empty in the graph, and its table says that this is no known emptiness."""

from __future__ import annotations

import pytest

from ops.simulator.access import Access
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_rereading import check_like_whole, start, ways_of

pytestmark = pytest.mark.anyio
GROUPS = "sys_user_group"
WITHHELD = Access(fields_hidden=frozenset({"name"}))


def reason_of(run: dict[str, object], table: str = GROUPS) -> str | None:
    [found] = [row for row in run["tables"] if row["table_name"] == table]  # type: ignore[attr-defined]
    reason: str | None = found["reason"]
    return reason


async def names(case: Case) -> set[str]:
    nodes, _ = await case.read_graph()
    return {node.name for node in nodes.values() if node.table == GROUPS}


async def test_of_all_records(case: Case) -> None:
    case.simulator.instance.access[GROUPS] = WITHHELD
    run = await case.sync()
    assert verdict_of(run, GROUPS) == ("complete", 0)
    assert "not known of its records: name" in (reason_of(run) or "")
    assert await names(case) == {""}
    assert reason_of(await case.sync()) == reason_of(run)
    case.simulator.instance.access.clear()
    run = await case.sync()
    assert (ways_of(run)[GROUPS], reason_of(run)) == ("whole", None)
    assert "" not in await names(case)
    await check_like_whole(case)


async def test_of_those_that_changed(case: Case) -> None:
    await start(case)
    assert reason_of(await case.sync()) is None
    case.simulator.instance.access[GROUPS] = WITHHELD
    case.simulator.instance.store.put(
        GROUPS, [{"sys_id": case.rows(GROUPS)[0]["sys_id"], "description": "N"}]
    )
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("delta", ("complete", 0))
    assert "not known of its records: name" in (reason_of(run) or "")
    case.simulator.instance.access.clear()
    assert reason_of(await case.sync()) is None
    assert "" not in await names(case)
    await check_like_whole(case)
