"""How far to trust what was read of a table.

Completeness is evidence, never an impression: only `complete` may close what a revision no longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from jobs.errors import Failure, TableAbsent, TableDenied

VerdictName = Literal["complete", "partial", "hidden", "denied", "absent", "failed", "unknown"]
NOTHING_MISSING: Final = frozenset({"complete", "absent"})
"""With these verdicts nothing is missing that could be there: a table that an instance does not have has no rows."""


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

    The Aggregate API counts rows that ACLs hide. Rows come and go during a read, so only as many rows as the
    larger of both counts are surely all there are, and fewer than the smaller surely lack some; between them
    new rows could stand in for hidden ones. No count is no evidence, nor are counts that see fewer rows than
    were given: they do not count what we are given.
    """
    counts = [count for count in (counted_before, counted_after) if count is not None]
    if not counts:
        return Verdict("unknown", reason="the instance gave no count to compare with")
    least, most = min(counts), max(counts)
    if rows == most:
        return Verdict("complete")
    if rows < least:
        reason = f"{least - rows} rows exist that the integration user may not read"
        return Verdict("hidden", hidden=least - rows, reason=reason)
    if rows > most:
        return Verdict("unknown", reason="the instance counted fewer rows than it gave")
    return Verdict("unknown", reason="the table changed while it was read; the next run reads it anew")


def judge_failure(failure: Failure) -> Verdict:
    """Judge a table by the failure that reading it ended in."""
    if isinstance(failure, TableDenied):
        return Verdict("denied", reason=failure.message)
    if isinstance(failure, TableAbsent):
        return Verdict("absent", reason=failure.message)
    return Verdict("failed", reason=failure.message)
