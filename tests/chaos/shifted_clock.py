"""Run `zaptik` in a process whose own clock is off: `python shifted_clock.py SECONDS ARGUMENTS...`.

Everything that asks Python for the time of day is told a shifted one, libraries included; the database's clock and the
steady one, by which pauses are measured, are as they are.
"""

from __future__ import annotations

import datetime as dt
import sys
import time

_REAL = dt.datetime


class _AlsoReal(type):
    """Lets a real moment count as one of the shifted class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _REAL)


def shift_clock(seconds: float) -> None:
    """Shift the clock of this process; before anything else is imported that reads it."""
    read_time, read_nanoseconds = time.time, time.time_ns

    class Shifted(_REAL, metaclass=_AlsoReal):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return _REAL.now(tz) + dt.timedelta(seconds=seconds)

    time.time = lambda: read_time() + seconds
    time.time_ns = lambda: read_nanoseconds() + int(seconds * 1_000_000_000)
    dt.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    shift_clock(float(sys.argv[1]))
    from worker.command import main

    sys.exit(main(sys.argv[2:]))
