"""Terms to functions of a row: how each operator compares.

Text compares without regard to case, as the instance's database does. A value that is no number, compared with
a number column, holds for no row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING

from ops.simulator.store import Row, Store, Table

if TYPE_CHECKING:
    from ops.simulator.columns import Column
    from ops.simulator.query import AnyOf, Term

Getter = Callable[[Row], str]
Predicate = Callable[[Row], bool]
Comparison = Callable[[str], bool]

_NOT_OF = {
    "!=": "=", "NOTLIKE": "LIKE", "NOT LIKE": "LIKE", "NOT IN": "IN", "ISNOTEMPTY": "ISEMPTY", "NSAMEAS": "SAMEAS",
    "NOTON": "ON",
}  # fmt: skip
_RANGES = {"<": lt, "<=": le, ">": gt, ">=": ge}
_FIELD_RANGES = {"LT_FIELD": lt, "LT_OR_EQUALS_FIELD": le, "GT_FIELD": gt, "GT_OR_EQUALS_FIELD": ge}


@dataclass(frozen=True, slots=True)
class Path:
    """A field as a query or `sysparm_fields` names it, resolved: its last column and how to read it."""

    column: Column
    get: Getter


def resolve(store: Store, table: Table, path: str) -> Path | None:
    """Resolve a field, dot-walking references; None when the instance would not know it."""
    first, _, rest = path.partition(".")
    column = table.column(first)
    if column is None:
        return None
    if not rest:
        return Path(column, lambda row: row.get(first, ""))
    target = store.table(column.target) if column.kind == "reference" else None
    beyond = resolve(store, target, rest) if target else None
    if target is None or beyond is None:
        return None
    return Path(beyond.column, _walker(target, column, beyond.get))


def _walker(target: Table, column: Column, get: Getter) -> Getter:
    def walk(row: Row) -> str:
        found = referred(target, column, row.get(column.name, ""))
        return get(found) if found else ""

    return walk


def referred(target: Table, column: Column, value: str) -> Row | None:
    """Find the row that a reference points to, by sys_id or by the column it is keyed by."""
    if column.key == "sys_id" or not value:
        return target.find(value)
    return next((row for row in target.sorted_rows() if row.get(column.key) == value), None)


def any_of_predicate(store: Store, table: Table, any_of: AnyOf) -> Predicate:
    """Give the test of a condition with its `^OR`s; its fields must be known."""
    tests = [term_predicate(store, table, term) for term in any_of]
    if len(tests) > 1:
        return lambda row: any(test(row) for test in tests)
    return tests[0]


def term_predicate(store: Store, table: Table, term: Term) -> Predicate:
    """Give the test of one term; its field must be known."""
    path = resolve(store, table, term.path)
    assert path is not None, "terms with unknown fields are dropped before"
    positive = _NOT_OF.get(term.operator)
    operator = positive or term.operator
    test = _field_test(store, table, path, operator, term.value) or _value_test(path, operator, term.value)
    return test if positive is None else lambda row: not test(row)


def _field_test(store: Store, table: Table, path: Path, operator: str, value: str) -> Predicate | None:
    if operator != "SAMEAS" and operator not in _FIELD_RANGES:
        return None
    other = resolve(store, table, value.split("@", maxsplit=1)[0])
    if other is None:
        return lambda _row: False
    if operator == "SAMEAS":
        return lambda row: path.get(row) == other.get(row)
    compare = _FIELD_RANGES[operator]
    as_key = sort_key(path.column)

    def holds(row: Row) -> bool:
        own, others = path.get(row), other.get(row)
        return bool(own) and bool(others) and bool(compare(as_key(own), as_key(others)))

    return holds


def _value_test(path: Path, operator: str, value: str) -> Predicate:
    compare, get = comparison(path.column, operator, value), path.get
    return lambda row: compare(get(row))


def comparison(column: Column, operator: str, value: str) -> Comparison:
    """Give the test of a field's value for one of the positive operators."""
    if operator in _RANGES:
        return _range_comparison(column, operator, value)
    if operator in ("BETWEEN", "ON"):
        low, high = ([*value.split("@")[-2:], ""])[:2]
        above, below = (_range_comparison(column, *bound) for bound in ((">=", low), ("<=", high)))
        return lambda text: above(text) and below(text)
    if operator == "IN":
        wanted = {part.strip().lower() for part in value.split(",")}
        return lambda text: text.lower() in wanted
    return _text_comparison(operator, value.lower())


def _text_comparison(operator: str, value: str) -> Comparison:
    comparisons: dict[str, Comparison] = {
        "=": lambda text: text.lower() == value,
        "LIKE": lambda text: value in text.lower(),
        "STARTSWITH": lambda text: text.lower().startswith(value),
        "ENDSWITH": lambda text: text.lower().endswith(value),
        "ISEMPTY": lambda text: not text,
        "EMPTYSTRING": lambda text: not text,
        "ANYTHING": lambda _text: True,
    }
    return comparisons[operator]


def _range_comparison(column: Column, operator: str, value: str) -> Comparison:
    compare = _RANGES[operator]
    if not column.is_number:
        low = value.lower()
        return lambda text: bool(text) and bool(compare(text.lower(), low))
    number = as_number(value)
    if number is None:
        return lambda _text: False
    return lambda text: (own := as_number(text)) is not None and bool(compare(own, number))


def as_number(text: str) -> float | None:
    """Read a finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def sort_key(column: Column) -> Callable[[str], tuple[float, str]]:
    """Give how values of a column sort: empty first, numbers as numbers, text without regard to case."""
    if column.is_number:
        return lambda text: ((as_number(text) or 0.0) if text else -math.inf, text)
    return lambda text: (0.0, text.lower())
