"""Counts, least, greatest, sums and averages over rows, in groups or not; knows rows, not HTTP.

Everything is said as a string, as the Aggregate API says it. Row and field ACLs are not seen here: the
instance's aggregates are blind to them as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING

from ops.simulator.predicates import Path, as_number, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.simulator.store import Row

Stats = dict[str, str | dict[str, str]]
Paths = dict[str, Path]
GroupKey = tuple[str, ...]
FIELD_AGGREGATES = ("min", "max", "sum", "avg")
_COMPARISONS = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compute: whether to count, and the fields of each aggregate."""

    count: bool
    fields: dict[str, Paths]

    def stats(self, rows: Sequence[Row]) -> Stats:
        """Compute everything wanted over some rows."""
        found: Stats = {"count": str(len(rows))} if self.count else {}
        for aggregate, paths in self.fields.items():
            if paths:
                found[aggregate] = {name: aggregated(aggregate, path, rows) for name, path in paths.items()}
        return found


def aggregated(aggregate: str, path: Path, rows: Sequence[Row]) -> str:
    """Compute one aggregate of one field; empty values do not count, and of none the answer is empty."""
    get = path.get
    values = [value for row in rows if (value := get(row))]
    if not values:
        return ""
    if aggregate in ("min", "max"):
        as_key = sort_key(path.column)
        return min(values, key=as_key) if aggregate == "min" else max(values, key=as_key)
    numbers = [number for value in values if (number := as_number(value)) is not None]
    if aggregate == "sum":
        return _number_text(sum(numbers))
    return f"{sum(numbers) / len(numbers):.4f}" if numbers else ""


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.4f}"


def grouped(rows: Sequence[Row], paths: Sequence[Path]) -> dict[GroupKey, list[Row]]:
    """Part rows by the values of some fields, in the order of the values."""
    groups: dict[GroupKey, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(path.get(row) for path in paths), []).append(row)
    return dict(sorted(groups.items()))


def parse_having(text: str) -> Callable[[Stats], bool]:
    """Read `aggregate^field^operator^value`, several by comma; what cannot be read is dropped."""
    tests = [test for part in text.split(",") if (test := _having_test(part.split("^")))]
    return lambda stats: all(test(stats) for test in tests)


def _having_test(parts: list[str]) -> Callable[[Stats], bool] | None:
    if len(parts) != 4 or parts[2] not in _COMPARISONS:  # noqa: PLR2004  the four parts of the docstring
        return None
    aggregate, name, operator, value = parts
    compare = _COMPARISONS[operator]
    return lambda stats: compare(figure(stats, aggregate.lower(), name), as_number(value) or 0.0)


def figure(stats: Stats, aggregate: str, name: str) -> float:
    """Give one aggregate as a number, to compare or sort by."""
    found = stats.get(aggregate, "")
    text = found if isinstance(found, str) else found.get(name, "")
    return as_number(text) or 0.0
