"""What a word of the command line may say: times, numbers, ids. Each raises what argparse shows to people."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SHORTEST_CADENCE_SECONDS, _LONGEST_CADENCE_SECONDS = 60, 31 * 86_400
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> int:
    """Give the seconds of a cadence: `90s`, `15m`, `1h` or `1d`, a minute to 31 days."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]] if match else 0
    if not _SHORTEST_CADENCE_SECONDS <= seconds <= _LONGEST_CADENCE_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no cadence: write 90s, 15m, 1h or 1d, from 1m to 31d")
    return seconds


def parse_run_id(text: str) -> UUID:
    """Give a run's id."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no run's id: `zaptik runs NAME` shows them") from None


def parse_time(text: str) -> datetime:
    """Give a time, or a day's beginning: `2026-11-01` or `2026-11-01T10:00:00Z`; UTC where nothing else is said."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2026-11-01 or 2026-11-01T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_digest(text: str) -> str:
    """Give the digest of a checkpoint, as the log shows it."""
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no digest of a checkpoint: 64 hex digits")
    return text


def parse_number(most: int) -> Callable[[str], int]:
    """Give what parses a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else 0
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {most}")
        return number

    return parse
