"""Records to nodes and edges: pure, row by row, driven by the surface.

Node ids are `TABLE:SYS_ID` with the base table. A value stays the string that the instance gave; an empty
string is a known emptiness, an absent attribute one that could not be read. A node's and an edge's canonical
form is its line in the export, keys of `attributes` sorted; an edge's state is left out of it, since it follows
from the other end. `hash` is the SHA-256 of that line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from jobs.surface import Link, Table

Row = Mapping[str, str]

# A sys_id, or the name of a table or domain. What is none can be no record's key, and would be one of ours.
_REFERENCE = re.compile(r"[A-Za-z0-9_.-]{1,80}\Z")
_MOST_TARGETS = 1_000
_ENCODER = msgspec.json.Encoder(order="deterministic")


class NodeLine(msgspec.Struct, frozen=True, tag_field="type", tag="node"):
    """A node as it is exported."""

    id: str
    kind: str
    table: str
    sys_id: str
    name: str
    attributes: Mapping[str, str]


class Source(msgspec.Struct, frozen=True):
    """The record and the field that an edge was read from."""

    table: str
    sys_id: str
    field: str


class EdgeLine(msgspec.Struct, frozen=True, tag_field="type", tag="edge", omit_defaults=True):
    """An edge as it is exported; without `state` it is the form that is hashed."""

    kind: str
    from_id: str = msgspec.field(name="from")
    to_id: str = msgspec.field(name="to")
    source: Source
    attributes: Mapping[str, str]
    state: Literal["", "resolved", "hidden", "deleted", "outside", "unknown"] = ""


class StagedNode(msgspec.Struct, frozen=True):
    """A node on its way to the database."""

    id: str
    kind: str
    table: str
    name: str
    attributes: Mapping[str, str]
    hash: str


class StagedEdge(msgspec.Struct, frozen=True):
    """An edge on its way to the database; `source` is TABLE:SYS_ID:FIELD."""

    from_id: str = msgspec.field(name="from")
    kind: str
    to_id: str = msgspec.field(name="to")
    source: str
    attributes: Mapping[str, str]
    hash: str


@dataclass(frozen=True, slots=True)
class GraphPart:
    """What one page of records says: JSON arrays of staged nodes and edges, and how many of each."""

    nodes: bytes
    edges: bytes
    node_count: int
    edge_count: int


def build_part(table: Table, rows: Iterable[Row]) -> GraphPart:
    """Build the nodes and edges of checked rows of one table."""
    nodes: list[StagedNode] = []
    edges: list[StagedEdge] = []
    if table.link:
        for row in rows:
            edges.extend(_build_link(table.name, table.link, row))
    else:
        attributes = table.attributes
        for row in rows:
            nodes.append(_build_node(table, attributes, row))
            edges.extend(_build_references(table, row))
    return GraphPart(_ENCODER.encode(nodes), _ENCODER.encode(edges), len(nodes), len(edges))


def encode_line(line: NodeLine | EdgeLine) -> bytes:
    """Give the canonical bytes of a node or an edge, without a line end."""
    return _ENCODER.encode(line)


def hash_line(line: NodeLine | EdgeLine) -> str:
    """Give the SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(_ENCODER.encode(line)).hexdigest()


def digest_lines(nodes: Iterable[NodeLine], edges: Iterable[EdgeLine]) -> str:
    """Give the digest of a whole graph from its lines in the order of the export.

    The SHA-256 over each node's hash, then each edge's hash (taken without its state) followed by its state.
    The database computes the same from its stored hashes.
    """
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(hashlib.sha256(_ENCODER.encode(node)).digest())
    for edge in edges:
        stateless = msgspec.structs.replace(edge, state="")
        digest.update(hashlib.sha256(_ENCODER.encode(stateless)).digest() + edge.state.encode())
    return digest.hexdigest()


def _build_node(table: Table, attributes: tuple[str, ...], row: Row) -> StagedNode:
    sys_id = row["sys_id"]
    line = NodeLine(
        id=f"{table.base}:{sys_id}",
        kind=table.kind or "",
        table=row.get("sys_class_name") or table.name,
        sys_id=sys_id,
        name=row.get(table.label, ""),
        attributes={key: row[key] for key in attributes if key in row},
    )
    return StagedNode(line.id, line.kind, line.table, line.name, line.attributes, hash_line(line))


def _build_references(table: Table, row: Row) -> Iterator[StagedEdge]:
    sys_id = row["sys_id"]
    from_id = f"{table.base}:{sys_id}"
    for field, reference in table.references.items():
        value = row.get(field)
        if not value:
            continue
        source = Source(table.base, sys_id, field)
        targets = _split_list(value) if reference.many else (value,)
        for target in targets:
            if _REFERENCE.match(target):
                yield _build_edge(reference.kind, from_id, f"{reference.to}:{target}", source)


def _split_list(value: str) -> Iterable[str]:
    """Give the first of a list's members: a list without end would be an instance's way to fill our memory."""
    return dict.fromkeys(map(str.strip, value.split(",", _MOST_TARGETS)[:_MOST_TARGETS]))


def _build_link(table: str, link: Link, row: Row) -> Iterator[StagedEdge]:
    start, end = row.get(link.start.field), row.get(link.end.field)
    if start and end and _REFERENCE.match(start) and _REFERENCE.match(end):
        source = Source(table, row["sys_id"], link.end.field)
        yield _build_edge(link.kind, f"{link.start.table}:{start}", f"{link.end.table}:{end}", source)


def _build_edge(kind: str, from_id: str, to_id: str, source: Source) -> StagedEdge:
    line = EdgeLine(kind=kind, from_id=from_id, to_id=to_id, source=source, attributes={})
    origin = f"{source.table}:{source.sys_id}:{source.field}"
    return StagedEdge(
        from_id=from_id, kind=kind, to_id=to_id, source=origin, attributes={}, hash=hash_line(line)
    )
