"""What a table is: its label, its columns, what it extends.

The known tables come from `tables.toml` beside this file. A table that is not in it (a customer's own, one that
a test puts in) gets its columns from its rows.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, cast

Kind = Literal[
    "string",
    "boolean",
    "integer",
    "decimal",
    "reference",
    "list",
    "datetime",
    "duration",
    "script",
    "html",
    "class",
    "email",
    "password2",
]

TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_WORD = re.compile(r"(?P<name>\w+)(?::(?P<kind>[a-z0-9]+))?(?:>(?P<target>\w+))?(?:\?(?P<key>\w+))?\Z")
_SYSTEM = (
    "sys_id sys_created_on:datetime sys_created_by sys_updated_on:datetime sys_updated_by "
    "sys_mod_count:integer sys_tags"
)
_METADATA = (
    "sys_class_name:class sys_name sys_scope:reference>sys_scope sys_package:reference>sys_package "
    "sys_policy sys_update_name sys_domain:reference>sys_user_group"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its kind and, of a reference or list, the table it points to and by which column."""

    name: str
    kind: Kind = "string"
    target: str = ""
    key: str = "sys_id"

    @property
    def is_number(self) -> bool:
        """Say whether values compare as numbers."""
        return self.kind in ("integer", "decimal")


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as the dictionary describes it; `columns` are its own, without its parent's."""

    name: str
    label: str
    display: str = "name"
    extends: str = ""
    columns: dict[str, Column] = field(default_factory=dict)


def parse_column(word: str) -> Column:
    """Read one word of `tables.toml`, such as `parent:reference>sys_user_group`."""
    match = _WORD.match(word)
    if match is None:
        raise ValueError(f"not a column: {word!r}")
    parts = match.groupdict()
    return Column(
        parts["name"],
        cast("Kind", parts["kind"] or "string"),
        parts["target"] or "",
        parts["key"] or "sys_id",
    )


def parse_columns(words: str) -> dict[str, Column]:
    """Read columns by white space."""
    return {column.name: column for column in map(parse_column, words.split())}


@cache
def known_tables() -> dict[str, TableSpec]:
    """Give the tables of `tables.toml` by name."""
    entries = tomllib.loads(Path(__file__).with_name("tables.toml").read_text("utf-8"))
    return {name: _known(name, entry) for name, entry in entries.items()}


def _known(name: str, entry: dict[str, str]) -> TableSpec:
    own = entry["columns"]
    if "extends" not in entry:
        own = f"{own} {_SYSTEM} {_METADATA if 'metadata' in entry else ''}"
    return TableSpec(
        name=name,
        label=entry["label"],
        display=entry.get("display", "name"),
        extends=entry.get("extends", ""),
        columns=parse_columns(own),
    )


def extends(name: str, ancestor: str) -> bool:
    """Say whether a known table extends another, at any distance."""
    spec = known_tables().get(name)
    return (
        spec is not None
        and bool(spec.extends)
        and (spec.extends == ancestor or extends(spec.extends, ancestor))
    )


def inferred_table(name: str) -> TableSpec:
    """Describe a table that `tables.toml` does not have: the system columns, until rows bring more."""
    return TableSpec(name=name, label=name, columns=parse_columns(_SYSTEM))
