"""Nothing outside the read surface can be asked for, whoever asks."""

import dataclasses
from dataclasses import replace
from functools import partial

import pytest

from jobs.derived import (
    Column,
    ColumnOrigin,
    FlagOrigin,
    Origin,
    TableOrigin,
    ValueOrigin,
    build_derived,
)
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


SURFACE = read_surface()
SITE = TableOrigin(
    "u_dl_site", (Column("u_site", "string"), Column("u_group", "reference", "sys_user_group"))
)
ORIGINS: list[Origin] = [
    SITE,
    ColumnOrigin(("u_dl_site",)),
    FlagOrigin("sysrule_assignment", "opaque", "script"),
    FlagOrigin("sysrule_assignment", "opaque", "script", is_opposite=True),
    ValueOrigin("sys_properties", ("instance_name",)),
]


@pytest.mark.parametrize("origin", ORIGINS, ids=repr)
def test_what_follows_from_the_surface_may_be_asked_for(origin: Origin) -> None:
    table = build_derived(SURFACE, origin)
    question = build_page_question(table, Position(), limit_rows=10)
    assert question.path == f"/api/now/table/{table.name}"
    assert question.parameters["sysparm_query"] == f"{table.filter}^ORDERBYsys_id"
    assert build_count_question(table).parameters["sysparm_query"] == table.filter


FORGED = [
    *(
        replace(build_derived(SURFACE, origin), **change)
        for origin in ORIGINS
        for change in (
            {"name": "sys_user"},
            {"fields": ("sys_id", "user_name")},
            {"filter": "sys_idISNOTEMPTY"},
        )
    ),
    replace(build_derived(SURFACE, SITE), origin=ORIGINS[1]),
    replace(
        build_derived(SURFACE, SITE),
        origin=TableOrigin("u_dl_site", (Column("u_site", "script"),)),
    ),
    replace(build_derived(SURFACE, SITE), name="incident", origin=TableOrigin("incident", SITE.columns)),
    replace(
        build_derived(SURFACE, ORIGINS[4]),
        filter="nameINx.password^type!=password^type!=password2",
        origin=ValueOrigin("sys_properties", ("x.password",)),
    ),
]


@pytest.mark.parametrize("table", FORGED, ids=range(len(FORGED)))
def test_a_table_that_does_not_follow_from_what_it_says_is_refused(table: Table) -> None:
    """It is built anew from its origin, and only what comes of that is asked for."""
    for ask in (build_count_question, partial(build_page_question, position=Position(), limit_rows=10)):
        with pytest.raises(OutsideSurface, match="nothing was asked"):
            ask(table)


def test_a_discovered_table_that_hides_where_it_comes_from_is_refused() -> None:
    table = build_derived(SURFACE, SITE)
    plain = Table(**{one.name: getattr(table, one.name) for one in dataclasses.fields(Table)})
    with pytest.raises(OutsideSurface, match="not in the read surface"):
        build_page_question(plain, Position(), limit_rows=10)


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
