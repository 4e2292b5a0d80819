"""The database as SQL: migrations and named queries for `control` and for a tenant's schema.

Everything PostgreSQL runs stands in the `.sql` files of this folder; this module only finds it. A named query
begins with a line `-- name: NAME` and a line of purpose. In a tenant's text `{tenant}` stands for the tenant's
schema, which is also the name of its role, and `{reader}` for the role of those who read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Area = Literal["control", "tenant"]

_HEADER = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_(\w+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward of a schema: its version (from 1, without gaps), a name, and the SQL."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Query:
    """A named statement and its line of purpose."""

    name: str
    purpose: str
    sql: str


@cache
def read_migrations(area: Area) -> tuple[Migration, ...]:
    """Give an area's migrations in order; a gap in the versions is a ValueError."""
    found = [
        Migration(int(match[1]), match[2], path.read_text("utf-8"))
        for path in (files(__name__) / area / "migrations").iterdir()
        if (match := _MIGRATION.match(path.name))
    ]
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {area} have a gap or a double")
    return tuple(found)


def latest_version(area: Area) -> int:
    """Give the version of an area that this code needs."""
    return len(read_migrations(area))


@cache
def read_queries(area: Area) -> dict[str, Query]:
    """Give an area's named queries by name; a name used twice is a ValueError."""
    text = (files(__name__) / area / "queries.sql").read_text("utf-8")
    parts = _HEADER.split(text)[1:]
    queries: dict[str, Query] = {}
    for name, purpose, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if name in queries:
            raise ValueError(f"the query {name} of {area} is written twice")
        queries[name] = Query(name, purpose, body.strip().removesuffix(";"))
    return queries


def read_script(area: Area, name: str) -> str:
    """Give the SQL of a script that `migrate` runs every time, such as `roles`."""
    return (files(__name__) / area / f"{name}.sql").read_text("utf-8")
