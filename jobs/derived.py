"""Reads that follow from the surface for one instance: flags, values of properties, discovered tables.

Each is a Table that says where it comes from, its `origin`: what an instance or a setting named. `build_derived`
makes the same Table of the same origin again, and refuses an origin that leads to people, code or secrets. So
whoever is handed such a table (the room that talks to instances) need not believe it: it builds it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TypeAlias

from jobs.errors import OutsideSurface
from jobs.sensitive import SECRET_TYPES, describe_property_refusal, is_kept_column, is_people_table
from jobs.surface import Discovery, Reference, Surface, Table
from jobs.values import NAME

MOST_NAMES = 40  # in one IN: an address may have 8,192 bytes, all in all

_TABLE = re.compile(r"(?:dl|u|x)_[a-z0-9_]{1,76}\Z")
_KEPT_TYPES = frozenset(
    {
        "string", "choice", "integer", "longint", "decimal", "float", "boolean", "reference", "glide_list",
        "table_name", "field_name", "sys_class_name", "glide_date", "glide_date_time", "due_date", "glide_time",
        "glide_duration", "domain_id",
    }
)  # fmt: skip
_REFERRING = frozenset({"reference", "glide_list"})
# In bytes, of the 8,192 that an address may have: the condition needs room too.
_LONGEST_FIELDS = 4_000


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """A column as the dictionary describes it."""

    element: str
    internal_type: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class FlagOrigin:
    """The records of a table in which a column behind a flag is not empty, or with `is_opposite` is."""

    table: str
    flag: str
    column: str
    is_opposite: bool = False


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """The records of a table whose value is read, by their names."""

    table: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """The dictionary's rows for the columns of discovered tables."""

    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """A discovered table, and what the dictionary says of its columns."""

    table: str
    columns: tuple[Column, ...]


Origin: TypeAlias = FlagOrigin | ValueOrigin | ColumnOrigin | TableOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedTable(Table):
    """A table that follows from the surface and its origin."""

    origin: Origin

    @property
    def can_be_reread(self) -> bool:
        """Whether it is a table of its own, that was discovered: the others tell of the records of one."""
        return isinstance(self.origin, TableOrigin)


def build_derived(surface: Surface, origin: Origin) -> DerivedTable:
    """Build the table of an origin; OutsideSurface where the surface does not lead to it."""
    match origin:
        case FlagOrigin():
            return _build_flag(surface, origin)
        case ValueOrigin():
            return _build_values(surface, origin)
        case ColumnOrigin():
            return _build_columns(surface, origin)
        case TableOrigin():
            return _build_discovered(surface, origin)


def describe_refusal(name: str) -> str | None:
    """Say why a table that an instance names is not read; None where it may be."""
    if not _TABLE.match(name):
        return "it is neither a data lookup's table nor a custom one (dl_, u_, x_)"
    if is_people_table(name):
        return "its name says that it holds people"
    return None


def choose_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Choose the columns that may be read: of a plain type, and of no person, code or secret; in order."""
    return tuple(sorted({column for column in columns if _is_kept(column)}))


def _is_kept(column: Column) -> bool:
    # The platform's own columns say who made and who changed a record.
    if not NAME.match(column.element) or column.element.startswith("sys_"):
        return False
    if column.internal_type not in _KEPT_TYPES or not is_kept_column(column.element):
        return False
    return not (column.internal_type in _REFERRING and is_people_table(column.reference))


def _build_flag(surface: Surface, origin: FlagOrigin) -> DerivedTable:
    table = _find(surface, origin.table)
    if origin.column not in table.flags.get(origin.flag, ()):
        raise OutsideSurface(
            f"{table.name} has no such flag {origin.flag}: nothing was asked; describe it there first."
        )
    term = f"{origin.column}{'ISEMPTY' if origin.is_opposite else 'ISNOTEMPTY'}"
    return _derive(table, origin, fields=("sys_id",), filter="^".join(filter(None, (table.filter, term))))


def _build_values(surface: Surface, origin: ValueOrigin) -> DerivedTable:
    table = _find(surface, origin.table)
    if not table.values or not 0 < len(origin.names) <= MOST_NAMES:
        raise OutsideSurface(f"No values of {table.name} are in the read surface: nothing was asked.")
    for place, name in enumerate(origin.names, start=1):
        if refusal := describe_property_refusal(name):
            raise OutsideSurface(f"Name {place} of the values of {table.name} {refusal}: nothing was asked.")
    terms = [f"nameIN{','.join(origin.names)}", *(f"type!={kind}" for kind in SECRET_TYPES)]
    return _derive(table, origin, fields=("sys_id", "name", "type", "value"), filter="^".join(terms))


def _build_columns(surface: Surface, origin: ColumnOrigin) -> DerivedTable:
    discovery = _find_discovery(surface)
    table = _find(surface, discovery.described_in)
    if not 0 < len(origin.tables) <= MOST_NAMES:
        raise OutsideSurface(f"{len(origin.tables)} tables are too many, or none, to ask {table.name} for.")
    for name in origin.tables:
        _check_discovered(name)
    return _derive(
        table,
        origin,
        fields=("sys_id", "name", "element", "internal_type", "reference"),
        filter=f"elementISNOTEMPTY^nameIN{','.join(origin.tables)}",
    )


def _build_discovered(surface: Surface, origin: TableOrigin) -> DerivedTable:
    discovery = _find_discovery(surface)
    parent = _find(surface, discovery.extends)
    _check_discovered(origin.table)
    own = [column for column in choose_columns(origin.columns) if column.element not in parent.fields]
    names = [column.element for column in own]
    if len(set(names)) != len(names) or sum(map(len, names)) > _LONGEST_FIELDS:
        raise OutsideSurface(
            f"The dictionary describes {origin.table} with too many columns, or one of them twice."
        )
    references = {
        column.element: Reference(
            discovery.reference, to=column.reference, many=column.internal_type == "glide_list"
        )
        for column in own
        if column.internal_type in _REFERRING and NAME.match(column.reference)
    }
    return _derive(
        parent,
        origin,
        name=origin.table,
        fields=(*parent.fields, *names),
        filter=f"sys_class_name={origin.table}",
        why=discovery.why,
        depth=parent.depth + 1,
        references={**parent.references, **references},
    )


def _check_discovered(name: str) -> None:
    if refusal := describe_refusal(name):
        raise OutsideSurface(f"The table {name[:80]!r} is not read, since {refusal}: nothing was asked.")


def _find(surface: Surface, name: str) -> Table:
    table = surface.tables.get(name)
    if table is None:
        raise OutsideSurface(
            f"{name} is not in the read surface: nothing was asked; describe it there first."
        )
    return table


def _find_discovery(surface: Surface) -> Discovery:
    if surface.discovery is None:
        raise OutsideSurface("The read surface discovers no tables: nothing was asked.")
    return surface.discovery


def _derive(table: Table, origin: Origin, **changed: object) -> DerivedTable:
    known = {one.name: getattr(table, one.name) for one in fields(Table)}
    return DerivedTable(**{**known, **changed}, origin=origin)
