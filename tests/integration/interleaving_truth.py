"""What an account may see of the small instance, moment by moment, and what a graph must and may hold of it.

Written apart from `jobs.graph`, from what `docs/reference/graph.md` says, so that one does not repeat the other's
mistakes. A record that was the same all through a run must be in its graph just so; of one that changed meanwhile the
graph may hold what it was at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobs.graph import EdgeLine, NodeLine
from jobs.surface import Surface, Table
from ops.simulator.access import Access
from tests.integration.interleaving_acts import ITEMS, PRODUCERS, Stage

Edge = tuple[str, str, str, str]
"""From, kind, to, and the field that says it."""
Key = tuple[str, str]
"""A base table and a sys_id."""


@dataclass(frozen=True, slots=True)
class Image:
    """What one table says of a record; of a link there is no node. `flag` is None where it may not be asked.

    `withheld` are the fields of edges that cannot be seen: what they said before is to stay.
    """

    node: tuple[str, str, str, tuple[tuple[str, str], ...]] | None
    edges: frozenset[Edge]
    flag: str | None
    withheld: frozenset[str]


@dataclass(frozen=True, slots=True)
class Moment:
    """Of each table the records that can be seen by its name, by sys_id, and those that there are.

    `unordered` are the tables whose rows come in any order, whatever is asked.
    """

    seen: Mapping[str, Mapping[str, Image]]
    stored: Mapping[str, frozenset[str]]
    unordered: frozenset[str]


def see(stage: Stage, surface: Surface) -> Moment:
    """Give what can be seen now, and what there is."""
    tables = surface.tables.values()
    stored = {
        table.name: frozenset(row["sys_id"] for row in stage.store.rows(table.name)) for table in tables
    }
    access = stage.instance.access
    unordered = frozenset(name for name, granted in access.items() if granted.strip_range)
    return Moment({table.name: _see_table(stage, table) for table in tables}, stored, unordered)


def _see_table(stage: Stage, table: Table) -> dict[str, Image]:
    access = stage.instance.access.get(table.name) or Access()
    if access.denied or access.absent or "sys_id" in access.fields_hidden:
        return {}
    return {
        row["sys_id"]: _build_image(table, row, access)
        for row in stage.store.rows(table.name)
        if access.shows(row)
    }


def _build_image(table: Table, stored: Mapping[str, str], access: Access) -> Image:
    row = {name: stored[name] for name in table.fields if name not in access.fields_hidden}
    base_id = f"{table.base}:{row['sys_id']}"
    if link := table.link:
        ends = row.get(link.start.field), row.get(link.end.field)
        edges = {(f"{link.start.table}:{ends[0]}", link.kind, f"{link.end.table}:{ends[1]}", link.end.field)}
        is_withheld = not {link.start.field, link.end.field} <= row.keys()
        withheld = frozenset({link.end.field} if is_withheld else ())
        return Image(None, frozenset(edges if all(ends) else ()), None, withheld)
    apart = {"sys_id", "sys_class_name", table.label, *table.references}
    attributes = tuple(sorted((name, value) for name, value in row.items() if name not in apart))
    own = row.get("sys_class_name") or table.name
    found = {
        (base_id, reference.kind, f"{reference.to}:{row[name]}", name)
        for name, reference in table.references.items()
        if row.get(name) and not reference.many
    }
    flag = None
    if table.flags and "script" not in access.fields_hidden:
        flag = str(bool(stored["script"])).lower()
    node = (table.kind or "", own, row.get(table.label, ""), attributes)
    return Image(node, frozenset(found), flag, frozenset(table.references.keys() - row.keys()))


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph as it was read: nodes by key, what each record says as edges, and all lines."""

    nodes: Mapping[Key, NodeLine]
    edges: Mapping[Key, frozenset[Edge]]
    states: tuple[tuple[str, str], ...]

    def holds(self, key: Key) -> bool:
        """Say whether it holds anything that a record said."""
        return key in self.nodes or key in self.edges


def build_graph(nodes: Iterable[NodeLine], edges: Iterable[EdgeLine]) -> Graph:
    """Sort a graph's lines by the record that said them."""
    said: dict[Key, set[Edge]] = {}
    states = []
    for edge in edges:
        key = (edge.source.table, edge.source.sys_id)
        said.setdefault(key, set()).add((edge.from_id, edge.kind, edge.to_id, edge.source.field))
        states.append((edge.to_id, edge.state))
    by_key = {(node.id.partition(":")[0], node.sys_id): node for node in nodes}
    return Graph(by_key, {key: frozenset(own) for key, own in said.items()}, tuple(states))


def build_node_image(node: NodeLine) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    """Give a node as an image has it: without its flag."""
    attributes = {name: value for name, value in node.attributes.items() if name != "opaque"}
    return node.kind, node.table, node.name, tuple(sorted(attributes.items()))


class Span:
    """All moments of one run."""

    def __init__(self, first: Moment) -> None:
        self._moments = [first]

    def add(self, moment: Moment) -> None:
        """Add what can be seen after an act."""
        self._moments.append(moment)

    def always(self, table: str) -> set[str]:
        """Give the records that could be seen by a table's name all the time."""
        return set.intersection(*(set(moment.seen[table]) for moment in self._moments))

    def ever(self, table: str) -> set[str]:
        """Give the records that could be seen by a table's name at any time."""
        return set.union(*(set(moment.seen[table]) for moment in self._moments))

    def stored(self, table: str) -> frozenset[str]:
        """Give the records that there were all the time, seen or not."""
        return frozenset.intersection(*(moment.stored[table] for moment in self._moments))

    def was_empty(self, table: str) -> bool:
        """Say whether a table had no rows at some moment."""
        return not all(moment.stored[table] for moment in self._moments)

    def was_unordered(self, table: str) -> bool:
        """Say whether a table's rows came in any order at some moment: a few may have been in the right one."""
        return any(table in moment.unordered for moment in self._moments)

    def images(self, table: str, sys_id: str) -> list[Image]:
        """Give what a record looked like by a table's name, whenever it could be seen."""
        return [moment.seen[table][sys_id] for moment in self._moments if sys_id in moment.seen[table]]

    def always_by_any(self, tables: Iterable[str]) -> set[str]:
        """Give the records that could be seen all the time, each by a table's name that gave it all the time."""
        return set().union(*(self.always(table) for table in tables))


def readers_of(base: str) -> tuple[str, ...]:
    """Give the tables by whose names a base table's records are read, the one that says most at the end."""
    return (ITEMS, PRODUCERS) if base == ITEMS else (base,)
