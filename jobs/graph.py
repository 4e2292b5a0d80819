"""Records to nodes and edges: pure, row by row, driven by the surface.

Node ids are `TABLE:SYS_ID` with the base table; a table's own node is `sys_db_object:NAME`. A value stays the
string that the instance gave; an empty string is a known emptiness, an absent attribute one that could not be
read. A node's and an edge's canonical form is its line in the export, keys of `attributes` sorted; an edge's
state is left out of it, since it follows from the other end. `hash` is the SHA-256 of that line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from jobs.asides import Aside
from jobs.errors import ResponseInvalid
from jobs.surface import Table

Row = Mapping[str, str]

# A sys_id, or the name of a table or domain. What is none can be no record's key, and would be one of ours.
_REFERENCE = re.compile(r"[A-Za-z0-9_.-]{1,80}\Z")
_MOST_TARGETS = 1_000
_LONGEST_KEY = 255  # names have 80 characters at most; an index of ours holds some 2,700 bytes
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
    """What one page of records says: JSON arrays of staged nodes and edges."""

    nodes: bytes
    edges: bytes


def build_part(table: Table, rows: Iterable[Row], *, asides: Sequence[Aside] = ()) -> GraphPart:
    """Build the nodes and edges of checked rows of one table; `asides` add attributes to its nodes.

    Raises ResponseInvalid for a row that lacks what its node is called by, or whose name no id can be.
    """
    nodes: list[StagedNode] = []
    edges: list[StagedEdge] = []
    attributes = table.attributes
    if table.link:
        for row in rows:
            edges.extend(_build_link(table, attributes, row))
    else:
        for row in rows:
            node_id = _build_id(table, row)
            nodes.append(_build_node(table, node_id, _read_attributes(attributes, asides, row), row))
            edges.extend(_build_references(table, node_id, row))
    return GraphPart(_ENCODER.encode(nodes), _ENCODER.encode(edges))


def describe_unnamed(table: Table, rows: Iterable[Row]) -> str | None:
    """Say that rows came without what their nodes' names are; None where none did: an empty name is then known."""
    if table.link or all(table.label in row for row in rows):
        return None
    return f"not known of its records: {table.label}, which is their name; the column may not be read"


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


def _build_id(table: Table, row: Row) -> str:
    key = row.get(table.key, "").strip()
    if not key:
        raise ResponseInvalid(
            f"A row of {table.name} has no {table.key}, by which it is called: grant the integration user read access "
            "to that field."
        )
    if len(key) > _LONGEST_KEY:
        raise ResponseInvalid(
            f"A row of {table.name} has a {table.key} of {len(key)} characters, by which nothing can be called: ask "
            "the instance's administrator what made it."
        )
    return f"{table.base}:{key}"


def _read_attributes(names: tuple[str, ...], asides: Sequence[Aside], row: Row) -> dict[str, str]:
    found = {name: row[name] for name in names if name in row}
    for aside in asides:
        if (value := aside.value_of(row["sys_id"])) is not None:
            found[aside.attribute] = value
    return found


def _build_node(table: Table, node_id: str, attributes: Mapping[str, str], row: Row) -> StagedNode:
    line = NodeLine(
        id=node_id,
        kind=table.kind or "",
        table=row.get("sys_class_name") or table.name,
        sys_id=node_id.partition(":")[2],
        name=row.get(table.label, ""),
        attributes=attributes,
    )
    return StagedNode(line.id, line.kind, line.table, line.name, line.attributes, hash_line(line))


def _build_references(table: Table, from_id: str, row: Row) -> Iterator[StagedEdge]:
    for field, reference in table.references.items():
        value = row.get(field, "").strip()
        if not value:
            continue
        source = Source(table.base, row["sys_id"], field)
        targets = _split_list(value) if reference.many else (value,)
        for target in targets:
            if _REFERENCE.match(target):
                yield _build_edge(reference.kind, from_id, f"{reference.to}:{target}", source)


def _split_list(value: str) -> Iterable[str]:
    """Give the first of a list's members: a list without end would be an instance's way to fill our memory."""
    return dict.fromkeys(map(str.strip, value.split(",", _MOST_TARGETS)[:_MOST_TARGETS]))


def _build_link(table: Table, attributes: tuple[str, ...], row: Row) -> Iterator[StagedEdge]:
    link = table.link
    assert link is not None
    start, end = row.get(link.start.field), row.get(link.end.field)
    if start and end and _REFERENCE.match(start) and _REFERENCE.match(end):
        source = Source(table.name, row["sys_id"], link.end.field)
        said = {name: row[name] for name in attributes if name in row}
        yield _build_edge(link.kind, f"{link.start.table}:{start}", f"{link.end.table}:{end}", source, said)


def _build_edge(
    kind: str, from_id: str, to_id: str, source: Source, attributes: Mapping[str, str] | None = None
) -> StagedEdge:
    said = attributes or {}
    line = EdgeLine(kind=kind, from_id=from_id, to_id=to_id, source=source, attributes=said)
    origin = f"{source.table}:{source.sys_id}:{source.field}"
    return StagedEdge(
        from_id=from_id, kind=kind, to_id=to_id, source=origin, attributes=said, hash=hash_line(line)
    )
