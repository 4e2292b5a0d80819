"""What holds the tenants' boundary, compared with what the migrations make: rights, policies, owners, triggers.

A guard is a line: the statement that makes it, as `ALTER TABLE … FORCE ROW LEVEL SECURITY`. The expected ones stand in
`schema/*/guards.sql`, which `python -m ops.snapshot` writes from a fresh schema; the present ones are read from the
catalogue by one query, `read_guards`. For tenants it gives a digest each, so that only those that differ are read
whole: what a thousand tenants cost is one statement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import schema
from jobs.gaps import TRIGGER_GAP
from jobs.names import reader_role
from worker.postgres.connection import Connection, fetch_rows

CONTROL = "control"
_MONTH = re.compile(r"\baudit_events_(\d{4}_\d{2})\b")
_MOST_NAMED = 5
# To read one takes some ten locks, and a server has room for 6,400 unless told otherwise.
_PLACES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Deviation:
    """A schema, the guards that it lacks, and what it has beside them."""

    place: str
    lacks: tuple[str, ...]
    has: tuple[str, ...]


async def find_differing(connection: Connection, *, at_once: int = _PLACES_AT_ONCE) -> list[str]:
    """Name the tenants' schemas that are there and are not what the migrations make, some in each statement."""
    places = [row["place"] for row in await fetch_rows(connection, "control", "read_places")]
    found = []
    for start in range(0, len(places), at_once):
        found += await fetch_rows(
            connection, "control", "read_guards", schemas=places[start : start + at_once], whole=False
        )
    database = connection.info.dbname
    return sorted(
        row["place"]
        for row in found
        if row["digest"] != _digest(build_expected(row["place"], database=database))
    )


async def read_tenant_deviations(connection: Connection) -> list[Deviation]:
    """Compare every tenant's schema that is there; each that differs is a statement, slow where there are many."""
    found = [await read_deviation(connection, place) for place in await find_differing(connection)]
    return [deviation for deviation in found if deviation is not None]


async def read_open_gaps(connection: Connection) -> dict[str, list[str]]:
    """Give what `migrate` closes and is open: each gap's doors by its name; see `jobs.gaps`."""
    gaps: dict[str, list[str]] = {}
    for row in await fetch_rows(connection, "control", "read_open_doors"):
        gaps.setdefault(row["gap"], []).append(row["door"])
    return gaps


async def read_deviation(
    connection: Connection, place: str, *, accepted: Collection[str] = ()
) -> Deviation | None:
    """Compare one schema; None where all is as it must be, but for the gaps that are accepted."""
    rows = await fetch_rows(connection, "control", "read_guards", schemas=[place], whole=True)
    present = frozenset(rows[0]["lines"]) if rows else frozenset()
    if place != CONTROL and not any(line.startswith(f"ALTER SCHEMA {place} ") for line in present):
        # Roles that a tenant left behind, with what rights they have elsewhere: none is what they must have.
        return Deviation(place, (), tuple(sorted(present))) if present else None
    months = {month for line in present for month in _MONTH.findall(line)}
    expected = build_expected(place, database=connection.info.dbname, months=months)
    # It may be lacking, then; one that is there and is another than ours is told all the same.
    if TRIGGER_GAP in accepted:
        expected = frozenset(line for line in expected if line in present or " EVENT TRIGGER " not in line)
    if present == expected:
        return None
    return Deviation(place, tuple(sorted(expected - present)), tuple(sorted(present - expected)))


def build_expected(place: str, *, database: str, months: Iterable[str] = ()) -> frozenset[str]:
    """Give the guards that a schema must have; of the audit trail's partitions, for the months that it has."""
    lines = (line.replace("{database}", database) for line in _read_template(place))
    if place != CONTROL:
        reader = reader_role(place)
        return frozenset(line.replace("{tenant}", place).replace("{reader}", reader) for line in lines)
    return frozenset(
        made
        for line in lines
        for made in ([line.replace("{month}", month) for month in months] if "{month}" in line else [line])
    )


def build_template(place: str, lines: Iterable[str], *, database: str) -> list[str]:
    """Make the guards of a fresh schema the text that `build_expected` fills."""
    texts = (re.sub(rf" (ON|IN) DATABASE {database}\b", r" \1 DATABASE {database}", line) for line in lines)
    if place == CONTROL:
        texts = (_MONTH.sub("audit_events_{month}", line) for line in texts)
    else:
        reader = reader_role(place)
        texts = (re.sub(rf"\b{reader}\b", "{reader}", line) for line in texts)
        texts = (re.sub(rf"\b{place}\b", "{tenant}", line) for line in texts)
    return sorted(set(texts))


def describe_deviations(deviations: Iterable[Deviation]) -> str:
    """Say what is lacking and what is too much, the first few by name."""
    said = [f"{one.place} lacks `{line}`" for one in deviations for line in one.lacks]
    said += [f"{one.place} has `{line}`" for one in deviations for line in one.has]
    more = len(said) - _MOST_NAMED
    return "; ".join(said[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _read_template(place: str) -> list[str]:
    area: schema.Area = "control" if place == CONTROL else "tenant"
    return schema.read_script(area, "guards").partition("\n\n")[2].splitlines()


def _digest(lines: Iterable[str]) -> str:
    # As the database computes it: md5() is in every server, and it compares, it guards nothing.
    return hashlib.md5("\n".join(sorted(lines)).encode(), usedforsecurity=False).hexdigest()
