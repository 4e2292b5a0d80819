"""The routes from a node, over a neighbourhood that is read level by level: bounded, and never round in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.routing.moves import GROUP, LOOKUP, MOVES, ROW, TO_A_GROUP, Move, moves_from, table_of

MOST_EDGES = 20_000
MOST_ROUTES = 500
MOST_STEPS = 12
_FIELD_KINDS = frozenset({"MATCHES_FOR", "SETS_FOR"})  # which columns of a lookup's rows say what
_ENDS = frozenset({"RUNS_WORKFLOW", "RUNS_FLOW"})


@dataclass(frozen=True, slots=True, order=True)
class Hop:
    """An edge as it is walked: `source` is TABLE:SYS_ID:FIELD, `read_table` the table it was read with."""

    from_id: str
    kind: str
    to_id: str
    source: str
    state: str
    read_table: str


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a route along one edge."""

    move: Move
    hop: Hop

    @property
    def start(self) -> str:
        """Give the node that is left."""
        return self.hop.from_id if self.move.direction == "out" else self.hop.to_id

    @property
    def end(self) -> str:
        """Give the node that is reached."""
        return self.hop.to_id if self.move.direction == "out" else self.hop.from_id


Route = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Which edges to read next: out of nodes by kinds, and into nodes by kinds."""

    out_of: list[str]
    out_kinds: list[str]
    in_to: list[str]
    in_kinds: list[str]


@dataclass(slots=True)
class Neighbourhood:
    """What lies around a start as far as work can go: `ask` for edges, `add` them, until nothing is asked."""

    start: str
    truncated: bool = False
    _out: dict[tuple[str, str], list[Hop]] = field(default_factory=dict)
    _into: dict[tuple[str, str], list[Hop]] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _hops: set[Hop] = field(default_factory=set)
    _frontier: set[tuple[str, str]] = field(init=False)
    _asked_of_row: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._frontier = {(self.start, "")}

    def ask(self) -> Question | None:
        """Say what to read next; None where all is read, or as much as may be."""
        if self.truncated:
            return None
        moves = [(node, move) for node, kind in self._frontier for move in moves_from(node, arrived_by=kind)]
        out = [(node, move.kind) for node, move in moves if move.direction == "out"]
        into = [(node, move.kind) for node, move in moves if move.direction == "in"]
        for node, _ in self._frontier:
            if table_of(node) == LOOKUP:
                into += [(node, kind) for kind in _FIELD_KINDS]
        if (
            self.start in {node for node, kind in self._frontier if not kind}
            and table_of(self.start) == GROUP
        ):
            into += [(self.start, kind) for kind in TO_A_GROUP]
        if table_of(self.start) == ROW:
            out += [(self.start, "ROW_OF")] if self.start in {node for node, _ in self._frontier} else []
            into += self._ask_of_row()
        if not out and not into:
            return None
        (out_of, out_kinds), (in_to, in_kinds) = (_split(asked) for asked in (out, into))
        return Question(out_of, out_kinds, in_to, in_kinds)

    def _ask_of_row(self) -> list[tuple[str, str]]:
        """Ask which lookups look in the table of a row that is the start, and what they do with its columns."""
        asked = {(hop.to_id, "LOOKS_IN") for hop in self._out.get((self.start, "ROW_OF"), [])}
        asked |= {(lookup, kind) for lookup in self.lookups_of_start() for kind in _FIELD_KINDS}
        new = asked - self._asked_of_row
        self._asked_of_row |= new
        return sorted(new)

    def add(self, hops: Iterable[Hop], *, cut: bool = False) -> None:
        """Take in what was read; `cut` says that there was more."""
        for hop in hops:
            if hop not in self._hops:
                self._hops.add(hop)
                self._out.setdefault((hop.from_id, hop.kind), []).append(hop)
                self._into.setdefault((hop.to_id, hop.kind), []).append(hop)
        self.truncated = self.truncated or cut or len(self._hops) > MOST_EDGES
        self._seen |= self._frontier
        self._frontier = {
            (step.end, step.hop.kind)
            for node, kind in self._frontier
            for step in self.steps_from(node, arrived_by=kind)
            # A node that was reached by two kinds of edges is looked at for each: which moves there are depends on it.
        } - self._seen

    def steps_from(self, node: str, *, arrived_by: str) -> Iterator[Step]:
        """Give the steps from a node, in order."""
        for move in moves_from(node, arrived_by=arrived_by):
            found = self._out if move.direction == "out" else self._into
            for hop in found.get((node, move.kind), []):
                step = Step(move, hop)
                if not move.to or table_of(step.end) == move.to:
                    yield step

    def nodes(self) -> list[str]:
        """Give the ids of all nodes that the edges touch, and the start's."""
        return sorted({self.start} | {end for hop in self._hops for end in (hop.from_id, hop.to_id)})

    def edges_into(self, node: str, kind: str) -> list[Hop]:
        """Give the edges of a kind that were read to lead to a node."""
        return self._into.get((node, kind), [])

    def all_of(self, kind: str) -> list[Hop]:
        """Give all edges of a kind that were read."""
        return [hop for (_, found), hops in self._out.items() if found == kind for hop in hops]

    def lookups_of_start(self) -> list[str]:
        """Give the lookups that look in the table of the start, where it is a lookup's row."""
        tables = [hop.to_id for hop in self._out.get((self.start, "ROW_OF"), [])]
        return [hop.from_id for table in tables for hop in self.edges_into(table, "LOOKS_IN")]

    def leading_to_group(self) -> list[Hop]:
        """Give the edges that route to the start by one step, where it is a group."""
        return [hop for kind in sorted(TO_A_GROUP) for hop in self.edges_into(self.start, kind)]


def find_routes(around: Neighbourhood) -> list[Route]:
    """Find every way from the start to a group, or to a workflow or flow, where what is read ends; shortest first.

    No node comes twice in a route. At most MOST_ROUTES, and `around` is then said to be truncated.
    """
    routes: list[Route] = []
    for route in _walk(around, (), {around.start}):
        if len(routes) == MOST_ROUTES:
            around.truncated = True
            break
        routes.append(route)
    return sorted(routes, key=_place)


def _place(route: Route) -> tuple[int, list[str], list[int], list[str]]:
    nodes = [route[0].start, *(step.end for step in route)]
    return len(route), nodes, [MOVES.index(step.move) for step in route], [step.hop.source for step in route]


def _walk(around: Neighbourhood, route: Route, visited: set[str]) -> Iterator[Route]:
    node, kind = (route[-1].end, route[-1].hop.kind) if route else (around.start, "")
    if route and (table_of(node) == GROUP or kind in _ENDS):
        yield route
        return
    if len(route) == MOST_STEPS:
        around.truncated = True
        return
    for step in around.steps_from(node, arrived_by=kind):
        if step.end not in visited:
            yield from _walk(around, (*route, step), visited | {step.end})


def _split(asked: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = set(asked)
    return sorted({node for node, _ in pairs}), sorted({kind for _, kind in pairs})
