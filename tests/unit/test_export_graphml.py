"""GraphML comes back from NetworkX as it went out: every node, edge, attribute and character that XML can hold."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from jobs.export.form import Head
from jobs.export.graphml import Graphml
from jobs.graph import EdgeLine, NodeLine, Source

UNHELD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEAD_LINE = {
    "type": "graph", "tenant": "acme", "revision": 7, "as_of": "2026-11-23T10:00:00Z",
    "tables": {"sys_user_group": "complete"}, "nodes": 0, "edges": 0, "digest": "d",
}  # fmt: skip
HOSTILE = "<script>alert('&amp;')</script>]]>\x00\x1b[31m\u202e=cmd|'/c calc'!A1\ufffe\r\n\t\"'"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just(HOSTILE)
ATTRIBUTES = st.dictionaries(TEXTS, TEXTS, max_size=3)
IDS = st.integers(1, 12).map("t:{}".format)
NODES = st.lists(
    st.builds(NodeLine, id=IDS, kind=TEXTS, table=TEXTS, sys_id=TEXTS, name=TEXTS, attributes=ATTRIBUTES),
    max_size=5,
    unique_by=lambda line: line.id,
)
SOURCES = st.builds(Source, TEXTS, TEXTS, TEXTS)
STATES = st.sampled_from(["resolved", "hidden"])
EDGES = st.lists(
    st.builds(
        EdgeLine, kind=TEXTS, from_id=IDS, to_id=IDS, source=SOURCES, attributes=ATTRIBUTES, state=STATES
    ),
    max_size=6,
)


def build_document(nodes: list[NodeLine], edges: list[EdgeLine]) -> bytes:
    form = Graphml()
    of_nodes = sorted({name for node in nodes for name in node.attributes})
    of_edges = sorted({name for edge in edges for name in edge.attributes})
    ends = {end for edge in edges for end in (edge.from_id, edge.to_id)} - {node.id for node in nodes}
    pieces = [form.begin(Head(HEAD_LINE, of_nodes, of_edges)), *map(form.node, nodes)]
    pieces += [form.missing(end, "outside") for end in sorted(ends)]
    return b"".join([*pieces, *map(form.edge, edges), form.end()])


def read_back(document: bytes) -> Any:
    return nx.read_graphml(io.BytesIO(document), force_multigraph=True)


def held(found: dict[str, str]) -> dict[str, str]:
    """Give data as it comes back: what XML cannot hold replaced."""
    return {UNHELD.sub("\ufffd", name): UNHELD.sub("\ufffd", value) for name, value in found.items()}


def flatten(own: dict[str, str], attributes: Any) -> dict[str, str]:
    return held({**own, **{f"attributes.{name}": value for name, value in attributes.items()}})


@given(nodes=NODES, edges=EDGES)
def test_every_node_edge_and_attribute_comes_back(nodes: list[NodeLine], edges: list[EdgeLine]) -> None:
    graph = read_back(build_document(nodes, edges))
    for line in nodes:
        own = {"label": line.name or line.id, "kind": line.kind, "table": line.table, "sys_id": line.sys_id,
               "name": line.name}  # fmt: skip
        expected = flatten(own, line.attributes)
        assert graph.nodes[line.id] == expected
    ends = {end for edge in edges for end in (edge.from_id, edge.to_id)}
    assert set(graph.nodes) == {line.id for line in nodes} | ends
    for missing in ends - {line.id for line in nodes}:
        assert graph.nodes[missing] == {"label": missing, "kind": "missing", "state": "outside"}
    assert graph.number_of_edges() == len(edges)
    for number, edge in enumerate(edges, 1):
        source = f"{edge.source.table}:{edge.source.sys_id}:{edge.source.field}"
        own = {"label": edge.kind, "kind": edge.kind, "state": edge.state, "source": source}
        expected = flatten(own, edge.attributes)
        found = graph.edges[edge.from_id, edge.to_id, f"e{number}"]
        assert found == expected


def test_the_graph_says_what_it_is_of() -> None:
    graph = read_back(build_document([], []))
    assert graph.graph["tenant"] == "acme"
    assert graph.graph["revision"] == "7"
    assert graph.graph["tables"] == '{"sys_user_group":"complete"}'


def test_a_hostile_name_is_text_and_opens_no_element() -> None:
    document = build_document([NodeLine("t:1", HOSTILE, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})], [])
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(document).iter()}  # noqa: S314  our own
    assert tags == {"graphml", "key", "graph", "node", "data"}
    assert b"<script" not in document
    assert b"\x1b" not in document
