"""Looking records up by their keys: what is asked about those that a complete read no longer gave.

A record's key is what its node is called by: its sys_id, or a table's name (`Table.key`).

A row that is gone was deleted, or is hidden from the account since. The Table API gives what can be read; the
Aggregate API counts blind to row ACLs. So of the keys that the one does not give, those that the other does not
count either are deleted, and those that it counts are hidden. Anything else proves nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Literal

from jobs.errors import OrderIgnored
from jobs.page import parse_page
from jobs.surface import Table
from jobs.values import NAME, SYS_ID
from jobs.verdict import Verdict

Fate = Literal["deleted", "hidden", "unknown"]


BATCH_KEYS = 100
"""Keys in one request: with them a URL stays well under the 8,192 bytes at which instances refuse it."""

MOST_KEYS = 5_000
"""With more than so many keys of a table gone none is looked up, which bounds requests: the removal guard decides."""


def is_key(table: Table, key: str) -> bool:
    """Say whether a record of a table can be asked for by a key."""
    return bool((SYS_ID if table.key == "sys_id" else NAME).match(key))


def lookup_parameters(table: Table, keys: Collection[str]) -> dict[str, str]:
    """Give the parameters of the Table API request for those of the keys that can be read."""
    return {
        "sysparm_query": f"{_terms(table, keys)}^ORDERBYsys_id",
        "sysparm_fields": ",".join(_name_keys(table)),
        "sysparm_limit": str(len(keys)),
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }


def lookup_count_parameters(table: Table, keys: Collection[str]) -> dict[str, str]:
    """Give the parameters of the Aggregate API request that counts the keys, hidden ones too."""
    return {"sysparm_count": "true", "sysparm_query": _terms(table, keys)}


def parse_lookup(table: Table, body: bytes, *, keys: Collection[str]) -> frozenset[str]:
    """Give which of the keys the Table API gave; OrderIgnored when it gave others: the query was not obeyed."""
    page = parse_page(dataclasses.replace(table, fields=_name_keys(table)), body, cursor="")
    given = frozenset(row.get(table.key, "").strip() for row in page.rows)
    if not given <= frozenset(keys):
        raise OrderIgnored(
            f"The instance answered a look-up in {table.name} with records that were not asked for: grant the "
            f"integration user query_match on its {table.key}."
        )
    return given


def judge_missing(*, missing: int, counted: int) -> Fate | None:
    """Judge keys that were not given by how many of them are counted; None when they differ among each other."""
    if counted == 0:
        return "deleted"
    if counted == missing:
        return "hidden"
    return None if counted < missing else "unknown"


def judge_gone(fates: Collection[Fate]) -> Verdict | None:
    """Give the verdict of a table, read completely by count, whose gone keys met these fates; None: as it was."""
    if hidden := sum(fate == "hidden" for fate in fates):
        return Verdict("hidden", hidden, f"{hidden} rows that were read before may no longer be read")
    if unknown := sum(fate == "unknown" for fate in fates):
        return Verdict("unknown", reason=f"what became of {unknown} rows that were read before is not known")
    return None


def _terms(table: Table, keys: Collection[str]) -> str:
    terms = [table.filter] if table.filter else []
    return "^".join([*terms, f"{table.key}IN{','.join(keys)}"])


def _name_keys(table: Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("sys_id", table.key)))
