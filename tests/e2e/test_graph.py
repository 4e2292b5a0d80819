"""The graph as people take it: compared, explained, and in its other forms; with hostile names in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from tests.e2e.conftest import Called, Deployed

HOSTILE = "</script><b>\x1b[31mNetwork\u202egnp.exe =cmd|'/c calc'!A1"
ESCAPED = "</script><b>\\u001b[31mNetwork\\u202egnp.exe =cmd|'/c calc'!A1"


@pytest.fixture(scope="module")
def renamed(deployed: Deployed) -> dict[str, Any]:
    """Rename a group that an item goes to, delete another item, and give both revisions and what was done."""
    first = deployed.sync("acme", "--full")
    lines = deployed.export("acme")
    edge = next(
        line
        for line in lines
        if line.get("kind") == "FULFILLED_BY" and line["from"].startswith("sc_cat_item:")
    )
    group = edge["to"].partition(":")[2]
    instance = deployed.stack.instances["acme"]
    instance.put_rows("sys_user_group", [{"sys_id": group, "name": HOSTILE}])
    gone = next(
        line["sys_id"]
        for line in lines
        if line.get("kind") == "catalogue_item" and line["id"] != edge["from"]
    )
    instance.delete_row("sc_cat_item", gone)
    second = deployed.sync("acme", "--full")
    return {"from": first["revision"], "to": second["revision"], "group": edge["to"], "item": edge["from"],
            "gone": f"sc_cat_item:{gone}"}  # fmt: skip


def done(called: Called) -> Called:
    assert called.exit_code == 0, called
    return called


def test_a_difference_is_told_to_people_and_to_machines(deployed: Deployed, renamed: dict[str, Any]) -> None:
    words = ["graph", "diff", "acme", str(renamed["from"]), str(renamed["to"])]
    document = done(deployed.call(*words, "--json")).document
    assert (document["from"], document["to"]) == (renamed["from"], renamed["to"])
    changed = {change["id"]: change for change in document["nodes"]["changed"]}
    assert changed[renamed["group"]]["after"]["name"] == HOSTILE
    assert renamed["gone"] in {node["id"] for node in document["nodes"]["removed"]}
    assert document["nodes"]["added"] == []
    text = done(deployed.call(*words)).stdout
    assert ESCAPED in text
    assert [line for line in text.splitlines() if not line.isprintable()] == []
    back = done(deployed.call("graph", "diff", "acme", words[4], words[3], "--json")).document
    assert [node["id"] for node in back["nodes"]["added"]] == [
        node["id"] for node in document["nodes"]["removed"]
    ]


def test_an_item_is_explained_by_its_id_and_a_group_by_what_leads_there(
    deployed: Deployed, renamed: dict[str, Any]
) -> None:
    document = done(deployed.call("graph", "explain", "acme", renamed["item"], "--json")).document
    direct = [route for route in document["routes"] if len(route["steps"]) == 1]
    assert renamed["group"] in {route["to"]["id"] for route in direct}
    assert document["node"]["id"] == renamed["item"]
    text = done(deployed.call("graph", "explain", "acme", renamed["item"])).stdout
    assert ESCAPED in text
    assert "\x1b" not in text
    group = done(deployed.call("graph", "explain", "acme", HOSTILE, "--json")).document
    assert group["node"]["id"] == renamed["group"]
    assert renamed["item"] in {end["id"] for end in group["routed_here"]}
    before = ["graph", "explain", "acme", renamed["gone"], "--revision", str(renamed["from"]), "--json"]
    assert done(deployed.call(*before)).document["revision"] == renamed["from"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("graph", "diff", "acme", "1", "999999"), "unknown_revision"),
        (("graph", "diff", "acme", "999999", "1"), "unknown_revision"),
        (("graph", "diff", "nobody", "1", "1"), "unknown_tenant"),
        (("graph", "explain", "acme", "sc_cat_item:none"), "unknown_node"),
        (("graph", "explain", "nobody", "sc_cat_item:none"), "unknown_tenant"),
        (
            ("graph", "export", "acme", "--format", "html", "--diff", "999999", "-o", "/dev/null"),
            "unknown_revision",
        ),
        (("graph", "export", "acme", "--diff", "1", "-o", "/dev/null"), "wrong_arguments"),
    ],
)
def test_what_is_not_there_is_a_clear_error(
    deployed: Deployed, renamed: dict[str, Any], words: tuple[str, ...], code: str
) -> None:
    assert renamed
    called = deployed.call(*words, "--json")
    assert (called.exit_code, called.document["error"]["code"]) == (2, code)


def test_graphml_is_the_graph_of_the_export(
    deployed: Deployed, renamed: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "acme.graphml"
    done(deployed.call("graph", "export", "acme", "--format", "graphml", "-o", str(file)))
    graph = nx.read_graphml(file, force_multigraph=True)
    head, *lines = deployed.export("acme")
    nodes = {line["id"]: line for line in lines if line["type"] == "node"}
    edges = [line for line in lines if line["type"] == "edge"]
    assert graph.graph["digest"] == head["digest"]
    assert {node for node, data in graph.nodes(data=True) if data["kind"] != "missing"} == nodes.keys()
    for node, line in nodes.items():
        found = {name.removeprefix("attributes."): value for name, value in graph.nodes[node].items()
                 if name.startswith("attributes.")}  # fmt: skip
        assert (graph.nodes[node]["kind"], found) == (line["kind"], line["attributes"])
    found_edges = [
        (start, data["kind"], end, data["source"], data["state"])
        for start, end, data in graph.edges(data=True)
    ]
    assert sorted(found_edges) == sorted(
        (line["from"], line["kind"], line["to"], ":".join(line["source"].values()), line["state"])
        for line in edges
    )
    assert graph.nodes[renamed["group"]]["name"] == HOSTILE.replace("\x1b", "\ufffd")


def test_a_page_holds_the_graph_and_the_changes(
    deployed: Deployed, renamed: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "acme.html"
    since = ["--diff", str(renamed["from"])]
    done(deployed.call("graph", "export", "acme", "--format", "html", *since, "-o", str(file)))
    page = file.read_text("utf-8")
    assert page.count("</script>") == 2
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    head, *lines = deployed.export("acme")
    assert data["head"] == {**head, "compared_with": renamed["from"]}
    assert data["nodes"] + data["edges"] == lines
    assert renamed["group"] in {change["id"] for change in data["changes"] if change["change"] == "changed"}
