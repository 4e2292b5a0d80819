"""Which rows answer a query, and in which order, without walking a table for each page.

A table's rows are kept sorted by sys_id. Of a query with one group the comparisons of sys_id become two bounds
in that order, and the rest is evaluated once and kept until the store changes: a keyset page costs the page.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.simulator.predicates import any_of_predicate, resolve, sort_key
from ops.simulator.query import AnyOf, Group, Order, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.simulator.store import Row, Store, Table

_KEPT_SELECTIONS = 16
_BY_SYS_ID = Order("sys_id")
_BOUNDS = {">": bisect_right, ">=": bisect_left, "<": bisect_left, "<=": bisect_right}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a list of rows: all that match, in order."""

    rows: Sequence[Row]
    start: int
    stop: int

    @property
    def total(self) -> int:
        """How many rows match."""
        return max(0, self.stop - self.start)

    def page(self, offset: int, limit: int) -> Sequence[Row]:
        """Give one page."""
        first = self.start + offset
        return self.rows[first : max(first, min(first + limit, self.stop))]


class Selector:
    """Evaluates queries over a store; keeps what it may use again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._kept: OrderedDict[tuple[str, Query], list[Row]] = OrderedDict()

    def select(self, table: Table, query: Query, *, salt: str = "") -> Window:
        """Give the rows that match an understood query; without a total order they come shuffled.

        The shuffle follows the store's seed and the salt: a caller who salts by page has rows repeat and
        vanish across pages, as an instance without ORDERBY does.
        """
        with self._store.lock:
            if query.order[:1] == (_BY_SYS_ID,):
                return self._bounded(table, query.groups)
            if any(key.path == "sys_id" for key in query.order):
                return _whole(self._keep(table, query, self._sorted))
            window = self._bounded(table, query.groups)
            rows = list(window.page(0, window.total))
            random.Random(f"{self._store.seed}:{table.name}:{salt}").shuffle(rows)  # noqa: S311  not for secrets
            return _whole(self._ordered(table, rows, query.order))

    def _bounded(self, table: Table, groups: tuple[Group, ...]) -> Window:
        """Give the matching rows in the order of sys_id, its bounds found by bisection."""
        if len(groups) > 1:
            return _whole(self._matching(table, groups))
        bounds = [any_of for any_of in groups[0] if _is_bound(any_of)]
        rows = self._matching(table, (tuple(any_of for any_of in groups[0] if not _is_bound(any_of)),))
        start, stop = 0, len(rows)
        for (term,) in bounds:
            place = _BOUNDS[term.operator](rows, term.value.lower(), key=lambda row: row["sys_id"])
            start, stop = (max(start, place), stop) if term.operator[0] == ">" else (start, min(stop, place))
        return Window(rows, start, stop)

    def _matching(self, table: Table, groups: tuple[Group, ...]) -> list[Row]:
        if groups == ((),):
            return table.sorted_rows()
        wanted = _wanted_ids(groups)
        if wanted is None:
            return self._keep(table, Query(groups), self._evaluated)
        found = [row for sys_id in sorted(wanted) if (row := table.find(sys_id))]
        return self._filtered(table, found, groups)

    def _evaluated(self, table: Table, query: Query) -> list[Row]:
        return self._filtered(table, table.sorted_rows(), query.groups)

    def _filtered(self, table: Table, rows: list[Row], groups: tuple[Group, ...]) -> list[Row]:
        tests = [[any_of_predicate(self._store, table, any_of) for any_of in group] for group in groups]
        return [row for row in rows if any(all(test(row) for test in group) for group in tests)]

    def _sorted(self, table: Table, query: Query) -> list[Row]:
        return self._ordered(table, list(self._matching(table, query.groups)), query.order)

    def _ordered(self, table: Table, rows: list[Row], order: tuple[Order, ...]) -> list[Row]:
        for key in reversed(order):
            path = resolve(self._store, table, key.path)
            assert path is not None, "understood() drops unknown fields"
            get, as_key = path.get, sort_key(path.column)
            rows.sort(key=lambda row, get=get, as_key=as_key: as_key(get(row)), reverse=key.descending)  # type: ignore[misc]
        return rows

    def _keep(self, table: Table, query: Query, make: Callable[[Table, Query], list[Row]]) -> list[Row]:
        if self._version != self._store.version:
            self._kept.clear()
            self._version = self._store.version
        rows = self._kept.pop((table.name, query), None)
        if rows is None:
            rows = make(table, query)
        self._kept[table.name, query] = rows
        while len(self._kept) > _KEPT_SELECTIONS:
            self._kept.popitem(last=False)
        return rows


def understood(store: Store, table: Table, query: Query) -> Query:
    """Drop what names no field of the table, as an instance does; what is dropped becomes garbage."""
    dropped: list[str] = list(query.garbage)

    def keep(any_of: AnyOf) -> AnyOf:
        known = tuple(term for term in any_of if resolve(store, table, term.path))
        dropped.extend(term.path for term in any_of if term not in known)
        return known

    groups = tuple(tuple(kept for any_of in group if (kept := keep(any_of))) for group in query.groups)
    order = tuple(key for key in query.order if resolve(store, table, key.path))
    return Query(groups, order, tuple(dropped))


def _is_bound(any_of: AnyOf) -> bool:
    return len(any_of) == 1 and any_of[0].path == "sys_id" and any_of[0].operator in _BOUNDS


def _wanted_ids(groups: tuple[Group, ...]) -> set[str] | None:
    """Give the few sys_ids that a single group is about, where it says them."""
    for any_of in groups[0] if len(groups) == 1 else ():
        if len(any_of) == 1 and any_of[0].path == "sys_id" and any_of[0].operator in ("=", "IN"):
            return {part.strip().lower() for part in any_of[0].value.split(",")}
    return None


def _whole(rows: list[Row]) -> Window:
    return Window(rows, 0, len(rows))
