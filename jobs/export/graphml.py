"""GraphML, as NetworkX and Gephi read it: every value a string, an edge's ends always there.

A node's and an edge's own properties are keys by their names, an attribute is `attributes.NAME`; `label` is for
Gephi. What edges name and is no node is a node of kind `missing` with the edges' state. Of XML 1.0's characters
those that it cannot hold, control characters above all, become U+FFFD; all others come back as they were.
Source: http://graphml.graphdrawing.org/specification.html and https://www.w3.org/TR/xml/#charsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from jobs.export.changes import Change
from jobs.export.form import Head
from jobs.graph import EdgeLine, NodeLine

_NODE_KEYS = ("label", "kind", "table", "sys_id", "name", "state")
_EDGE_KEYS = ("label", "kind", "state", "source")
_HEAD_KEYS = ("tenant", "revision", "as_of", "nodes", "edges", "digest", "tables")
_SPECIAL = re.compile('[&<>"\t\n\r]|[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


class Graphml:
    """A GraphML document in pieces."""

    is_closed = True

    def __init__(self) -> None:
        self._node_keys: dict[str, str] = {}
        self._edge_keys: dict[str, str] = {}
        self._edges = 0

    def begin(self, head: Head) -> bytes:
        """Give the keys, and the graph's own data."""
        self._node_keys = _name_keys("n", _NODE_KEYS, head.node_attributes)
        self._edge_keys = _name_keys("e", _EDGE_KEYS, head.edge_attributes)
        head_keys = _name_keys("g", _HEAD_KEYS, ())
        told = {**head.line, "tables": msgspec.json.encode(head.line["tables"]).decode()}
        keys = [
            f'<key id="{key}" for="{what}" attr.name="{escape_text(name)}" attr.type="string"/>\n'
            for what, named in (("graph", head_keys), ("node", self._node_keys), ("edge", self._edge_keys))
            for name, key in named.items()
        ]
        return "".join(
            [
                '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n',
                *keys,
                '<graph edgedefault="directed">\n',
                *(_build_data(head_keys[name], str(told[name])) for name in _HEAD_KEYS),
                "\n",
            ]
        ).encode()

    def node(self, line: NodeLine) -> bytes:
        """Give a node."""
        own = {"label": line.name or line.id, "kind": line.kind, "table": line.table, "sys_id": line.sys_id,
               "name": line.name}  # fmt: skip
        data = _build_all(self._node_keys, own, line.attributes)
        return f'<node id="{escape_text(line.id)}">{data}</node>\n'.encode()

    def missing(self, node_id: str, state: str) -> bytes:
        """Give an end of edges that is no node."""
        data = _build_all(self._node_keys, {"label": node_id, "kind": "missing", "state": state}, {})
        return f'<node id="{escape_text(node_id)}">{data}</node>\n'.encode()

    def edge(self, line: EdgeLine) -> bytes:
        """Give an edge; its id is its number, so that two between the same nodes stay two."""
        self._edges += 1
        source = f"{line.source.table}:{line.source.sys_id}:{line.source.field}"
        own = {"label": line.kind, "kind": line.kind, "state": line.state, "source": source}
        data = _build_all(self._edge_keys, own, line.attributes)
        ends = f'source="{escape_text(line.from_id)}" target="{escape_text(line.to_id)}"'
        return f'<edge id="e{self._edges}" {ends}>{data}</edge>\n'.encode()

    def change(self, _change: Change) -> bytes:
        """Give nothing: GraphML is of one revision."""
        return b""

    def end(self) -> bytes:
        """Close the document."""
        return b"</graph>\n</graphml>\n"


def escape_text(text: str) -> str:
    """Give a text as it stands in XML, between tags or in quotes."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], "\ufffd"), text)


def _name_keys(prefix: str, own: Iterable[str], attributes: Iterable[str]) -> dict[str, str]:
    names = [*own, *(f"attributes.{name}" for name in attributes)]
    return {name: f"{prefix}{number}" for number, name in enumerate(names)}


def _build_all(keys: Mapping[str, str], own: Mapping[str, str], attributes: Mapping[str, str]) -> str:
    told = [_build_data(keys[name], value) for name, value in own.items()]
    told += [_build_data(keys[f"attributes.{name}"], value) for name, value in attributes.items()]
    return "".join(told)


def _build_data(key: str, value: str) -> str:
    return f'<data key="{key}">{escape_text(value)}</data>'
