"""The same rows make the same bytes; a hash and a digest follow from them and from nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.asides import Aside
from jobs.errors import ResponseInvalid
from jobs.graph import EdgeLine, NodeLine, Source, build_part, digest_lines, encode_line, hash_line
from jobs.surface import End, Link, Reference, Table, read_surface

A, B, C, D = (character * 32 for character in "abcd")
THING = Table(
    domain="tests",
    name="u_thing",
    fields=("sys_id", "u_label", "sys_class_name", "u_zeta", "u_alpha", "u_parent", "u_kinds"),
    why="",
    role="",
    base="u_root",
    depth=1,
    kind="thing",
    label="u_label",
    references={
        "u_parent": Reference("CHILD_OF", to="u_root"),
        "u_kinds": Reference("HAS_KIND", to="u_kind", many=True),
    },
)
FILING = Table(
    domain="tests", name="u_filing", fields=("sys_id", "u_thing", "u_folder"), why="", role="", base="u_filing",
    link=Link("FILED_IN", start=End("u_thing", "u_root"), end=End("u_folder", "u_folder")),
)  # fmt: skip
NODE = NodeLine(
    id=f"u_root:{A}", kind="thing", table="u_thing", sys_id=A, name="Näme", attributes={"b": "2", "a": "1"}
)
EDGE = EdgeLine(
    kind="CHILD_OF",
    from_id=f"u_root:{A}",
    to_id=f"u_root:{B}",
    source=Source("u_root", A, "u_parent"),
    attributes={},
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def build_nodes(table: Table, *rows: dict[str, str]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = json.loads(build_part(table, rows).nodes)
    return nodes


def build_edges(table: Table, *rows: dict[str, str]) -> list[tuple[str, str, str, str]]:
    edges = json.loads(build_part(table, rows).edges)
    return [(edge["from"], edge["kind"], edge["to"], edge["source"]) for edge in edges]


def test_a_line_has_these_bytes_for_ever() -> None:
    """Written out, since stored hashes of every tenant depend on them."""
    assert encode_line(NODE).decode() == (
        f'{{"type":"node","id":"u_root:{A}","kind":"thing","table":"u_thing","sys_id":"{A}","name":"Näme",'
        '"attributes":{"a":"1","b":"2"}}'
    )
    assert encode_line(EDGE).decode() == (
        f'{{"type":"edge","kind":"CHILD_OF","from":"u_root:{A}","to":"u_root:{B}",'
        f'"source":{{"table":"u_root","sys_id":"{A}","field":"u_parent"}},"attributes":{{}}}}'
    )


def test_the_state_stands_in_an_exported_edge_and_nowhere_else() -> None:
    resolved = msgspec.structs.replace(EDGE, state="resolved")
    assert json.loads(encode_line(resolved)) == {**json.loads(encode_line(EDGE)), "state": "resolved"}


def test_a_hash_is_the_sha256_of_the_line() -> None:
    assert hash_line(NODE) == hashlib.sha256(encode_line(NODE)).hexdigest()


@given(st.dictionaries(TEXT, TEXT, max_size=6), st.randoms(use_true_random=False))
def test_attributes_in_any_order_make_the_same_bytes(attributes: dict[str, str], random: Any) -> None:
    shuffled = list(attributes.items())
    random.shuffle(shuffled)
    first = msgspec.structs.replace(NODE, attributes=attributes)
    again = msgspec.structs.replace(NODE, attributes=dict(shuffled))
    assert encode_line(first) == encode_line(again)
    assert json.loads(encode_line(first))["attributes"] == attributes


@given(st.lists(st.fixed_dictionaries({"sys_id": st.sampled_from([A, B, C])}, optional={
    "u_label": TEXT, "u_zeta": TEXT, "u_alpha": TEXT, "u_parent": st.sampled_from(["", A, D]),
}), max_size=5))  # fmt: skip
def test_a_part_is_json_and_the_same_whatever_the_order_of_fields(rows: list[dict[str, str]]) -> None:
    part = build_part(THING, rows)
    assert part == build_part(THING, [dict(reversed(row.items())) for row in rows])
    assert len(json.loads(part.nodes)) == len(rows)
    assert len(json.loads(part.edges)) == sum(bool(row.get("u_parent")) for row in rows)


def test_a_row_is_a_node_with_its_attributes_and_their_strings() -> None:
    (node,) = build_nodes(
        THING, {"sys_id": A, "u_label": "Name", "u_zeta": "", "u_alpha": "0 ", "u_parent": B}
    )
    assert node.pop("hash") == hash_line(
        NodeLine(
            id=f"u_root:{A}", kind="thing", table="u_thing", sys_id=A, name="Name",
            attributes={"u_alpha": "0 ", "u_zeta": ""},
        )
    )  # fmt: skip
    assert node == {
        "id": f"u_root:{A}",
        "kind": "thing",
        "table": "u_thing",
        "name": "Name",
        "attributes": {"u_alpha": "0 ", "u_zeta": ""},
    }


def test_a_field_that_could_not_be_read_leaves_no_attribute_and_an_empty_one_does() -> None:
    absent, empty = build_nodes(
        THING, {"sys_id": A, "u_alpha": "x"}, {"sys_id": A, "u_alpha": "x", "u_zeta": ""}
    )
    assert absent["attributes"] == {"u_alpha": "x"}
    assert empty["attributes"] == {"u_alpha": "x", "u_zeta": ""}
    assert absent["hash"] != empty["hash"]


def test_a_rows_own_class_is_said_and_its_id_is_of_the_base_table() -> None:
    (node,) = build_nodes(THING, {"sys_id": A, "sys_class_name": "u_special"})
    assert (node["id"], node["table"]) == (f"u_root:{A}", "u_special")


def test_any_change_of_a_row_changes_its_hash() -> None:
    row = {"sys_id": A, "u_label": "n", "u_alpha": "x", "sys_class_name": "u_special"}
    changed = [row, *({**row, name: "other"} for name in ("u_label", "u_alpha", "sys_class_name", "u_zeta"))]
    hashes = {node["hash"] for node in build_nodes(THING, *changed, {**row, "sys_id": B})}
    assert len(hashes) == 6


def test_a_reference_is_an_edge_and_an_empty_or_unread_one_is_none() -> None:
    rows = ({"sys_id": A, "u_parent": B}, {"sys_id": B, "u_parent": ""}, {"sys_id": C})
    assert build_edges(THING, *rows) == [(f"u_root:{A}", "CHILD_OF", f"u_root:{B}", f"u_root:{A}:u_parent")]


@pytest.mark.parametrize(
    ("value", "targets"),
    [
        (B, [B]),
        (f"{B},{C}", [B, C]),
        (f"{C},{B},{C}", [C, B]),
        (f",{B},,", [B]),
        (f"{B}, {C} ", [B, C]),
        (" ", []),
        ("", []),
    ],
)
def test_a_list_is_an_edge_for_each_record_it_names(value: str, targets: list[str]) -> None:
    expected = [(f"u_root:{A}", "HAS_KIND", f"u_kind:{target}", f"u_root:{A}:u_kinds") for target in targets]
    assert build_edges(THING, {"sys_id": A, "u_kinds": value}) == expected


@pytest.mark.parametrize("value", ["x" * 81, "two words", "a:b", "né", "line\nbreak", "(empty)"])
def test_what_can_be_no_records_key_is_no_reference(value: str) -> None:
    """A key of the graph is indexed: a value of any length in it would fail the whole publication."""
    assert build_edges(THING, {"sys_id": A, "u_parent": value, "u_kinds": f"{value},{B}"}) == [
        (f"u_root:{A}", "HAS_KIND", f"u_kind:{B}", f"u_root:{A}:u_kinds")
    ]
    assert build_edges(FILING, {"sys_id": A, "u_thing": value, "u_folder": B}) == []
    assert build_edges(FILING, {"sys_id": A, "u_thing": B, "u_folder": value}) == []


def test_of_a_list_without_end_only_its_first_members_are_edges() -> None:
    targets = [f"{number:032x}" for number in range(5_000)]
    edges = build_edges(THING, {"sys_id": A, "u_kinds": ",".join(targets)})
    assert [to for _, _, to, _ in edges] == [f"u_kind:{target}" for target in targets[:1_000]]


def test_an_edges_hash_is_that_of_its_stateless_line() -> None:
    (edge,) = json.loads(build_part(THING, [{"sys_id": A, "u_parent": B}]).edges)
    assert edge["hash"] == hash_line(EDGE)
    assert edge["attributes"] == {}


def test_a_many_to_many_row_is_an_edge_and_no_node() -> None:
    part = build_part(FILING, [{"sys_id": A, "u_thing": B, "u_folder": C}])
    assert part.nodes == b"[]"
    assert build_edges(FILING, {"sys_id": A, "u_thing": B, "u_folder": C}) == [
        (f"u_root:{B}", "FILED_IN", f"u_folder:{C}", f"u_filing:{A}:u_folder")
    ]


@pytest.mark.parametrize("row", [{"u_thing": B}, {"u_folder": C}, {"u_thing": "", "u_folder": C}, {}])
def test_a_many_to_many_row_with_an_end_missing_is_nothing(row: dict[str, str]) -> None:
    assert build_part(FILING, [{"sys_id": A, **row}]).edges == b"[]"


def test_a_many_to_many_rows_other_fields_are_the_edges_attributes() -> None:
    table = dataclasses.replace(FILING, fields=(*FILING.fields, "order", "u_unread"))
    (edge,) = json.loads(build_part(table, [{"sys_id": A, "u_thing": B, "u_folder": C, "order": "7"}]).edges)
    assert edge["attributes"] == {"order": "7"}
    line = EdgeLine(
        kind="FILED_IN", from_id=f"u_root:{B}", to_id=f"u_folder:{C}", source=Source("u_filing", A, "u_folder"),
        attributes={"order": "7"},
    )  # fmt: skip
    assert edge["hash"] == hash_line(line)


def test_a_node_is_called_by_the_key_of_its_table() -> None:
    table = dataclasses.replace(THING, key="u_alpha")
    row = {"sys_id": A, "u_label": "Label", "u_alpha": "u_own", "u_parent": B}
    (node,) = build_nodes(table, row)
    assert node["id"] == "u_root:u_own"
    line = NodeLine(
        id="u_root:u_own",
        kind="thing",
        table="u_thing",
        sys_id="u_own",
        name="Label",
        attributes={"u_alpha": "u_own"},
    )
    assert node["hash"] == hash_line(line)
    assert build_edges(table, row) == [("u_root:u_own", "CHILD_OF", f"u_root:{B}", f"u_root:{A}:u_parent")]


@pytest.mark.parametrize("row", [{}, {"u_alpha": ""}, {"u_alpha": " "}])
def test_a_row_without_what_it_is_called_by_fails_its_table(row: dict[str, str]) -> None:
    """Left out, it would count as read, and a later revision would take its node away."""
    with pytest.raises(ResponseInvalid, match="no u_alpha, by which it is called"):
        build_part(dataclasses.replace(THING, key="u_alpha"), [{"sys_id": A, **row}])


def test_a_row_that_is_called_by_what_no_index_holds_fails_its_table() -> None:
    with pytest.raises(ResponseInvalid, match="a u_alpha of 256 characters"):
        build_part(dataclasses.replace(THING, key="u_alpha"), [{"sys_id": A, "u_alpha": "x" * 256}])


def test_an_aside_is_an_attribute_of_its_rows_and_of_the_rest_what_it_says() -> None:
    flag, value = Aside("opaque", {A: "true"}, otherwise="false"), Aside("value", {B: "x"})
    part = build_part(THING, [{"sys_id": A, "u_zeta": "z"}, {"sys_id": B}], asides=[flag, value])
    first, second = json.loads(part.nodes)
    assert first["attributes"] == {"u_zeta": "z", "opaque": "true"}
    assert second["attributes"] == {"opaque": "false", "value": "x"}
    assert first["hash"] != build_nodes(THING, {"sys_id": A, "u_zeta": "z"})[0]["hash"]


def test_a_reference_by_name_leads_to_the_node_called_so() -> None:
    tables = read_surface().tables
    (edge,) = build_edges(tables["sysrule_assignment"], {"sys_id": A, "table": "u_own", "group": ""})
    assert edge[2] == build_nodes(tables["sys_db_object"], {"sys_id": B, "name": "u_own"})[0]["id"]


def test_two_filings_of_the_same_pair_are_two_edges() -> None:
    rows = ({"sys_id": sys_id, "u_thing": B, "u_folder": C} for sys_id in (A, D))
    assert len(set(build_edges(FILING, *rows))) == 2


def test_a_subclass_and_its_parent_tell_of_the_same_edges() -> None:
    tables = read_surface().tables
    row = {"sys_id": A, "category": B, "sc_catalogs": f"{C},{D}", "group": B}
    parent, child = (build_part(tables[name], [row]) for name in ("sc_cat_item", "sc_cat_item_producer"))
    assert parent.edges == child.edges
    assert len(json.loads(parent.edges)) == 4


def test_a_digest_is_over_the_hashes_of_nodes_and_of_edges_with_their_state() -> None:
    resolved = msgspec.structs.replace(EDGE, state="resolved")
    expected = bytes.fromhex(hash_line(NODE)) + bytes.fromhex(hash_line(EDGE)) + b"resolved"
    assert digest_lines([NODE], [resolved]) == hashlib.sha256(expected).hexdigest()
    assert digest_lines([], []) == hashlib.sha256().hexdigest()


def test_a_digest_sees_every_difference() -> None:
    other_node, other_edge = (
        msgspec.structs.replace(NODE, name="x"),
        msgspec.structs.replace(EDGE, state="hidden"),
    )
    graphs = [
        ([], []), ([NODE], []), ([], [EDGE]), ([NODE], [EDGE]), ([other_node], [EDGE]), ([NODE], [other_edge]),
        ([NODE, other_node], []), ([other_node, NODE], []), ([NODE], [EDGE, other_edge]),
    ]  # fmt: skip
    digests = {digest_lines(nodes, edges) for nodes, edges in graphs}
    assert len(digests) == len(graphs)
