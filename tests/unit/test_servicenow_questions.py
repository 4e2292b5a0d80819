"""Nothing outside the read surface can be asked for, whoever asks."""

from dataclasses import replace

import pytest

from jobs.errors import OutsideSurface
from jobs.page import Position
from jobs.surface import Table, read_surface
from worker.servicenow.questions import build_count_question, build_page_question

GROUPS = read_surface().tables["sys_user_group"]
FOREIGN = [
    replace(GROUPS, name="sys_user"),
    replace(GROUPS, name="sys_user_group/../sys_user"),
    replace(GROUPS, name=""),
    replace(GROUPS, fields=(*GROUPS.fields, "manager")),
    replace(GROUPS, fields=("sys_id", "manager.email")),
    replace(GROUPS, filter="managerISNOTEMPTY"),
]


@pytest.mark.parametrize("table", FOREIGN, ids=range(len(FOREIGN)))
def test_a_foreign_table_field_or_filter_is_refused(table: Table) -> None:
    with pytest.raises(OutsideSurface, match="surface"):
        build_page_question(table, Position(), limit_rows=10)
    with pytest.raises(OutsideSurface, match="surface"):
        build_count_question(table)


@pytest.mark.parametrize("table", read_surface().tables.values(), ids=lambda table: table.name)
def test_every_table_of_the_surface_may_be_asked_for_or_a_part_of_it(table: Table) -> None:
    question = build_page_question(table, Position("a" * 32, 20), limit_rows=10)
    assert (question.path, question.fields_hash) == (f"/api/now/table/{table.name}", table.fields_hash)
    assert build_count_question(table).path == f"/api/now/stats/{table.name}"
    part = replace(table, fields=("sys_id",))
    assert build_page_question(part, Position(), limit_rows=10).parameters["sysparm_fields"] == ",".join(
        part.asked
    )


@pytest.mark.parametrize(
    "position",
    [
        Position("a"),
        Position("A" * 32),
        Position("a" * 32 + "^ORsys_idISNOTEMPTY"),
        Position("a" * 32 + "\n"),
        Position("", -1),
    ],
)
def test_a_position_that_is_none_is_refused(position: Position) -> None:
    with pytest.raises(OutsideSurface, match="read the table anew"):
        build_page_question(GROUPS, position, limit_rows=10)


def test_a_refusal_is_ours_to_mend_and_is_not_tried_again() -> None:
    assert (OutsideSurface.retry, OutsideSurface.audience) == ("never", "developer")
