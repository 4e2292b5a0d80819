"""The read surface: every table and field that is ever asked for, as data.

Each `.toml` file here is one domain. The client can ask for nothing else, the graph is built by what it says,
and the integration guide and `zaptik surface` are made from it. A new table is data only.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jobs.keys import STATE_FIELDS

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_KEYS = {
    "name", "extends", "kind", "label", "fields", "why", "role", "plugin", "filter", "references", "link",
}  # fmt: skip


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
    """A many-to-many table's row as an edge."""

    kind: str
    start: End
    end: End


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the surface: what is asked of it, why, and what its rows become.

    `base` is the table that a node's id is written with, `depth` how many parents the surface knows. `kind` is
    None for a many-to-many table, whose rows are edges by `link`.
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
    label: str = "name"
    references: Mapping[str, Reference] = field(default_factory=dict)
    link: Link | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        """The fields that a node keeps as they are: neither its identity nor a reference."""
        apart = {"sys_id", "sys_class_name", self.label, *self.references}
        return tuple(sorted(name for name in self.fields if name not in apart))

    @property
    def asked(self) -> tuple[str, ...]:
        """All fields that are asked for: of a node's record also what says whether it changed."""
        return self.fields if self.link else (*self.fields, *STATE_FIELDS)

    @property
    def fields_hash(self) -> str:
        """Name the set of fields in the audit trail, 12 hex digits."""
        return hashlib.sha256(",".join(self.asked).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Surface:
    """All tables by name, in the order they are read, and a version that changes with their content."""

    version: str
    tables: Mapping[str, Table]

    @property
    def bases(self) -> tuple[str, ...]:
        """The tables whose records are nodes, as node ids name them."""
        return tuple(sorted({table.base for table in self.tables.values() if table.kind}))

    @property
    def subclasses(self) -> tuple[str, ...]:
        """The tables that say more of a record than their parent does."""
        return tuple(table.name for table in self.tables.values() if table.depth)


@cache
def read_surface() -> Surface:
    """Read the packaged surface; a table that contradicts itself is a ValueError."""
    tables: dict[str, Table] = {}
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
    return Surface(version=digest.hexdigest()[:12], tables=tables)


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
        label=parent.label if parent else entry.get("label", "name"),
        references=references,
        link=Link(link["kind"], End(**link["from"]), End(**link["to"])) if link else None,
    )


def _check_table(table: Table) -> None:
    if odd := [name for name in (table.name, *table.fields) if not _NAME.match(name)]:
        raise ValueError(f"{table.name} uses what cannot be a name: {', '.join(map(repr, odd))}")
    if len(set(table.fields)) != len(table.fields):
        raise ValueError(f"{table.name} names a field twice")
    if (table.kind is None) == (table.link is None):
        raise ValueError(f"{table.name} must be a kind of node or a link, and not both")
    needed = {*table.references} | ({table.label} if table.kind else set())
    if table.link:
        needed |= {table.link.start.field, table.link.end.field}
    if missing := needed - set(table.fields):
        raise ValueError(f"{table.name} uses fields it does not ask for: {', '.join(sorted(missing))}")
