"""What follows from the surface follows by rule: the same origin gives the same table, and a bad one gives none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.derived import (
    MOST_NAMES,
    Column,
    ColumnOrigin,
    FlagOrigin,
    Origin,
    TableOrigin,
    ValueOrigin,
    build_derived,
    choose_columns,
    describe_refusal,
)
from jobs.errors import OutsideSurface
from jobs.surface import Reference, Surface, read_surface
from tests.unit.test_jobs_surface import PEOPLE_TABLES, PERSONAL, SCRIPTS, SECRET

SURFACE = read_surface()
SITE = TableOrigin(
    "u_dl_site",
    (
        Column("u_site", "string"),
        Column("u_group", "reference", "sys_user_group"),
        Column("u_backups", "glide_list", "sys_user_group"),
        Column("u_keeper", "reference", "sys_user"),
        Column("order", "integer"),
    ),
)


def test_a_discovered_table_is_its_parent_with_the_columns_that_may_be_read() -> None:
    table = build_derived(SURFACE, SITE)
    parent = SURFACE.tables["dl_matcher"]
    assert (table.name, table.base, table.depth, table.kind) == ("u_dl_site", "dl_matcher", 1, "lookup_row")
    assert table.fields == (*parent.fields, "u_backups", "u_group", "u_site")
    assert table.filter == "sys_class_name=u_dl_site"
    own = {name: table.references[name] for name in ("u_group", "u_backups")}
    assert own == {
        "u_group": Reference("NAMES", to="sys_user_group"),
        "u_backups": Reference("NAMES", to="sys_user_group", many=True),
    }
    assert table.attributes == ("active", "order", "u_site")


def test_the_order_in_which_the_dictionary_told_changes_nothing() -> None:
    again = replace(SITE, columns=tuple(reversed(SITE.columns)))
    assert replace(build_derived(SURFACE, again), origin=SITE) == build_derived(SURFACE, SITE)


@pytest.mark.parametrize(
    "element",
    ["u_name", "category", "cmdb_ci", "location", "u_region_code", "impact",
     "assignment_group", "u_groups", "u_product_line", "u_monday"],
)  # fmt: skip
def test_a_plain_column_is_kept(element: str) -> None:
    assert choose_columns([Column(element, "string")]) == (Column(element, "string"),)


@pytest.mark.parametrize("element", sorted((PERSONAL | SCRIPTS) - {"preview", "meta", "validator", "source",
    "read_script", "validate_regex", "dynamic_creation_script", "function_definition", "apply_to", "query_from",
    "insert_callback", "save_script"}))  # fmt: skip
def test_a_column_of_a_person_or_of_code_is_left_out_whatever_its_type(element: str) -> None:
    for name in (element, f"u_{element}", f"u_{element}_2"):
        assert choose_columns([Column(name, "string"), Column(name, "integer")]) == ()


@pytest.mark.parametrize(
    "element",
    ["u_password", "u_door_key", "api_token", "u_secret_word", "u_credentials", "u_private_note",
     "u_certificate", "sys_created_by", "sys_domain", "U_SITE", "u_site.name", "u site", "", "9lives", "a" * 81],
)  # fmt: skip
def test_a_secret_a_system_column_or_no_name_at_all_is_left_out(element: str) -> None:
    assert choose_columns([Column(element, "string")]) == ()


@pytest.mark.parametrize(
    "internal_type",
    ["script", "script_plain", "script_server", "password", "password2", "email", "phone_number_e164", "url",
     "html", "journal", "journal_input", "xml", "conditions", "translated_html", "user_input", "compressed", ""],
)  # fmt: skip
def test_a_type_that_is_not_plain_is_left_out(internal_type: str) -> None:
    assert choose_columns([Column("u_site", internal_type)]) == ()


@pytest.mark.parametrize(
    "target",
    ["sys_user", "sys_user_grmember", "sys_user_has_role", "customer_contact", "csm_consumer", "u_employee",
     "sn_hr_core_profile", "live_profile", "sys_attachment", "awa_agent_presence", "x_acme_user"],
)  # fmt: skip
def test_a_reference_to_people_is_left_out(target: str) -> None:
    assert choose_columns([Column("u_thing", kind, target) for kind in ("reference", "glide_list")]) == ()


@pytest.mark.parametrize(
    "target", ["sys_user_group", "cmdb_ci", "cmn_location", "u_facility", "sys_user_role"]
)
def test_a_reference_to_anything_else_is_kept(target: str) -> None:
    assert len(choose_columns([Column("u_thing", "reference", target)])) == 1


NAMES = st.text("abu_.x ^9", max_size=12) | st.sampled_from(sorted(PERSONAL | SCRIPTS))


@given(
    st.lists(st.builds(Column, NAMES, st.sampled_from(["string", "reference", "script"]), NAMES), max_size=9)
)
def test_no_dictionary_whatever_it_says_makes_a_table_of_people_code_or_secrets(
    columns: list[Column],
) -> None:
    try:
        table = build_derived(SURFACE, TableOrigin("u_dl_site", tuple(columns)))
    except OutsideSurface:
        return
    assert not set(table.fields) & {"manager", "email", "script", "user", "assigned_to", "owner"}
    assert not [name for name in table.fields if SECRET.search(name) or "." in name]
    assert not [one.to for one in table.references.values() if PEOPLE_TABLES.match(one.to)]


@pytest.mark.parametrize("name", ["dl_u_assignment", "u_dl_site", "x_acme_lookup"])
def test_a_lookups_table_and_a_custom_one_may_be_read(name: str) -> None:
    assert describe_refusal(name) is None


@pytest.mark.parametrize(
    "name",
    ["incident", "sys_user", "sys_user_group", "task", "sn_hr_core_case", "u_employee_list", "u_contacts",
     "x_acme_user", "U_SITE", "u_site/../sys_user", "u_site?sysparm_view=x", "u_a,u_b", "u_", "", "u_" + "a" * 80],
)  # fmt: skip
def test_any_other_table_that_an_instance_names_is_refused(name: str) -> None:
    assert describe_refusal(name) is not None
    for origin in (TableOrigin(name, (Column("u_site", "string"),)), ColumnOrigin((name,))):
        with pytest.raises(OutsideSurface, match="nothing was asked"):
            build_derived(SURFACE, origin)


def test_a_table_with_too_many_columns_or_one_of_them_twice_is_refused() -> None:
    many = tuple(Column(f"u_{number:03}_{'a' * 40}", "string") for number in range(100))
    twice = (Column("u_site", "string"), Column("u_site", "integer"))
    for columns in (many, twice):
        with pytest.raises(OutsideSurface, match="too many columns, or one of them twice"):
            build_derived(SURFACE, TableOrigin("u_dl_site", columns))


def test_the_dictionary_is_asked_for_the_named_tables_and_what_it_needs_to_say() -> None:
    table = build_derived(SURFACE, ColumnOrigin(("dl_u_assignment", "u_dl_site")))
    assert (table.name, table.fields) == (
        "sys_dictionary", ("sys_id", "name", "element", "internal_type", "reference"),
    )  # fmt: skip
    assert table.filter == "elementISNOTEMPTY^nameINdl_u_assignment,u_dl_site"


def test_a_flag_asks_for_keys_alone_by_a_column_that_is_not_read() -> None:
    flag = FlagOrigin("sysrule_assignment", "opaque", "script")
    table, opposite = (build_derived(SURFACE, replace(flag, is_opposite=told)) for told in (False, True))
    assert (table.fields, table.filter) == (("sys_id",), "scriptISNOTEMPTY")
    assert (opposite.fields, opposite.filter) == (("sys_id",), "scriptISEMPTY")


def test_values_are_asked_for_by_name_and_never_of_a_secret_type() -> None:
    table = build_derived(SURFACE, ValueOrigin("sys_properties", ("instance_name", "x_acme.switch")))
    assert table.fields == ("sys_id", "name", "type", "value")
    assert table.filter == "nameINinstance_name,x_acme.switch^type!=password^type!=password2"


BAD: list[Origin] = [
    FlagOrigin("sysrule_assignment", "opaque", "user"), FlagOrigin("sysrule_assignment", "other", "script"),
    FlagOrigin("sys_user", "opaque", "script"), FlagOrigin("sys_user_group", "opaque", "script"),
    ValueOrigin("sys_properties", ()), ValueOrigin("sys_user_group", ("instance_name",)),
    ValueOrigin("sys_properties", ("instance_name", "glide.smtp.password")),
    ValueOrigin("sys_properties", ("a^ORnameISNOTEMPTY",)),
    ValueOrigin("sys_properties", tuple(f"x.{number}" for number in range(MOST_NAMES + 1))),
    ColumnOrigin(()), ColumnOrigin(tuple(f"u_t{number}" for number in range(MOST_NAMES + 1))),
]  # fmt: skip


@pytest.mark.parametrize("origin", BAD, ids=range(len(BAD)))
def test_an_origin_to_which_the_surface_does_not_lead_is_refused(origin: Origin) -> None:
    with pytest.raises(OutsideSurface):
        build_derived(SURFACE, origin)


def test_a_surface_without_a_discovery_discovers_nothing() -> None:
    bare = Surface(version="", tables=SURFACE.tables)
    for origin in (SITE, ColumnOrigin(("u_dl_site",))):
        with pytest.raises(OutsideSurface, match="discovers no tables"):
            build_derived(bare, origin)
