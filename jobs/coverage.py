"""What two runs of a tenant differ in, not by what they found but by what they could see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoverageChange:
    """A table whose verdict is another than in the run before."""

    table: str
    before: str
    after: str


def compare_coverage(
    before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> list[CoverageChange]:
    """Give the tables that both runs judged, and not alike, by name.

    A table that only one of them knows (a newer release reads it, the instance names it no more) is no change of what
    can be seen.
    """
    pairs = ((name, before.get(name), verdict) for name, verdict in sorted(after.items()))
    return [CoverageChange(name, then, now) for name, then, now in pairs if then and now and then != now]
