"""The read surface: every table and field that is ever asked for, as data.

Each `.toml` file here is one domain. The client can ask for nothing else, the graph is built by what it says,
and the integration guide and `zaptik surface` are made from it. A new table is data only. What follows from it
for one instance (discovered tables, flags, values of properties) is in `jobs.derived`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from jobs.filters import name_fields
from jobs.keys import STATE_FIELDS
from jobs.sensitive import describe_property_refusal

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_WALK = re.compile(r"[a-z][a-z0-9_]*\.name\Z")
_KEYS = {
    "name", "extends", "kind", "key", "label", "fields", "why", "role", "plugin", "filter", "references", "link",
    "flags", "values",
}  # fmt: skip
_TABLES = "sys_db_object"


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that names records of another table; `many` for a comma-separated list of them."""

    kind: str
    to: str
    many: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """One end of a many-to-many row: the field, and the base table of the record it names."""

    field: str
    table: str


@dataclass(frozen=True, slots=True)
class Link:
    """A many-to-many table's row as an edge; its other fields are the edge's attributes."""

    kind: str
    start: End
    end: End


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the surface: what is asked of it, why, and what its rows become.

    `base` is the table that a node's id is written with, `depth` how many parents the surface knows, `key` the
    field that the id ends with: a table's node is called by the table's name, since most of what refers to a
    table does so by its name. `kind` is None for a many-to-many table, whose rows are edges by `link`.

    `flags` are attributes that say whether any of some columns is not empty; the columns themselves are never
    read. `values` are the names of the only records whose `value` is read, each with why.
    """

    domain: str
    name: str
    fields: tuple[str, ...]
    why: str
    role: str
    plugin: str = ""
    filter: str = ""
    base: str = ""
    depth: int = 0
    kind: str | None = None
    key: str = "sys_id"
    label: str = "name"
    references: Mapping[str, Reference] = field(default_factory=dict)
    link: Link | None = None
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The fields that a node or an edge keeps as they are: neither its identity nor a reference."""
        apart = {"sys_id", "sys_class_name", *self.references}
        apart |= {self.link.start.field, self.link.end.field} if self.link else {self.label}
        return tuple(sorted(name for name in self.fields if name not in apart))

    @property
    def can_be_reread(self) -> bool:
        """Whether its own records' states tell all that can change in it; else it is read whole every time.

        A field of another record can change without them, and only by its sys_id is a record followed from run to
        run. What is behind a flag, and a value, change with the record that has them.
        """
        return self.key == "sys_id" and not any("." in name for name in self.fields)

    @property
    def asked(self) -> tuple[str, ...]:
        """All fields that are asked for: where less may be read again, also what says whether a record changed."""
        return (*self.fields, *STATE_FIELDS) if self.can_be_reread else self.fields

    @property
    def referring(self) -> dict[str, tuple[str, ...]]:
        """The fields that edges have as their source, and what a row must have for each to say one or none."""
        if self.link:
            return {self.link.end.field: (self.link.start.field, self.link.end.field)}
        return {field: (field,) for field in self.references}

    @property
    def fields_hash(self) -> str:
        """Name the set of fields in the audit trail, 12 hex digits."""
        return hashlib.sha256(",".join(self.asked).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Discovery:
    """Tables that an instance names itself: in `field` of `named_in`, described by its dictionary.

    They extend `extends`, a table of the surface; a column that refers to a record becomes an edge of kind
    `reference`.
    """

    domain: str
    named_in: str
    field: str
    described_in: str
    extends: str
    reference: str
    why: str


@dataclass(frozen=True, slots=True)
class Surface:
    """All tables by name, in the order they are read, and a version that changes with their content."""

    version: str
    tables: Mapping[str, Table]
    discovery: Discovery | None = None

    @property
    def bases(self) -> tuple[str, ...]:
        """The tables whose records are nodes, as node ids name them."""
        return tuple(sorted({table.base for table in self.tables.values() if table.kind}))

    @property
    def parents(self) -> tuple[str, ...]:
        """The tables of whose records subclasses say more, those of them included that an instance names."""
        found = {table.base for table in self.tables.values() if table.depth}
        return tuple(sorted(found | ({self.discovery.extends} if self.discovery else set())))

    @property
    def links(self) -> tuple[str, ...]:
        """The tables whose records are edges."""
        return tuple(table.name for table in self.tables.values() if table.link)

    @property
    def subclasses(self) -> tuple[str, ...]:
        """The tables that say more of a record than their parent does."""
        return tuple(table.name for table in self.tables.values() if table.depth)

    def with_tables(self, found: Iterable[Table]) -> Surface:
        """Give the surface with the tables that were discovered on one instance."""
        return replace(self, tables={**self.tables, **{table.name: table for table in found}})

    def with_values(self, names: Iterable[str]) -> Surface:
        """Give the surface with further names of records whose value is read; ValueError for a refused one."""
        more = dict.fromkeys(names, "A setting of this deployment names it.")
        tables = {
            name: replace(table, values=more | dict(table.values)) if table.values else table
            for name, table in self.tables.items()
        }
        for table in tables.values():
            _check_values(table)
        return replace(self, tables=tables)


@cache
def read_surface() -> Surface:
    """Read the packaged surface; a table that contradicts itself is a ValueError."""
    tables: dict[str, Table] = {}
    discovery: Discovery | None = None
    digest = hashlib.sha256()
    paths = (path for path in files(__name__).iterdir() if path.name.endswith(".toml"))
    for path in sorted(paths, key=lambda path: path.name):
        text = path.read_text("utf-8")
        digest.update(text.encode())
        document = tomllib.loads(text)
        for entry in document["table"]:
            table = _parse_table(document["domain"], entry, parent=tables.get(entry.get("extends", "")))
            if table.name in tables:
                raise ValueError(f"the table {table.name} stands twice in the surface")
            tables[table.name] = table
        if found := document.get("discovery"):
            discovery = Discovery(domain=document["domain"], **found)
    if discovery and not {discovery.named_in, discovery.described_in, discovery.extends} <= tables.keys():
        raise ValueError("the discovery rests on a table that is not in the surface")
    return Surface(version=digest.hexdigest()[:12], tables=tables, discovery=discovery)


def _parse_table(domain: str, entry: Mapping[str, Any], *, parent: Table | None) -> Table:
    name = entry.get("name", "a table without a name")
    if unknown := entry.keys() - _KEYS:
        raise ValueError(f"{name} has keys that mean nothing: {', '.join(sorted(unknown))}")
    try:
        table = _build_table(domain, entry, parent=parent)
        _check_table(table)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name} is not described as a table is: {error!r}") from error
    return table


def _build_table(domain: str, entry: Mapping[str, Any], *, parent: Table | None) -> Table:
    name = entry["name"]
    if "extends" in entry and parent is None:
        raise ValueError(f"{name} extends {entry['extends']}, which does not stand before it")
    references = dict(parent.references) if parent else {}
    references |= {key: Reference(**value) for key, value in entry.get("references", {}).items()}
    # A parent's first field is its own sys_id.
    own = ("sys_id", *(parent.fields[1:] if parent else ()), *entry["fields"])
    link = entry.get("link")
    return Table(
        domain=domain,
        name=name,
        fields=own,
        why=entry["why"],
        role=entry["role"],
        plugin=entry.get("plugin", ""),
        filter=entry.get("filter", ""),
        base=parent.base if parent else name,
        depth=parent.depth + 1 if parent else 0,
        kind=entry.get("kind"),
        key=parent.key if parent else entry.get("key", "sys_id"),
        label=parent.label if parent else entry.get("label", "name"),
        references=references,
        link=Link(link["kind"], End(**link["from"]), End(**link["to"])) if link else None,
        flags=(dict(parent.flags) if parent else {})
        | {key: _parse_columns(columns) for key, columns in entry.get("flags", {}).items()},
        values=dict(entry.get("values", {})),
    )


def _parse_columns(columns: object) -> tuple[str, ...]:
    if not isinstance(columns, list) or not columns:
        raise TypeError("a flag is a list of columns")
    return tuple(columns)


def _check_table(table: Table) -> None:
    columns = [column for flag in table.flags.values() for column in flag]
    plain = [name for name in table.fields if not (_WALK.match(name) and _names_table(table, name))]
    if odd := [name for name in (table.name, *plain, *table.flags, *columns) if not _NAME.match(name)]:
        raise ValueError(f"{table.name} uses what cannot be a name: {', '.join(map(repr, odd))}")
    if len(set(table.fields)) != len(table.fields):
        raise ValueError(f"{table.name} names a field twice")
    if (table.kind is None) == (table.link is None):
        raise ValueError(f"{table.name} must be a kind of node or a link, and not both")
    needed = {*table.references, *name_fields(table.filter)} | (
        {table.label, table.key} if table.kind else set()
    )
    if table.link:
        needed |= {table.link.start.field, table.link.end.field}
    if missing := needed - set(table.fields):
        raise ValueError(f"{table.name} uses fields it does not ask for: {', '.join(sorted(missing))}")
    if read := {*columns, *table.flags} & set(table.fields):
        raise ValueError(f"{table.name} reads what only a flag may speak of: {', '.join(sorted(read))}")
    if table.flags and table.link:
        raise ValueError(f"{table.name} is a link and can have no flag")
    _check_values(table)


def _names_table(table: Table, field_name: str) -> bool:
    """Say whether a field walks to the name of a table: the one walk that is allowed, since ids need it."""
    reference = table.references.get(field_name)
    return reference is not None and reference.to == _TABLES


def _check_values(table: Table) -> None:
    if table.values and not {"name", "type"} <= set(table.fields):
        raise ValueError(f"{table.name} has values, and no name and type to tell which may be read")
    for place, name in enumerate(table.values, start=1):
        if refusal := describe_property_refusal(name):
            raise ValueError(f"{table.name}: name {place} of its values {refusal}")
