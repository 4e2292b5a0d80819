"""The Aggregate API: statistics of a table, blind to row ACLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.simulator import aggregates, replies
from ops.simulator.aggregates import GroupKey, Stats, Wanted
from ops.simulator.predicates import Path, resolve
from ops.simulator.table_api import encoded_query
from ops.simulator.values import display_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from ops.simulator.instance import Instance
    from ops.simulator.selection import Window
    from ops.simulator.store import Row, Table

Group = tuple[GroupKey, Stats]


def answer_stats(instance: Instance, request: web.Request, table: Table) -> web.Response:
    """Answer the statistics of a query, as one object or as a list of groups."""
    window = instance.select(table, encoded_query(request))
    wanted = _wanted(instance, request, table)
    by = _paths(instance, table, request.query.get("sysparm_group_by", ""))
    if not by:
        return replies.result(request, {"stats": wanted.stats(_rows(window))})
    parts = aggregates.grouped(_rows(window), list(by.values()))
    keep = aggregates.parse_having(request.query.get("sysparm_having", ""))
    groups = [(key, stats) for key, rows in parts.items() if keep(stats := wanted.stats(rows))]
    _sort(groups, list(by), request.query.get("sysparm_order_by", ""))
    display = request.query.get("sysparm_display_value", "false")
    shown = [{"stats": stats, "groupby_fields": _shown(instance, by, key, display)} for key, stats in groups]
    return replies.result(request, shown)


def _rows(window: Window) -> list[Row]:
    return list(window.page(0, window.total))


def _wanted(instance: Instance, request: web.Request, table: Table) -> Wanted:
    asked = {name: request.query.get(f"sysparm_{name}_fields", "") for name in aggregates.FIELD_AGGREGATES}
    fields = {name: _paths(instance, table, text) for name, text in asked.items()}
    return Wanted(count=request.query.get("sysparm_count") == "true", fields=fields)


def _paths(instance: Instance, table: Table, names: str) -> dict[str, Path]:
    """Resolve a comma list of fields; unknown ones are left out."""
    resolved = ((name, resolve(instance.store, table, name)) for name in map(str.strip, names.split(",")))
    return {name: path for name, path in resolved if path}


def _shown(instance: Instance, by: dict[str, Path], key: GroupKey, display: str) -> list[dict[str, str]]:
    """Give the fields that a group is of, with values, display values or both."""
    fields = []
    for (name, path), value in zip(by.items(), key, strict=True):
        seen = display_value(instance.store, path.column, value)
        both = {"field": name, "value": seen if display == "true" else value}
        fields.append({**both, "display_value": seen} if display == "all" else both)
    return fields


def _sort(groups: list[Group], by: list[str], order: str) -> None:
    """Sort groups by `AGGREGATE^field`, `COUNT` or a group's field, each perhaps with `^DESC`."""
    for part in reversed(order.split(",") if order else []):
        words = part.removesuffix("^DESC").split("^")
        groups.sort(key=_sort_key(words, by), reverse=part.endswith("^DESC"))


def _sort_key(words: list[str], by: list[str]) -> Callable[[Group], tuple[float, str]]:
    if words[0] in by:
        place = by.index(words[0])
        return lambda group: (0.0, group[0][place])
    return lambda group: (aggregates.figure(group[1], words[0].lower(), words[-1]), "")
