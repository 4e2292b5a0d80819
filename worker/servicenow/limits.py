"""How much a client may ask of an instance, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_SCAN_ROWS = 10_000  # the instance's own default of sysparm_limit (c_TableAPI)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one client.

    `page_rows` and `concurrency` are the most rows and requests at once: an instance that is slow or full is
    asked for less, down to `least_page_rows` and to one request. `request_timeout_seconds` bounds a request
    from looking its host up to the last byte; `tries`, which counts the first one, and `retry_seconds` bound a
    fetch with its retries; `body_bytes` bounds an answer, unpacked. A wait that the instance asks for is kept
    up to `longest_wait_seconds`: a longer one ends the fetch, for the run to come back later.
    `backoff_seconds` is the ceiling of the first wait before another try, which doubles. `reserve_share` of an
    hourly rate limit is left to the customer's other integrations.
    """

    page_rows: int
    request_timeout_seconds: float
    concurrency: int
    tries: int = 3
    retry_seconds: float = 180.0
    body_bytes: int = 16 * 1024 * 1024
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    least_page_rows: int = 50
    reserve_share: float = 0.2

    def plan_scan_rows(self, page_rows: int) -> int:
        """Give the rows to ask for where only keys are: they are short, so that ten pages' make an answer."""
        return min(10 * page_rows, _MOST_SCAN_ROWS)
