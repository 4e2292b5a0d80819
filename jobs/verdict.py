"""How far to trust what was read of a table.

Completeness is evidence, never an impression: only `complete` may close what a revision no longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VerdictName = Literal["complete", "partial", "hidden", "denied", "absent", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A table's verdict, how many rows are known to be there and unreadable, and why."""

    name: VerdictName
    hidden: int = 0
    reason: str | None = None

    @property
    def closes(self) -> bool:
        """Whether rows missing from the read may leave the graph."""
        return self.name == "complete"


def judge_read(*, rows: int, counted_before: int | None, counted_after: int | None) -> Verdict:
    """Judge a table that was read to its end.

    The Aggregate API counts rows that ACLs hide, so as many rows as it counted before, or after (rows come and
    go during a read), are all there are. Fewer are a read with rows missing. No count is no evidence.
    """
    counts = [count for count in (counted_before, counted_after) if count is not None]
    if not counts:
        return Verdict("unknown", reason="the instance gave no count to compare with")
    if rows >= min(counts):
        return Verdict("complete")
    missing = min(counts) - rows
    return Verdict(
        "hidden", hidden=missing, reason=f"{missing} rows exist that the integration user may not read"
    )
