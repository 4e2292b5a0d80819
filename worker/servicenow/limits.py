"""How much a client may ask of an instance, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass


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
    body_bytes: int = 16 * 1024 * 1024
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
