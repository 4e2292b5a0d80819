"""What a look at one table tells of it, and what whoever grants rights is to do: for `zaptik doctor`.

A look is a count and the first rows, no read of the table: `complete` means here that all that was looked at is there,
with every field. Only a run sees whether a row further down is hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.surface import Table
from jobs.verdict import NOTHING_MISSING, Verdict

LOOK_ROWS: Final = 100
EMPTY: Final = "no row comes and none is counted: it is empty, or hidden from the account as if it were"
_UNRESTRICTED: Final = "useraccount"


@dataclass(frozen=True, slots=True)
class Examined:
    """A table that was looked at: how far it can be read, why, what would permit it, and what that would show."""

    table: str
    verdict: str
    reason: str | None = None
    grant: str | None = None
    unblinds: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether nothing is missing; a table that the instance does not have is not missed."""
        return self.verdict in NOTHING_MISSING


def judge_look(
    table: Table, rows: Sequence[Mapping[str, str]], *, counted: int | None, limit_rows: int
) -> Verdict:
    """Judge the first rows of a table, of which `limit_rows` were asked for, by how many there are in all."""
    if counted is None:
        return Verdict("unknown", reason="the Aggregate API gives no count to compare with")
    if len(rows) > counted:
        return Verdict("unknown", reason="the instance counted fewer rows than it gave")
    expected = min(counted, limit_rows)
    if hidden := expected - len(rows):
        which = f"the {counted}" if counted <= limit_rows else f"the first {expected} of {counted}"
        return Verdict("hidden", hidden, f"{hidden} of {which} rows may not be read by the integration user")
    given = {name for row in rows for name in row}
    if missing := [name for name in table.asked if rows and name not in given]:
        return Verdict(
            "partial",
            reason=f"no row has {', '.join(missing)}: a field ACL withholds it, or this release has no such field",
        )
    return Verdict("complete", reason=None if counted else EMPTY)


def describe_table(table: Table, verdict: Verdict) -> Examined:
    """Give what is missing of a table, what would grant it, and the kinds of nodes and edges it would show."""
    if verdict.name == "complete":
        return Examined(table.name, verdict.name, verdict.reason)
    grant = table.role
    if verdict.name == "absent" and table.plugin:
        grant = f"plugin {table.plugin}, then {table.role}"
    return Examined(table.name, verdict.name, verdict.reason, grant, name_kinds(table))


def name_kinds(table: Table) -> tuple[str, ...]:
    """Name the kinds of nodes and edges that come of a table's rows."""
    edges = {reference.kind for reference in table.references.values()}
    edges |= {table.link.kind} if table.link else set()
    return (*([table.kind] if table.kind else []), *sorted(edges))


def describe_scope(scope: str) -> list[str]:
    """Give what a token's scope tells of what the account could do beside reading.

    Which roles the account has stands in tables of users, which are never read: that `snc_read_only` is among them can
    be confirmed by the instance's administrator alone.
    """
    said = f"the token's scope is {scope}" if scope else "the token's answer names no scope"
    if scope in {"", _UNRESTRICTED}:
        told = (
            f"account_could_write: {said}, which keeps the account from nothing that its roles allow. Whether it has "
            "snc_read_only cannot be seen without reading users' roles, which is never done: have the instance's "
            "administrator confirm it, or give the OAuth client an auth scope that permits GET alone."
        )
    else:
        told = (
            f"account_read_only_unconfirmed: {said}; whether it permits GET alone, and whether the account has "
            "snc_read_only, cannot be seen from here: have the instance's administrator confirm it."
        )
    return [told]


def name_missing(tables: Iterable[Examined]) -> dict[str, list[Examined]]:
    """Give what is missing by the grant that would permit it."""
    missing: dict[str, list[Examined]] = {}
    for table in tables:
        if not table.is_fine:
            missing.setdefault(table.grant or "", []).append(table)
    return missing
