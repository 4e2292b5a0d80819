"""When a revision would remove so much that a person should look at it first.

A clone, a restore, a change of ACLs or of the domain looks like deletion, and is complete by every count. So
what leaves is compared by kind of node and by table of links, in number and in share, and a table that had rows and
now has none is always suspicious.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """How much may leave unasked: more than `removed_rows` of one *and* more than `removed_share` may not."""

    removed_rows: int
    removed_share: float


@dataclass(frozen=True, slots=True)
class Removal:
    """How many nodes of a kind or rows of a table of links, as `what` says, there are and would leave."""

    what: str
    had: int
    removed: int


def judge_removals(guard: Guard, removals: Collection[Removal], *, emptied: Collection[str]) -> str | None:
    """Say why a revision must wait for a person, or None when it need not."""
    reasons = [
        f"{removal.removed} of {removal.had} {removal.what} would leave"
        for removal in removals
        if removal.removed > guard.removed_rows and removal.removed > guard.removed_share * removal.had
    ]
    reasons += [f"{table} had rows and is complete with none" for table in emptied]
    return "; ".join(reasons) or None
