"""Asides: what a second, filtered read of a table says of its rows, as one attribute of their nodes.

A flag (that a rule has a script, say) comes from the `sys_id`s of the rows for which a never-read column is not
empty. A value comes from the few records whose names are on a list. Both are pure here: `worker.sync.asides`
reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from jobs.derived import MOST_NAMES, FlagOrigin, ValueOrigin
from jobs.sensitive import SECRET_TYPES, describe_property_refusal
from jobs.surface import Table

Row = Mapping[str, str]
YES, NO = "true", "false"


@dataclass(frozen=True, slots=True)
class Aside:
    """One attribute by `sys_id`, and what it is of the rest; None leaves it out there."""

    attribute: str
    by_id: Mapping[str, str]
    otherwise: str | None = None

    def value_of(self, sys_id: str) -> str | None:
        """Give the attribute of a row, None where it has none."""
        return self.by_id.get(sys_id, self.otherwise)


def plan_flag(table: Table, flag: str) -> Iterator[FlagOrigin]:
    """Give the reads that a flag needs: one for each column, so that each can be told from a dropped one."""
    return (FlagOrigin(table.name, flag, column) for column in table.flags[flag])


def plan_values(table: Table) -> Iterator[ValueOrigin]:
    """Give the reads that the table's values need, none longer than an address may be."""
    names = tuple(table.values)
    for begin in range(0, len(names), MOST_NAMES):
        yield ValueOrigin(table.name, names[begin : begin + MOST_NAMES])


def is_proven(total: int | None, counted: int | None) -> bool:
    """Say whether the size of an answer shows that its predicate held: neither every row came, nor none."""
    return counted == 0 or (total is not None and counted is not None and 0 < total < counted)


def is_parted(sys_ids: AbstractSet[str], flagged: AbstractSet[str], others: AbstractSet[str]) -> bool:
    """Say whether two opposite questions about some rows part them: each row is in one answer and not in both."""
    return flagged.isdisjoint(others) and flagged | others == sys_ids


def is_opposite(flagged: AbstractSet[str], others: AbstractSet[str], *, others_total: int | None) -> bool:
    """Say whether two answers are those of opposite questions: no row in both, and not both empty."""
    return flagged.isdisjoint(others) if flagged and others else bool(flagged or others or others_total)


def build_flag(flag: str, flagged: Collection[str], *, is_whole: bool) -> Aside:
    """Build a flag that is true for these rows and, if all that can make it true was asked, false for the rest."""
    return Aside(flag, dict.fromkeys(flagged, YES), otherwise=NO if is_whole else None)


def build_values(table: Table, rows: Iterable[Row]) -> Aside:
    """Build the values of the records that are on the table's list, whatever else came."""
    return Aside("value", {row["sys_id"]: row["value"] for row in rows if _may_be_kept(table, row)})


def _may_be_kept(table: Table, row: Row) -> bool:
    name = row.get("name", "")
    return (
        "value" in row
        and name in table.values
        and row.get("type") not in (None, *SECRET_TYPES)
        and describe_property_refusal(name) is None
    )
