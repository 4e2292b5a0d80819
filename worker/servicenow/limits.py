"""How much a client may ask of an instance, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_SCAN_ROWS = 10_000  # the instance's own default of sysparm_limit (c_TableAPI)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one client.

    `request_timeout_seconds` bounds a request from connecting to the last byte; `tries` counts the first one;
    `body_bytes` bounds an answer, unpacked. A wait that the instance asks for is kept up to
    `longest_wait_seconds`: a longer one ends the fetch, for the run to come back later. `backoff_seconds` is
    the ceiling of the first wait before another try, which doubles.
    """

    page_rows: int
    request_timeout_seconds: float
    concurrency: int
    tries: int = 3
    body_bytes: int = 64 * 1024 * 1024
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 60.0

    @property
    def scan_rows(self) -> int:
        """Rows asked for where only their keys are: they are short, so that ten times as many make an answer."""
        return min(10 * self.page_rows, _MOST_SCAN_ROWS)
