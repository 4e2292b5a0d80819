"""The dictionary's own rows for the tables that a store has: sys_db_object and sys_dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.simulator.columns import Column, TableSpec
    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_TYPES = {
    "list": "glide_list",
    "datetime": "glide_date_time",
    "duration": "glide_duration",
    "class": "sys_class_name",
}


def dictionary_tables(maker: Maker, specs: Iterable[TableSpec]) -> dict[str, list[Row]]:
    """Describe tables as the dictionary does: a row for each, and a row for each column of its own."""
    known = sorted(specs, key=lambda spec: spec.name)
    numbers = {spec.name: number for number, spec in enumerate(known)}
    entries = ((spec, column) for spec in known for column in _entries(spec))
    return {
        "sys_db_object": [_object(maker, spec, numbers) for spec in known],
        "sys_dictionary": [_entry(maker, number, spec, col) for number, (spec, col) in enumerate(entries)],
    }


def _object(maker: Maker, spec: TableSpec, numbers: dict[str, int]) -> Row:
    parent = maker.id_of("sys_db_object", numbers[spec.extends]) if spec.extends else ""
    return maker.metadata_row(
        "sys_db_object", numbers[spec.name], name=spec.name, label=spec.label, super_class=parent,
        is_extendable="true", ws_access="true", access="public", read_access="true",
    )  # fmt: skip


def _entries(spec: TableSpec) -> Iterator[Column | None]:
    """Give the table's own entry, which has no element, then its columns."""
    yield None
    yield from spec.columns.values()


def _entry(maker: Maker, number: int, spec: TableSpec, column: Column | None) -> Row:
    if column is None:
        return maker.metadata_row(
            "sys_dictionary", number, name=spec.name, internal_type="collection", active="true"
        )
    return maker.metadata_row(
        "sys_dictionary", number, name=spec.name, element=column.name, active="true",
        internal_type=_TYPES.get(column.kind, column.kind), reference=column.target, max_length="40",
        column_label=column.name.replace("_", " ").capitalize(),
        display="true" if column.name == spec.display else "false",
        default_value="CANARY-DEFAULT" if column.kind == "script" else "",
    )  # fmt: skip
