"""What every form of an export does: give a piece of bytes for the head, and for each thing in it, as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from jobs.export.changes import Change
from jobs.graph import EdgeLine, NodeLine, encode_line


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of an export, the names of all attributes in it, and the revision it is compared with, if any."""

    line: Mapping[str, Any]
    node_attributes: Sequence[str] = ()
    edge_attributes: Sequence[str] = ()
    compared_with: int | None = None


class Form(Protocol):
    """A form of an export. Its pieces come in this order: nodes, missing ends, edges, changes."""

    is_closed: bool
    """Whether each end of an edge must be there: if so, ends that are no nodes are given too."""

    def begin(self, head: Head) -> bytes:
        """Give what stands before the nodes."""

    def node(self, line: NodeLine) -> bytes:
        """Give a node."""

    def missing(self, node_id: str, state: str) -> bytes:
        """Give an end of edges that is no node."""

    def edge(self, line: EdgeLine) -> bytes:
        """Give an edge."""

    def change(self, change: Change) -> bytes:
        """Give a change since the revision that this one is compared with."""

    def end(self) -> bytes:
        """Give what stands at the end."""


class Lines:
    """One JSON object a line, as docs/reference/graph.md says: the form that digests are computed over."""

    is_closed = False

    def begin(self, head: Head) -> bytes:
        """Give the head's line."""
        return msgspec.json.encode(head.line) + b"\n"

    def node(self, line: NodeLine) -> bytes:
        """Give a node's line."""
        return encode_line(line) + b"\n"

    def missing(self, _node_id: str, _state: str) -> bytes:
        """Give nothing: the edge's state says it."""
        return b""

    def edge(self, line: EdgeLine) -> bytes:
        """Give an edge's line."""
        return encode_line(line) + b"\n"

    def change(self, _change: Change) -> bytes:
        """Give nothing: `graph diff` is for changes."""
        return b""

    def end(self) -> bytes:
        """Give nothing."""
        return b""
