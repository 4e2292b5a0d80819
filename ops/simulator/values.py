"""A stored value as the API writes it: the shapes of references, of display values, of both at once.

Plain values cost one dictionary a row; everything else goes column by column.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ops.simulator.predicates import Path, referred, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.simulator.columns import Column
    from ops.simulator.store import Row, Store, Table

Shape = str | dict[str, str]
USER_ZONE = timedelta(hours=-7)
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Shaping:
    """How a request wants its values: `sysparm_display_value`, links or not, and the host that links name."""

    display: str = "false"
    links: bool = True
    base_url: str = ""


class Projector:
    """Turns rows of one table into the objects of an answer."""

    def __init__(self, store: Store, table: Table, fields: Sequence[str], shaping: Shaping) -> None:
        resolved = ((name, resolve(store, table, name)) for name in fields)
        self._store = store
        self._shaping = shaping
        self._paths: dict[str, Path] = {name: path for name, path in resolved if path}

    def project(self, rows: Sequence[Row]) -> Sequence[dict[str, Shape]]:
        """Give the rows' objects; fields that the table does not have are missing."""
        if not self._is_plain():
            shapers = [(name, path.get, self._shaper(path.column)) for name, path in self._paths.items()]
            return [{name: shape(get(row)) for name, get, shape in shapers} for row in rows]
        names = tuple(self._paths)
        return [{name: row.get(name, "") for name in names} for row in rows]

    def _is_plain(self) -> bool:
        """Say whether every value goes out as it is stored."""
        if self._shaping.display != "false" or any("." in name for name in self._paths):
            return False
        return not self._shaping.links or all(
            path.column.kind != "reference" for path in self._paths.values()
        )

    def _shaper(self, column: Column) -> Callable[[str], Shape]:
        if self._shaping.display == "all":
            return lambda value: self._both(column, value)
        if self._shaping.display == "true":
            return lambda value: self._displayed(column, value)
        return lambda value: self._linked(column, value)

    def _linked(self, column: Column, value: str) -> Shape:
        if not self._has_link(column, value):
            return value
        return {"link": self._link(column, value), "value": value}

    def _displayed(self, column: Column, value: str) -> Shape:
        display = display_value(self._store, column, value)
        if not self._has_link(column, value):
            return display
        return {"display_value": display, "link": self._link(column, value)}

    def _both(self, column: Column, value: str) -> Shape:
        both = {"display_value": display_value(self._store, column, value), "value": value}
        return {**both, "link": self._link(column, value)} if self._has_link(column, value) else both

    def _has_link(self, column: Column, value: str) -> bool:
        return bool(value) and column.kind == "reference" and self._shaping.links

    def _link(self, column: Column, value: str) -> str:
        place = f"/{value}" if column.key == "sys_id" else f"?{column.key}={value}"
        return f"{self._shaping.base_url}/api/now/table/{column.target}{place}"


def display_value(store: Store, column: Column, value: str) -> str:
    """Give what a person would see: names for references, the user's zone for times."""
    if column.kind == "datetime" and value:
        return _in_user_zone(value)
    if column.kind == "class" and (table := store.table(value)):
        return table.spec.label
    target = store.table(column.target) if column.kind in ("reference", "list") else None
    if target is None:
        return value if column.kind != "reference" else ""
    return ", ".join(_name_of(target, column, part.strip()) for part in value.split(",")) if value else ""


def _name_of(target: Table, column: Column, value: str) -> str:
    row = referred(target, column, value)
    return row.get(target.spec.display, "") if row else ""


def _in_user_zone(value: str) -> str:
    try:
        return (datetime.strptime(value, _TIME) + USER_ZONE).strftime(_TIME)  # noqa: DTZ007  UTC by convention
    except ValueError:
        return value
