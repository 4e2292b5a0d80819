"""Made rows are plausible, known and the same again; rows from files are what the files say."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from jobs.surface import read_surface
from ops.simulator import Store, made_store, records_store
from ops.simulator.columns import known_tables
from ops.simulator.making import Maker

A, B, C = "a" * 32, "b" * 32, "c" * 32
STORE = made_store(seed=3, groups=1_200, items=100)
PEOPLE_AND_WORK = (
    "sys_user", "incident", "sc_request", "sys_attachment", "sys_user_grmember", "sn_hr_core_case",
    "sn_hr_core_profile", "awa_work_item",
)  # fmt: skip


def give_content(store: Store) -> dict[str, list[dict[str, str]]]:
    return {name: store.rows(name) for name in sorted(store.tables)}


def test_the_same_seed_and_sizes_make_the_same_rows() -> None:
    small = give_content(made_store(seed=5, groups=20, items=20))
    assert small == give_content(made_store(seed=5, groups=20, items=20))
    assert small != give_content(made_store(seed=6, groups=20, items=20))


def test_there_are_as_many_groups_and_items_as_were_asked_for() -> None:
    assert len(STORE.rows("sys_user_group")) == 1_200
    assert len(STORE.rows("sc_cat_item")) == 100
    classes = {row["sys_class_name"] for row in STORE.rows("sc_cat_item")}
    assert classes == {"sc_cat_item", "sc_cat_item_producer", "sc_cat_item_guide", "sc_cat_item_content"}


@pytest.mark.parametrize(("groups", "items"), [(0, 0), (1, 1), (2, 40)])
def test_any_size_can_be_made(groups: int, items: int) -> None:
    store = made_store(groups=groups, items=items)
    assert (len(store.rows("sys_user_group")), len(store.rows("sc_cat_item"))) == (groups, items)


def test_every_sys_id_is_one_and_of_one_row() -> None:
    for name in STORE.tables:
        ids = [row["sys_id"] for row in STORE.rows(name)]
        assert len(ids) == len(set(ids)), name
        assert all(len(sys_id) == 32 and int(sys_id, 16) >= 0 for sys_id in ids), name


def test_groups_nest_without_a_circle() -> None:
    parents = {row["sys_id"]: row["parent"] for row in STORE.rows("sys_user_group")}
    for sys_id in parents:
        seen, at = set(), sys_id
        while at in parents:
            assert at not in seen
            seen.add(at)
            at = parents[at]


def test_some_references_dangle_and_most_do_not() -> None:
    known = {row["sys_id"] for row in STORE.rows("cmn_cost_center")}
    named = [row["cost_center"] for row in STORE.rows("sys_user_group") if row["cost_center"]]
    dangling = [sys_id for sys_id in named if sys_id not in known]
    assert 0 < len(dangling) < len(named) / 10


def test_a_dangling_reference_names_no_row_of_a_table_of_any_size() -> None:
    maker = Maker(1, Random(1))  # noqa: S311  not for secrets
    rows = {maker.id_of("sys_user_group", number) for number in range(5_000)}
    found = {maker.reference("sys_user_group", 2) for _ in range(400)}
    assert {maker.id_of("sys_user_group", number) for number in (0, 1)} == found & rows
    assert found - rows


def test_some_names_are_odd() -> None:
    names = [row["name"] for row in STORE.rows("sys_user_group")]
    assert len(set(names)) == len(names)
    for odd in ("\n", '"', "<b>", "東京", "🚀", "\u200b"):
        assert any(odd in name for name in names), odd


@pytest.mark.parametrize("table", [name for name in read_surface().tables if name in STORE.tables])
def test_nothing_of_the_read_surface_is_a_canary(table: str) -> None:
    """Promise: a canary found in what was stored means that a forbidden column was asked for."""
    rows = STORE.rows(table)
    assert rows
    for field in read_surface().tables[table].fields:
        assert not any("CANARY" in row.get(field, "") for row in rows), field


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("sys_user_group", "manager"), ("sys_user_group", "email"), ("sys_user_group", "source"),
        ("sys_user_group", "default_assignee"), ("sys_user_group", "sys_created_by"),
        ("sys_user_group", "sys_updated_by"), ("sc_cat_item", "owner"), ("sc_cat_item", "delivery_plan_script"),
        ("sc_cat_item_producer", "script"), ("sc_catalog", "manager"), ("sc_category", "entitlement_script"),
        ("cmn_cost_center", "manager"), ("sc_cat_item_delivery_plan", "script"),
        ("sc_cat_item_delivery_task", "assigned_to"), ("sc_cat_item_delivery_task", "condition_script"),
        ("user_criteria", "user"), ("user_criteria", "script"), ("item_option_new", "default_value"),
        ("item_option_new", "reference_qual"), ("sn_hr_core_template", "assigned_to"),
        ("sn_hr_core_template", "template"), ("sn_hr_core_template", "skills"),
        ("sn_hr_core_service", "fulfillment_instructions"), ("sysrule_assignment", "user"),
        ("sysrule_assignment", "script"), ("dl_u_assignment", "assigned_to"), ("u_dl_site", "u_on_call"),
        ("u_dl_site", "u_watchers"), ("u_dl_site", "u_contact_email"), ("u_dl_site", "u_guard_script"),
        ("u_dl_site", "u_door_password"), ("awa_queue", "script"), ("sys_properties", "value"),
        ("sys_dictionary", "default_value"),
    ],
)  # fmt: skip
def test_personal_and_script_columns_hold_canaries(table: str, column: str) -> None:
    assert any("CANARY" in row[column] for row in STORE.rows(table))


def test_every_property_that_may_not_be_read_holds_a_canary_and_the_others_none() -> None:
    listed = read_surface().tables["sys_properties"].values
    rows = {row["name"]: row["value"] for row in STORE.rows("sys_properties")}
    assert {name for name, value in rows.items() if "CANARY" in value} == rows.keys() - listed.keys()
    assert rows.keys() & listed.keys()


def test_lookups_stand_in_tables_that_extend_the_matcher_and_are_described() -> None:
    matchers = {row["matcher_table"] for row in STORE.rows("dl_definition")}
    assert matchers == {row["sys_class_name"] for row in STORE.rows("dl_matcher")}
    described = {row["name"] for row in STORE.rows("sys_dictionary") if row["element"]}
    assert matchers <= described


@pytest.mark.parametrize("table", PEOPLE_AND_WORK)
def test_people_and_their_work_are_canaries_throughout(table: str) -> None:
    rows = STORE.rows(table)
    assert len(rows) == 5
    assert all("CANARY-FORBIDDEN" in "".join(row.values()) for row in rows)


def test_the_dictionary_describes_the_tables_that_are_there() -> None:
    assert {row["name"] for row in STORE.rows("sys_db_object")} == set(known_tables())
    entries = {(row["name"], row["element"]): row for row in STORE.rows("sys_dictionary")}
    assert entries["sys_user_group", ""]["internal_type"] == "collection"
    parent = entries["sys_user_group", "parent"]
    assert (parent["internal_type"], parent["reference"]) == ("reference", "sys_user_group")
    by_id = {row["sys_id"]: row["name"] for row in STORE.rows("sys_db_object")}
    extending = {row["name"]: by_id.get(row["super_class"]) for row in STORE.rows("sys_db_object")}
    assert extending["sc_cat_item_producer"] == "sc_cat_item"


def write(folder: Path, table: str, *rows: object) -> None:
    (folder / f"{table}.jsonl").write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))


def test_each_file_of_a_folder_is_a_table(tmp_path: Path) -> None:
    write(
        tmp_path,
        "sys_user_group",
        {"sys_id": A, "name": "Hardware", "active": True, "points": 5, "parent": None},
    )
    write(tmp_path, "u_own", {"sys_id": B, "u_text": "x"})
    (tmp_path / "README.md").write_text("not rows")
    store = records_store(tmp_path)
    assert set(store.tables) == {"sys_user_group", "u_own"}
    (row,) = store.rows("sys_user_group")
    assert (row["name"], row["active"], row["points"], row["parent"]) == ("Hardware", "true", "5", "")
    assert store.rows("u_own")[0]["u_text"] == "x"


def test_a_link_says_that_a_column_is_a_reference(tmp_path: Path) -> None:
    link = {"link": f"https://x.example.invalid/api/now/table/sys_user_group/{A}", "value": A}
    named = {"link": "https://x.example.invalid/api/now/table/sys_db_object?name=task", "value": "task"}
    write(tmp_path, "u_own", {"sys_id": B, "u_group": ""}, {"sys_id": C, "u_group": link, "u_table": named})
    store = records_store(tmp_path)
    table = store.table("u_own")
    assert table
    columns = table.columns()
    assert (columns["u_group"].kind, columns["u_group"].target) == ("reference", "sys_user_group")
    assert (columns["u_table"].target, columns["u_table"].key) == ("sys_db_object", "name")
    assert {row["sys_id"]: row["u_group"] for row in store.rows("u_own")} == {B: "", C: A}


def test_a_row_without_a_key_gets_one_from_its_content(tmp_path: Path) -> None:
    write(tmp_path, "u_own", {"u_text": "x"}, {"u_text": "y"})
    ids = [row["sys_id"] for row in records_store(tmp_path).rows("u_own")]
    assert len(set(ids)) == 2
    assert ids == [row["sys_id"] for row in records_store(tmp_path).rows("u_own")]


def test_a_row_that_two_files_have_is_one_row_of_its_class(tmp_path: Path) -> None:
    common = {"sys_id": A, "name": "Ask", "sys_class_name": "sc_cat_item_producer"}
    write(tmp_path, "sc_cat_item", common, {"sys_id": B, "name": "Laptop"})
    write(tmp_path, "sc_cat_item_producer", {**common, "table_name": "incident"})
    store = records_store(tmp_path)
    assert [(row["sys_id"], row["sys_class_name"]) for row in store.rows("sc_cat_item")] == [
        (A, "sc_cat_item_producer"),
        (B, "sc_cat_item"),
    ]
    assert [row["table_name"] for row in store.rows("sc_cat_item_producer")] == ["incident"]


@pytest.mark.parametrize("line", ["{", "[]", '"text"', '{"sys_id": "\\ud800"}'])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "u_own.jsonl").write_text(f'{{"sys_id": "{A}"}}\n{line}\n')
    with pytest.raises(ValueError, match=r"u_own.jsonl, line 2: not a row"):
        records_store(tmp_path)


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no TABLE.jsonl in"):
        records_store(tmp_path)
