"""How fast an instance may be asked, as one reader of it leaves it to the next.

Whoever reads an instance learns what it bears: a pause it asked for, how much of an hour's requests is used, how many
requests at once and how many rows a page are not too many. The next reader, on any worker, goes on with that: a
Retry-After is the instance's word to all of us, not to one process. Spans are in seconds from now, since clocks of
workers differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RateWindow:
    """The hour of a rate limit rule and how much of it is used, as one client leaves it to the next."""

    limit_requests: int
    used_requests: int
    ends_in_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a reader may ask: nothing before `cooldown_seconds` are over, and then no more than the rest says.

    `at_once` is the limit on requests at once, None where it is not known; `page_rows` has the tables whose pages
    must be smaller than others.
    """

    cooldown_seconds: float = 0.0
    window: RateWindow | None = None
    at_once: float | None = None
    page_rows: Mapping[str, int] = field(default_factory=dict)

    def is_free(self, *, at_once: int) -> bool:
        """Say whether it holds nothing back: there is nothing to be kept for the next reader."""
        is_full = self.at_once is None or self.at_once >= at_once
        return is_full and not (self.cooldown_seconds or self.window or self.page_rows)

    def more_requests(self, before: Pace) -> int:
        """Count the requests of the hour that were not counted `before`."""
        used = self.window.used_requests if self.window else 0
        known = before.window.used_requests if before.window else 0
        return max(0, used - known)
