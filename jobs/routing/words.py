"""Each step of a route in words: its reason, and what about it is not certain."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from jobs.routing.moves import (
    ENGINE_TABLES,
    LOOKUP,
    ORDERED,
    SCRIPTED,
    TABLE,
    UNREAD_ENGINES,
    key_of,
    table_of,
)
from jobs.routing.routes import Neighbourhood, Route, Step

_WHOLE = frozenset({"complete"})
_NUMBER = re.compile("-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Named:
    """A node of a neighbourhood: its kind, name and attributes."""

    kind: str
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ToldStep:
    """A step told: the edge, its reason, and what is not certain, nothing where it is."""

    from_id: str
    kind: str
    to_id: str
    direction: str
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Teller:
    """What is known around a start: its nodes by id, the edges, and each table's verdict."""

    around: Neighbourhood
    nodes: Mapping[str, Named]
    verdicts: Mapping[str, str]

    def tell(self, routes: Iterable[Route]) -> list[list[ToldStep]]:
        """Tell routes, but for those by a column that a lookup only matches by."""
        kept = [route for route in routes if not self._is_only_matched(route)]
        engines = {route[-1].move.engine for route in kept if not any(map(self._is_inactive, _ends(route)))}
        return [
            [
                self._tell_step(step, index, rivals=engines if step is route[-1] else set())
                for index, step in enumerate(route)
            ]
            for route in kept
        ]

    def doubts(self) -> list[str]:
        """Name the tables of routing that are not known whole: an engine may assign that is not seen."""
        looked_in = {key_of(hop.to_id) for hop in self.around.all_of("LOOKS_IN")}
        return self._tell_verdicts((), engines={*ENGINE_TABLES, *looked_in})

    def _tell_step(self, step: Step, index: int, *, rivals: set[str]) -> ToldStep:
        end = self._attributes(step.end)
        reason = step.move.words.format(
            start=self._name(step.start),
            end=self._name(step.end),
            start_key=key_of(step.start),
            end_key=key_of(step.end),
            field=step.hop.source.rpartition(":")[2],
        )
        if table_of(step.end) in ORDERED and end.get("order"):
            reason += f" (order {end['order']})"
        told = [step.start, step.end] if index == 0 else [step.end]
        notes = tuple(dict.fromkeys(self._note(step, told, rivals)))
        return ToldStep(step.hop.from_id, step.hop.kind, step.hop.to_id, step.move.direction, reason, notes)

    def _note(self, step: Step, told: list[str], rivals: set[str]) -> Iterator[str]:
        """Say what is not certain about a step, in a fixed order; `told` are the nodes it has to speak of."""
        hop, move = step.hop, step.move
        yield from self._note_ends(step, told)
        if move.kind == "ROW_OF":
            yield "only for records that the row fits"
        if move.to == "sysrule_assignment" and self._has_earlier_rule(step):
            yield "unless an earlier rule matches"
        is_of_rules = move.at == TABLE and move.kind in {"APPLIES_TO", "CHANNEL_OF"}
        yield from self._tell_verdicts(
            {hop.read_table, table_of(hop.source)},
            engines=self._engine_tables(step.start) if is_of_rules else (),
        )
        if others := sorted(rivals - {move.engine}):
            yield f"so may {', '.join(others)}, in no defined order"

    def _engine_tables(self, table: str) -> set[str]:
        """Name the tables by which the work of a table is assigned: of each lookup the one that it looks in, too."""
        lookups = {hop.from_id for hop in self.around.edges_into(table, "APPLIES_TO")}
        looked_in = {
            key_of(hop.to_id)
            for hop in self.around.all_of("LOOKS_IN")
            if hop.from_id in lookups and not self._is_inactive(hop.from_id)
        }
        return {*ENGINE_TABLES, *looked_in}

    def _note_ends(self, step: Step, told: list[str]) -> Iterator[str]:
        if step.move.engine in UNREAD_ENGINES:
            yield "what it assigns is never read"
        for node in told:
            if self._is_inactive(node):
                yield "the start is inactive" if node == self.around.start else "it is inactive"
        if self._is_dangling(step):
            yield f"the other end is {step.hop.state}"
        for node in told:
            yield from self._note_terms(node)

    def _note_terms(self, node: str) -> Iterator[str]:
        if condition := self._attributes(node).get("condition"):
            yield f"only if {condition}"
        opaque = self._attributes(node).get("opaque")
        if opaque == "true":
            yield "a script decides, which is never read"
        elif opaque is None and table_of(node) in SCRIPTED:
            yield "whether a script decides is not known"

    def _is_dangling(self, step: Step) -> bool:
        return (
            step.hop.state != "resolved"
            and step.move.direction == "out"
            and step.move.engine not in UNREAD_ENGINES
            and table_of(step.end) != TABLE
        )

    def _has_earlier_rule(self, step: Step) -> bool:
        """Say whether another active rule of the table comes before, or may: of two of one order either may."""
        own = self._attributes(step.end).get("order", "")
        others = [
            hop.from_id
            for hop in self.around.edges_into(step.start, "APPLIES_TO")
            if table_of(hop.from_id) == "sysrule_assignment" and hop.from_id != step.end
        ]
        return not self._is_inactive(step.end) and any(
            not self._is_inactive(other) and _may_precede(self._attributes(other).get("order", ""), own)
            for other in others
        )

    def _is_only_matched(self, route: Route) -> bool:
        last = route[-1]
        if last.hop.kind != "NAMES":
            return False
        column = last.hop.source.rpartition(":")[2]
        found = self.around.lookups_of_start() if len(route) == 1 else _ends(route)
        lookups = [node for node in found if table_of(node) == LOOKUP]
        return any(self._uses(lookup, "MATCHES_FOR", column) for lookup in lookups) and not any(
            self._uses(lookup, "SETS_FOR", column) for lookup in lookups
        )

    def _uses(self, lookup: str, kind: str, column: str) -> bool:
        return any(
            self._attributes(hop.from_id).get("matcher_table_field") == column
            for hop in self.around.edges_into(lookup, kind)
        )

    def _is_inactive(self, node: str) -> bool:
        return self._attributes(node).get("active") == "false"

    def _attributes(self, node: str) -> Mapping[str, str]:
        found = self.nodes.get(node)
        return found.attributes if found else {}

    def _name(self, node: str) -> str:
        found = self.nodes.get(node)
        return f"'{found.name}'" if found else "?"

    def _tell_verdicts(self, own: Collection[str], *, engines: Collection[str]) -> list[str]:
        """Name the tables that are not known whole; one of another engine's may also be absent."""
        verdicts = {table: self.verdicts.get(table, "not read") for table in sorted({*own, *engines})}
        return [
            f"table {table} is {verdict}"
            for table, verdict in verdicts.items()
            if verdict not in (_WHOLE if table in own else _WHOLE | {"absent"})
        ]


def _ends(route: Route) -> list[str]:
    return [route[0].start, *(step.end for step in route)]


def _may_precede(order: str, own: str) -> bool:
    if _NUMBER.fullmatch(order) and _NUMBER.fullmatch(own):
        return int(order) <= int(own)
    return True
