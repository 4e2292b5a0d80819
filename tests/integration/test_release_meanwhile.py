"""A run that one release began and another ends: what the first did not ask for is read by the next run."""

from __future__ import annotations

import dataclasses

import pytest

from jobs.surface import Surface
from tests.integration.slice_case import Case, verdict_of
from tests.integration.test_closing import LAST, begin, finish
from tests.integration.test_rereading import check_like_whole, start, ways_of

pytestmark = pytest.mark.anyio
GROUPS, ASKED_SINCE = "sys_user_group", "description"


def with_surface(case: Case, surface: Surface) -> Case:
    return dataclasses.replace(case, parts=dataclasses.replace(case.parts, surface=surface))


def before_release(case: Case) -> Case:
    """Give the case as it was read by a release that did not ask for one field of the groups."""
    tables = dict(case.parts.surface.tables)
    fields = tuple(name for name in tables[GROUPS].fields if name != ASKED_SINCE)
    tables[GROUPS] = dataclasses.replace(tables[GROUPS], fields=fields)
    return with_surface(case, dataclasses.replace(case.parts.surface, tables=tables))


async def lacking(case: Case) -> list[str]:
    nodes, _ = await case.read_graph()
    return [key for key, node in nodes.items() if node.table == GROUPS and ASKED_SINCE not in node.attributes]


async def test_a_table_that_an_earlier_release_read_is_not_held_to_be_read_as_this_one_reads(
    case: Case,
) -> None:
    await finish(case, await begin(before_release(case)))
    assert await lacking(case), "the run read it as the release that began it"
    run = await case.sync()
    assert (ways_of(run)[GROUPS], verdict_of(run, GROUPS)) == ("whole", ("complete", 0))
    assert await lacking(case) == []
    await check_like_whole(case)


async def test_a_table_that_an_earlier_release_let_stand_is_read_whole_by_the_next_run(case: Case) -> None:
    earlier = before_release(case)
    await start(earlier)
    await earlier.sync()
    case.simulator.instance.store.put(LAST, [{"sys_id": case.rows(LAST)[0]["sys_id"], "u_site": "Elsewhere"}])
    run_id = await begin(earlier)
    run = await finish(case, run_id)
    assert ways_of(run)[GROUPS] == "skipped"
    assert ways_of(await case.sync())[GROUPS] == "whole"
    assert await lacking(case) == []
    await check_like_whole(case)


async def test_a_table_that_an_earlier_release_began_is_begun_anew(case: Case) -> None:
    await case.store_credentials()
    run_id = await case.request_run()
    earlier = before_release(case)
    stopping = earlier.when("request.answered", case.parts.draining.set, table=GROUPS, endpoint="table")
    await stopping.work_slice(run_id, instance_concurrency=1)
    case.parts.draining.clear()
    begun = {row["table_name"]: row for row in (await case.read_run(run_id))["tables"]}[GROUPS]
    assert (begun["verdict"], begun["pages"]) == (None, 1)
    run = await finish(case, run_id)
    assert verdict_of(run, GROUPS) == ("complete", 0)
    assert await lacking(case) == []
    await check_like_whole(case)
