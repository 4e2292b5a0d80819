"""What is asked of an instance, checked against the read surface before anything is sent.

The surface is the promise to the customer of what is read. A table, field or filter outside it is a mistake in
our own code, so it is refused here, at the last place before the network. A table that follows from the surface
(`jobs.derived`) is built anew from what it says it follows from, and must be the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from jobs.canary import Canary, canary_parameters, choose_tables
from jobs.derived import DerivedTable, build_derived
from jobs.errors import OutsideSurface
from jobs.keys import UPDATED_ON
from jobs.lookup import BATCH_KEYS, is_key, lookup_count_parameters, lookup_parameters
from jobs.page import Position, count_parameters, page_parameters
from jobs.rereading import aggregate_parameters
from jobs.surface import Table, read_surface
from jobs.values import MOMENT

_CURSOR = re.compile(r"(?:[0-9a-f]{32})?\Z")


@dataclass(frozen=True, slots=True)
class Question:
    """One request to an API of the instance; `fields_hash` names the fields that it asks for, `limit_rows` how many."""

    endpoint: Literal["table", "stats"]
    table: str
    fields_hash: str
    parameters: Mapping[str, str]
    limit_rows: int = 0

    @property
    def path(self) -> str:
        """The path; the version is left out, since version 1 answers 404 where no row is left (c_TableAPI)."""
        return f"/api/now/{self.endpoint}/{self.table}"


def build_page_question(table: Table, position: Position, *, limit_rows: int) -> Question:
    """Ask for the page after a position; raises OutsideSurface."""
    _check_table(table)
    if not _CURSOR.match(position.cursor) or position.offset < 0:
        raise OutsideSurface(
            f"The position in {table.name} is not a sys_id and an offset: read the table anew."
        )
    parameters = page_parameters(table, position, limit_rows=limit_rows)
    return Question("table", table.name, table.fields_hash, parameters, limit_rows)


def build_count_question(table: Table) -> Question:
    """Ask how many rows a table has; raises OutsideSurface."""
    _check_table(table)
    return Question("stats", table.name, "", count_parameters(table))


def build_aggregates_question(table: Table) -> Question:
    """Ask a table's count, newest change and sum of changes; raises OutsideSurface."""
    _check_table(table)
    return Question("stats", table.name, "", aggregate_parameters(table))


def build_changed_question(table: Table, position: Position, *, since: str, limit_rows: int) -> Question:
    """Ask for the page after a position of the rows changed since a time; raises OutsideSurface."""
    if not MOMENT.match(since):
        raise OutsideSurface(f"What {table.name} was to be read from is no time: nothing was asked.")
    question = build_page_question(table, position, limit_rows=limit_rows)
    query = "^".join([f"{UPDATED_ON}>={since}", question.parameters["sysparm_query"]])
    return dataclasses.replace(question, parameters={**question.parameters, "sysparm_query": query})


def build_records_question(table: Table, sys_ids: Collection[str]) -> Question:
    """Ask for the records of some keys; raises OutsideSurface."""
    _check_table(table)
    _check_keys(table, sys_ids)
    if table.key != "sys_id":
        raise OutsideSurface(f"Records of {table.name} are not asked for by sys_id: nothing was asked.")
    fields = {"sysparm_fields": ",".join(table.asked)}
    return Question("table", table.name, table.fields_hash, {**lookup_parameters(table, sys_ids), **fields})


def build_lookup_question(table: Table, keys: Collection[str]) -> Question:
    """Ask which of some keys can be read; raises OutsideSurface."""
    _check_table(table)
    _check_keys(table, keys)
    return Question("table", table.name, "sys_id", lookup_parameters(table, keys))


def build_lookup_count_question(table: Table, keys: Collection[str]) -> Question:
    """Ask how many of some keys there are, hidden ones counted; raises OutsideSurface."""
    _check_table(table)
    _check_keys(table, keys)
    return Question("stats", table.name, "", lookup_count_parameters(table, keys))


def build_canary_question(table: Table, canary: Canary, *, moment: str = "") -> Question:
    """Ask what is known to have one honest answer; raises OutsideSurface for a table that canaries do not go to."""
    _check_table(table)
    # Its rows are looked at as they come, unchecked: so it goes to two small tables and to no other.
    if table.name not in {chosen.name for chosen in choose_tables(read_surface())} or table.filter:
        raise OutsideSurface(f"No canary is sent to {table.name}: nothing was asked.")
    return Question("table", table.name, "canary", canary_parameters(canary, moment=moment))


def _check_keys(table: Table, keys: Collection[str]) -> None:
    if not 0 < len(keys) <= BATCH_KEYS or not all(is_key(table, key) for key in keys):
        raise OutsideSurface(
            f"What was to be looked up in {table.name} are not 1 to {BATCH_KEYS} keys: nothing was asked."
        )


def _check_table(table: Table) -> None:
    surface = read_surface()
    known = surface.tables.get(table.name)
    if isinstance(table, DerivedTable):
        known = build_derived(surface, table.origin)
    if known is None or known.name != table.name:
        raise OutsideSurface(
            f"{table.name} is not in the read surface: nothing was asked; describe it there first."
        )
    if surplus := set(table.fields) - set(known.fields):
        raise OutsideSurface(
            f"Of {table.name} the read surface does not hold {', '.join(sorted(surplus))}: nothing was asked; "
            "describe them there first."
        )
    if table.filter != known.filter:
        raise OutsideSurface(
            f"The filter of {table.name} is not the read surface's: nothing was asked; change it there."
        )
