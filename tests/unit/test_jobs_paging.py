"""The loop over pages, on the simulator's own selection: every visible row once, whatever is hidden."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.errors import OrderIgnored
from jobs.page import Position, next_position, page_parameters, parse_page
from jobs.surface import Table as ReadTable
from ops.simulator import Store
from ops.simulator.access import Access
from ops.simulator.instance import Instance
from ops.simulator.oauth import OAuth

TABLE = ReadTable(
    domain="tests", name="u_tests", fields=("sys_id", "u_text"), why="", role="", kind="test", label="u_text"
)
ROWS = st.dictionaries(st.integers(0, 16**32 - 1).map("{:032x}".format), st.booleans(), max_size=40)


def build_instance(hidden_by_id: dict[str, bool], **access: object) -> Instance:
    store = Store()
    store.declare(TABLE.name)
    store.put(TABLE.name, [{"sys_id": sys_id, "u_text": sys_id[:4], "u_own": "x"} for sys_id in hidden_by_id])
    instance = Instance(store, OAuth(client_id="client", client_secret="secret"))
    hidden = [sys_id for sys_id, is_hidden in hidden_by_id.items() if is_hidden]
    instance.access[TABLE.name] = Access().changed({"hidden": hidden, **access})
    return instance


def answer(instance: Instance, parameters: dict[str, str]) -> tuple[bytes, int]:
    """Answer a request of the Table API: the body, and the total that its header would say."""
    offset, limit = int(parameters.get("sysparm_offset", "0")), int(parameters["sysparm_limit"])
    window = instance.select(
        instance.store.declare(TABLE.name), parameters["sysparm_query"], salt=str(offset)
    )
    access, fields = instance.access_of(TABLE.name), parameters["sysparm_fields"].split(",")
    rows = [row for row in window.page(offset, limit) if access.shows(row)]
    return json.dumps(
        {"result": [{name: row[name] for name in fields} for row in rows]}
    ).encode(), window.total


def read(instance: Instance, *, limit_rows: int, most_requests: int) -> list[str]:
    """Read the table to its end; more requests than can be needed are a loop without end."""
    position, seen = Position(), list[str]()
    for _ in range(most_requests):
        body, total = answer(instance, page_parameters(TABLE, position, limit_rows=limit_rows))
        page = parse_page(TABLE, body, cursor=position.cursor)
        seen.extend(row["sys_id"] for row in page.rows)
        position = next_position(position, page, limit_rows=limit_rows, total=total)
        if position.ended:
            return seen
    raise AssertionError(f"no end after {most_requests} requests")


@settings(deadline=None)
@given(ROWS, st.integers(1, 12))
@example({f"{number:032x}": 5 <= number < 35 for number in range(40)}, 3)
@example({f"{number:032x}": True for number in range(40)}, 4)
@example({f"{number:032x}": number % 4 != 3 for number in range(40)}, 4)
def test_every_visible_row_comes_once_and_the_read_ends(
    hidden_by_id: dict[str, bool], limit_rows: int
) -> None:
    """R1, R2, R7, R11: short pages, hidden windows in a row, and hidden ends lose nothing and repeat nothing."""
    visible = sorted(sys_id for sys_id, is_hidden in hidden_by_id.items() if not is_hidden)
    # Each request moves on by a row that is seen, or by a whole window in which none is.
    most_requests = len(visible) + len(hidden_by_id) // limit_rows + len(hidden_by_id) + 1
    assert read(build_instance(hidden_by_id), limit_rows=limit_rows, most_requests=most_requests) == visible


@settings(deadline=None)
@given(ROWS, st.integers(1, 12))
def test_without_hidden_rows_there_is_no_request_too_many(
    hidden_by_id: dict[str, bool], limit_rows: int
) -> None:
    instance = build_instance(dict.fromkeys(hidden_by_id, False))
    pages = max(1, -(-len(hidden_by_id) // limit_rows))
    assert read(instance, limit_rows=limit_rows, most_requests=pages) == sorted(hidden_by_id)


@settings(deadline=None)
@given(ROWS, st.integers(1, 12), st.data())
def test_rows_that_come_and_go_during_the_read_neither_repeat_others_nor_lose_them(
    hidden_by_id: dict[str, bool], limit_rows: int, data: st.DataObject
) -> None:
    """R9: a row that stood from beginning to end is read once."""
    instance = build_instance(hidden_by_id)
    lasting = {sys_id for sys_id, is_hidden in hidden_by_id.items() if not is_hidden}
    position, seen = Position(), list[str]()
    while not position.ended:
        body, total = answer(instance, page_parameters(TABLE, position, limit_rows=limit_rows))
        page = parse_page(TABLE, body, cursor=position.cursor)
        seen.extend(row["sys_id"] for row in page.rows)
        position = next_position(position, page, limit_rows=limit_rows, total=total)
        if not hidden_by_id:
            continue
        gone = data.draw(st.sampled_from(sorted(hidden_by_id)))
        # A gone hidden row may pull rows to before an offset in the same window: the counts tell, not the pages.
        if data.draw(st.booleans()) and position.offset == 0 and instance.store.delete(TABLE.name, gone):
            lasting.discard(gone)
        come = data.draw(st.sampled_from(sorted(hidden_by_id)))[:31] + "0"
        if come not in hidden_by_id and position.offset == 0:
            instance.store.put(TABLE.name, [{"sys_id": come, "u_text": "new"}])
    assert len(seen) == len(set(seen))
    assert lasting <= set(seen)


def test_a_stripped_order_is_noticed_and_no_read_goes_on_for_ever() -> None:
    rows = {f"{number:032x}": False for number in range(40)}
    with pytest.raises(OrderIgnored):
        read(build_instance(rows, strip_range=True), limit_rows=10, most_requests=100)
