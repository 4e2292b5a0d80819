"""What must hold after a run, whatever happened while it read.

(a) After a full run the graph is what can be seen, for each table that is `complete`. (b) Nothing leaves the graph that
could be seen all the time. (c) No table is `complete` whose rows were missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.surface import Surface
from tests.integration.interleaving_acts import ITEMS, LINKS, PRODUCERS
from tests.integration.interleaving_truth import Edge, Graph, Image, Key, Span, build_node_image, readers_of


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, the graph before and after, and what could be seen while it went on.

    `silenced` are the tables of which something changed, since they were last read whole, that no aggregate tells of,
    `swapped` those of them that lost a row and got one that is dated back: their aggregates may be as they would be
    had nothing but the rows of a delta changed (docs/explanation/reading-less.md).
    `is_lied_to` says that the instance gave false counts, which nobody can see through, `is_uncounted` that it gave
    none with its rows: then an empty page is the end.
    """

    surface: Surface
    mode: str
    state: str
    tables: Mapping[str, Mapping[str, Any]]
    before: Graph
    graph: Graph
    span: Span
    silenced: frozenset[str]
    swapped: frozenset[str]
    is_lied_to: bool
    is_uncounted: bool

    @property
    def bases(self) -> set[str]:
        """The tables that records are of."""
        return {table.base for table in self.surface.tables.values()}

    def is_complete(self, table: str) -> bool:
        """Say whether the run says that it knows all of a table."""
        return bool(self.tables[table]["verdict"] == "complete")

    def is_hidden(self, table: str) -> bool:
        """Say whether the run says that it read all of a table but for hidden rows."""
        return bool(self.tables[table]["verdict"] == "hidden") and self.is_read(table)

    def is_read(self, table: str) -> bool:
        """Say whether the run read anything of a table's rows."""
        return bool(self.tables[table]["read"] != "skipped")


def check_ended(ended: Ended) -> None:
    """Check all that must hold."""
    check_nothing_visible_left(ended)
    check_states(ended)
    if ended.state == "quarantined" and not ended.is_lied_to:
        assert any(map(ended.span.was_empty, ended.tables)), "it would empty a table that has rows"
    if ended.state not in {"published", "unchanged"}:
        return
    assert set(ended.tables) == set(ended.surface.tables)
    if ended.is_lied_to:
        return
    check_nothing_hidden_left(ended)
    for name in ended.surface.tables:
        check_nothing_missed(ended, name)
    for base in ended.bases:
        if all(map(ended.is_complete, readers_of(base))):
            check_content(ended, base)
            if ended.mode == "full":
                check_nothing_else(ended, base)


def check_nothing_visible_left(ended: Ended) -> None:
    """Check (b)."""
    for base in ended.bases:
        for sys_id in ended.span.always_by_any(readers_of(base)):
            key = base, sys_id
            if key in ended.before.nodes:
                assert key in ended.graph.nodes, f"{key} was in the graph, could be seen, and is gone"
            kept = _kept_edges(ended, key) & ended.before.edges.get(key, frozenset())
            gone = kept - ended.graph.edges.get(key, frozenset())
            assert not gone, f"{gone} of {key} could be seen, and are gone"


def check_nothing_hidden_left(ended: Ended) -> None:
    """Check (b): nor leaves what there was all the time and could not be seen, with all that it said."""
    for base in ended.bases:
        ever = set().union(*(ended.span.ever(table) for table in readers_of(base)))
        for sys_id in ended.span.stored(base):
            key = base, sys_id
            if key in ended.before.nodes:
                assert key in ended.graph.nodes, f"{key} is hidden, and was taken for deleted"
            if sys_id not in ever:
                edges = [graph.edges.get(key, frozenset()) for graph in (ended.before, ended.graph)]
                assert edges[0] == edges[1], f"{key} could not be seen, and its edges changed"


def _kept_edges(ended: Ended, key: Key) -> frozenset[tuple[str, str, str, str]]:
    """Give what a record said all the time by some name."""
    base, sys_id = key
    kept: frozenset[tuple[str, str, str, str]] = frozenset()
    for table in readers_of(base):
        if sys_id in ended.span.always(table):
            kept |= frozenset.intersection(*(image.edges for image in ended.span.images(table, sys_id)))
    return kept


def check_nothing_missed(ended: Ended, table: str) -> None:
    """Check (c): of a table that is `complete`, or of which it is said that only hidden rows are missing."""
    can_be_told = not ended.is_uncounted and not ended.span.was_unordered(table)
    is_to_its_end = ended.is_complete(table) or (ended.is_hidden(table) and can_be_told)
    if not is_to_its_end or not (ended.is_read(table) or table not in ended.silenced):
        return
    if table in ended.swapped and ended.tables[table]["read"] != "whole":
        return
    base = ended.surface.tables[table].base
    known = ended.graph.edges if table == LINKS else ended.graph.nodes
    for sys_id in ended.span.always(table):
        says_nothing = not ended.surface.tables[table].kind and not _kept_edges(ended, (base, sys_id))
        verdict = ended.tables[table]["verdict"]
        assert says_nothing or (base, sys_id) in known, f"{table} is {verdict}, and {sys_id} was missed"


def check_nothing_else(ended: Ended, base: str) -> None:
    """Check (a): nothing is left of what could not be seen at any time."""
    ever = set().union(*(ended.span.ever(table) for table in readers_of(base)))
    held = {sys_id for of, sys_id in (*ended.graph.nodes, *ended.graph.edges) if of == base}
    assert not held - ever, f"of {base} the graph has {held - ever}, which nobody could see"


def check_content(ended: Ended, base: str) -> None:
    """Check (a): a record says what it said at some moment of the run; where it did not change, exactly that."""
    tables = readers_of(base)
    is_strict = ended.mode == "full" or not ended.silenced & set(tables)
    if not is_strict:
        return
    for sys_id in ended.span.always_by_any(tables):
        images = {table: ended.span.images(table, sys_id) for table in tables}
        _check_record(ended, (base, sys_id), images)


def _check_record(ended: Ended, key: Key, images: Mapping[str, list[Image]]) -> None:
    every = [image for own in images.values() for image in own]
    edges = ended.graph.edges.get(key, frozenset())
    is_still = all(len(set(own)) <= 1 for own in images.values()) and _is_of_one_class(ended, key)
    said = frozenset[Edge]().union(*(image.edges for image in every))
    withheld = frozenset[str]().union(*(image.withheld for image in every))
    kept = {edge for edge in ended.before.edges.get(key, frozenset()) if edge[3] in withheld}
    assert edges <= said | kept, f"{key} never said {edges - said}"
    fields = [edge[3] for edge in edges if edge[3] not in withheld]
    assert len(fields) == len(set(fields)), f"{key} refers to two records by one field: {edges}"
    if is_still:
        assert edges == said | kept, f"{key} says {said}, and the graph {edges}"
    node = ended.graph.nodes.get(key)
    if node is None:
        return
    last = images[PRODUCERS] if is_still and images.get(PRODUCERS) else every
    assert build_node_image(node) in {image.node for image in last}, f"{key} never looked like {node}: {last}"
    flags = {image.flag for image in every}
    opaque = node.attributes.get("opaque")
    names = readers_of(key[0])
    is_told = any(ended.tables[name]["reason"] for name in names)
    if opaque is None:
        assert None in flags or is_told or ended.mode != "full", (
            f"{key} has lost what says whether it is opaque"
        )
    else:
        assert opaque in flags, f"{key} is not {opaque}"


def _is_of_one_class(ended: Ended, key: Key) -> bool:
    """Say whether an item could be seen by its own class's name all the time, or never."""
    if key[0] != ITEMS:
        return True
    return key[1] in ended.span.always(PRODUCERS) or key[1] not in ended.span.ever(PRODUCERS)


def check_states(ended: Ended) -> None:
    """Check that an edge is resolved just where its other end is a node."""
    nodes = {f"{base}:{sys_id}" for base, sys_id in ended.graph.nodes}
    for to, state in ended.graph.states:
        may = {"resolved", "hidden"} if to in nodes else {"unknown", "deleted", "hidden", "outside"}
        assert state in may, f"an edge to {to} is {state}"
