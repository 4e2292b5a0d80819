"""The read surface names no person, no script and no secret, contradicts itself nowhere, and says its version."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import jobs.surface
from jobs.filters import name_fields, parse_filter
from jobs.sensitive import is_secret_name
from jobs.surface import Discovery, End, Link, Reference, Table, _parse_table, read_surface

SURFACE = read_surface()
# People: who did, owns, or is asked; and what reaches them.
PERSONAL = {
    "sys_created_by", "sys_updated_by", "manager", "default_assignee", "owner", "editors", "user", "users",
    "assigned_to", "email", "phone", "mobile_phone", "first_name", "last_name", "user_name", "caller_id",
    "opened_by", "opened_for", "requested_for",
    "requested_by", "subject_person", "members", "source", "granted_by_user", "approver", "skills",
}  # fmt: skip
SCRIPTS = {
    "script", "post_insert_script", "save_script", "delivery_plan_script", "entitlement_script", "preview", "validator",
    "condition_script", "generation_script", "read_script", "validate_regex", "reference_qual",
    "reference_qual_condition", "default_value", "calculation", "dynamic_creation_script", "formula",
    "function_definition", "apply_to", "query_from",
    "query_with", "insert_callback", "meta",
}  # fmt: skip
SECRET = re.compile(r"passw|secret|token|credential|private_key|api_key|certificate")
PEOPLE_TABLES = re.compile(
    r"sys_user$|sys_user_grmember|sys_user_has_role|incident|task$|sc_request|sc_req_item|sys_attachment|sys_journal"
    r"|sys_audit|sn_hr_core_(case|task|profile)|sn_hr_le_case|sn_hr_er_|awa_agent|awa_work_item|awa_offer"
)
ENTRY: dict[str, Any] = {
    "name": "u_thing", "kind": "thing", "fields": ["name", "u_parent"], "why": "It says why.", "role": "itil",
    "references": {"u_parent": {"kind": "CHILD_OF", "to": "u_thing"}},
}  # fmt: skip
LINK: dict[str, Any] = {
    "name": "u_filing", "fields": ["u_thing", "u_folder"], "why": "It says why.", "role": "itil",
    "link": {
        "kind": "FILED_IN",
        "from": {"field": "u_thing", "table": "u_thing"},
        "to": {"field": "u_folder", "table": "u_folder"},
    },
}  # fmt: skip

every_table = pytest.mark.parametrize("table", SURFACE.tables.values(), ids=lambda table: table.name)


def parse(entry: dict[str, Any], *, parent: Table | None = None) -> Table:
    return _parse_table("tests", entry, parent=parent)


@every_table
def test_no_column_is_of_a_person_a_script_or_a_secret(table: Table) -> None:
    fields = set(table.fields)
    assert not fields & PERSONAL
    assert not fields & SCRIPTS
    assert not [name for name in fields if SECRET.search(name) or name.endswith("_script")]
    walks = [name for name in fields if "." in name]
    assert walks == (["super_class.name"] if table.name == "sys_db_object" else []), "a walk leaves the table"


@every_table
def test_no_table_holds_people_or_their_work(table: Table) -> None:
    assert not PEOPLE_TABLES.match(table.name)
    assert not [one.to for one in table.references.values() if PEOPLE_TABLES.match(one.to)]


@every_table
def test_every_table_says_why_and_by_which_role_it_is_read(table: Table) -> None:
    assert table.why.endswith(".")
    assert re.fullmatch(r"[a-z_.]+", table.role)
    assert table.fields[0] == "sys_id"
    assert SURFACE.tables[table.name] is table


@every_table
def test_every_field_of_a_node_has_one_place(table: Table) -> None:
    if table.link:
        return
    placed = [*table.attributes, *table.references, *{table.label, "sys_id"}]
    placed += {"sys_class_name"} & set(table.fields) - table.references.keys()
    assert sorted(placed) == sorted(table.fields)


@every_table
def test_the_fields_hash_names_the_set_of_fields(table: Table) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", table.fields_hash)
    assert parse(ENTRY).fields_hash != parse({**ENTRY, "fields": ["u_parent", "name"]}).fields_hash


def test_the_domains_that_are_promised_are_there() -> None:
    assert {table.domain for table in SURFACE.tables.values()} == {
        "assignment groups", "catalogue", "HR services", "routing rules", "custom table schemas", "system properties",
    }  # fmt: skip


@every_table
def test_a_flag_speaks_of_code_alone_and_reads_none_of_it(table: Table) -> None:
    for columns in table.flags.values():
        assert columns
        assert not [name for name in columns if name not in SCRIPTS]
        assert not set(columns) & set(table.fields)


@every_table
def test_a_filter_can_be_checked_on_what_comes(table: Table) -> None:
    assert name_fields(table.filter) <= set(table.fields)


def test_only_custom_tables_columns_and_choices_are_described() -> None:
    rows = {
        "sys_db_object": ({"name": "u_own"}, {"name": "incident"}),
        "sys_dictionary": (
            {"name": "incident", "element": "u_own"},
            {"name": "incident", "element": "state"},
        ),
        "sys_choice": ({"name": "x_acme_own", "element": "state"}, {"name": "incident", "element": "state"}),
    }
    for name, (ours, others) in rows.items():
        conditions = parse_filter(SURFACE.tables[name].filter)
        answers = [
            all(any(term.holds(row) for term in any_of) for any_of in conditions) for row in (ours, others)
        ]
        assert answers == [True, False], name


def test_values_are_read_of_a_few_harmless_properties_each_with_its_reason() -> None:
    valued = [table for table in SURFACE.tables.values() if table.values]
    assert [table.name for table in valued] == ["sys_properties"]
    for name, why in valued[0].values.items():
        assert not is_secret_name(name)
        assert why.endswith(".")


def test_a_deployment_adds_values_and_no_secret_ones() -> None:
    more = SURFACE.with_values(["x_acme.switch", "instance_name"])
    values = more.tables["sys_properties"].values
    assert set(values) - set(SURFACE.tables["sys_properties"].values) == {"x_acme.switch"}
    assert values["instance_name"] == SURFACE.tables["sys_properties"].values["instance_name"]
    for name in ("x_acme.password", "x_acme.api.key", "a^b", ""):
        with pytest.raises(ValueError, match="of its values"):
            SURFACE.with_values([name])


def test_discovered_tables_join_the_surface_of_one_run() -> None:
    found = replace(SURFACE.tables["dl_matcher"], name="u_dl_site", depth=1)
    joined = SURFACE.with_tables([found])
    assert "u_dl_site" in joined.subclasses
    assert (joined.bases, joined.version) == (SURFACE.bases, SURFACE.version)
    assert "u_dl_site" not in SURFACE.tables


def test_bases_are_what_node_ids_begin_with() -> None:
    assert "sc_cat_item" in SURFACE.bases
    assert "sc_cat_item_producer" not in SURFACE.bases
    assert "sc_cat_item_category" not in SURFACE.bases
    assert "sc_cat_item_producer" in SURFACE.subclasses
    assert set(SURFACE.subclasses).isdisjoint(SURFACE.bases)


def copy_surface(folder: Path, change: Callable[[str], str]) -> None:
    for path in files(jobs.surface).iterdir():
        if path.name.endswith(".toml"):
            (folder / path.name).write_text(change(path.read_text("utf-8")), "utf-8")


def read_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> jobs.surface.Surface:
    """Read a surface as if its files lay elsewhere, past the cache."""
    monkeypatch.setattr(jobs.surface, "files", lambda _package: folder)
    return read_surface.__wrapped__()


def test_the_version_changes_with_any_byte_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_surface(tmp_path, str)
    same = read_from(tmp_path, monkeypatch)
    assert (same.version, same.tables) == (SURFACE.version, SURFACE.tables)
    copy_surface(tmp_path, lambda text: text.replace('"description"', '"description", "u_more"', 1))
    assert read_from(tmp_path, monkeypatch).version != SURFACE.version


def test_a_table_that_stands_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_surface(tmp_path, str)
    first = min(tmp_path.iterdir())
    (tmp_path / "zzz.toml").write_text(first.read_text("utf-8"), "utf-8")
    with pytest.raises(ValueError, match="stands twice"):
        read_from(tmp_path, monkeypatch)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.toml").write_text("[[table]\n")
    with pytest.raises(tomllib.TOMLDecodeError):
        read_from(tmp_path, monkeypatch)


def test_a_table_is_parsed() -> None:
    assert parse(ENTRY) == Table(
        domain="tests", name="u_thing", fields=("sys_id", "name", "u_parent"), why="It says why.", role="itil",
        base="u_thing", kind="thing", references={"u_parent": Reference("CHILD_OF", to="u_thing")},
    )  # fmt: skip
    assert parse(LINK).link == Link("FILED_IN", End("u_thing", "u_thing"), End("u_folder", "u_folder"))


def test_a_subclass_has_its_parents_fields_references_and_base() -> None:
    parent = parse(ENTRY)
    child = {
        "name": "u_special",
        "extends": "u_thing",
        "kind": "special",
        "fields": ["u_own"],
        "why": "",
        "role": "",
    }
    table = parse(child, parent=parent)
    assert table.fields == ("sys_id", "name", "u_parent", "u_own")
    assert (table.base, table.depth, table.references) == ("u_thing", 1, parent.references)
    grandchild = parse(
        {**child, "name": "u_rare", "extends": "u_special", "fields": ["u_rare"]}, parent=table
    )
    assert (grandchild.base, grandchild.depth, len(grandchild.fields)) == ("u_thing", 2, 5)


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        *[(without(ENTRY, key), key) for key in ("name", "fields", "why", "role")],
        (without(ENTRY, "kind"), "a kind of node or a link"),
        (without(LINK, "link"), "a kind of node or a link"),
        ({**LINK, "kind": "thing"}, "and not both"),
        ({**ENTRY, "feilds": ["x"]}, "feilds"),
        ({**ENTRY, "extends": "u_other"}, "extends u_other, which does not stand before it"),
        ({**ENTRY, "fields": ["name", "u_parent", "name"]}, "names a field twice"),
        ({**ENTRY, "fields": ["name", "u_parent", "sys_id"]}, "names a field twice"),
        ({**ENTRY, "fields": ["u_parent"]}, "does not ask for: name"),
        ({**ENTRY, "fields": ["name"]}, "does not ask for: u_parent"),
        ({**ENTRY, "label": "u_label"}, "does not ask for: u_label"),
        ({**ENTRY, "fields": "name"}, "fields"),
        ({**ENTRY, "fields": ["name", "u_parent", "a,b"]}, "'a,b'"),
        ({**ENTRY, "fields": ["name", "u_parent", "parent.name"]}, "parent.name"),
        ({**ENTRY, "fields": ["name", "u_parent", 7]}, "u_thing"),
        ({**ENTRY, "name": "u_thing?sysparm_view=x"}, "cannot be a name"),
        ({**ENTRY, "references": {"u_parent": {"kind": "CHILD_OF"}}}, "u_thing"),
        ({**ENTRY, "references": {"u_parent": {"kind": "CHILD_OF", "to": "u_thing", "mnay": True}}}, "mnay"),
        ({**ENTRY, "references": ["u_parent"]}, "u_thing"),
        ({**LINK, "fields": ["u_thing"]}, "does not ask for: u_folder"),
        ({**LINK, "link": {"kind": "FILED_IN", "from": {"field": "u_thing", "table": "u_thing"}}}, "'to'"),
        ({**LINK, "link": {**LINK["link"], "to": {"field": "u_folder"}}}, "u_filing"),
        ({**LINK, "link": "FILED_IN"}, "u_filing"),
        ({**ENTRY, "key": "u_key"}, "does not ask for: u_key"),
        ({**ENTRY, "filter": "u_own=true"}, "does not ask for: u_own"),
        ({**ENTRY, "filter": "nameLIKEx"}, "no term of a filter"),
        ({**ENTRY, "flags": {"opaque": ["name"]}}, "only a flag may speak of: name"),
        ({**ENTRY, "flags": {"name": ["script"]}}, "only a flag may speak of: name"),
        ({**ENTRY, "flags": {"opaque": "script"}}, "a list of columns"),
        ({**ENTRY, "flags": {"opaque": []}}, "a list of columns"),
        ({**ENTRY, "flags": {"opaque": ["script^ORnameISNOTEMPTY"]}}, "cannot be a name"),
        ({**LINK, "flags": {"opaque": ["script"]}}, "is a link and can have no flag"),
        ({**ENTRY, "values": {"instance_name": "Why."}}, "no name and type"),
        (
            {**ENTRY, "fields": ["name", "type", "u_parent"], "values": {"a.secret": "Why."}},
            "looks like a secret's",
        ),
        ({**ENTRY, "fields": ["name", "u_parent", "u_parent.name"]}, "u_parent.name"),
        (
            {
                **ENTRY,
                "fields": ["name", "u.email"],
                "references": {"u.email": {"kind": "K", "to": "sys_db_object"}},
            },
            "u.email",
        ),
        (
            {
                **ENTRY,
                "fields": ["name", "u.name"],
                "references": {"u.name": {"kind": "K", "to": "sys_user"}},
            },
            "u.name",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse(entry)


def test_the_one_walk_that_is_allowed_is_to_the_name_of_a_table() -> None:
    walk = {"super_class.name": {"kind": "EXTENDS", "to": "sys_db_object"}}
    table = parse({**ENTRY, "fields": ["name", "super_class.name"], "references": walk})
    assert table.fields == ("sys_id", "name", "super_class.name")


def test_a_discovery_that_rests_on_an_unknown_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_surface(tmp_path, lambda text: text.replace('extends = "dl_matcher"', 'extends = "u_nowhere"'))
    with pytest.raises(ValueError, match="not in the surface"):
        read_from(tmp_path, monkeypatch)


def test_the_discovery_is_read() -> None:
    assert isinstance(SURFACE.discovery, Discovery)
    assert SURFACE.discovery.domain == "routing rules"
