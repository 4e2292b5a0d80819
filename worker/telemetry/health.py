"""Whether a process lives and is ready for work, as its orchestrator asks.

Ready is what the process says of itself. It lives while each part that must move was seen to move: a part
reports a beat, and one silent for longer than it promised fails `/livez`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Beat:
    at: float
    within_seconds: float


class Health:
    """Shared by the parts of a process and the server of `/livez` and `/readyz`; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._not_ready = "starting"
        self._beats: dict[str, _Beat] = {}

    def __repr__(self) -> str:
        return f"<Health {self._not_ready or 'ready'}, {len(self._beats)} parts>"

    def become_ready(self) -> None:
        """Say that work may come."""
        with self._lock:
            self._not_ready = ""

    def become_unready(self, reason: str) -> None:
        """Say that no work may come, and why."""
        with self._lock:
            self._not_ready = reason

    def beat(self, part: str, *, within_seconds: float) -> None:
        """Say that a part moves and will be heard of again within so many seconds."""
        with self._lock:
            self._beats[part] = _Beat(time.monotonic(), within_seconds)

    def end(self, part: str) -> None:
        """Say that a part ended as it should."""
        with self._lock:
            self._beats.pop(part, None)

    def why_not_ready(self) -> str:
        """Give the reason, empty where the process is ready."""
        with self._lock:
            return self._not_ready

    def stuck_parts(self) -> list[str]:
        """Give the parts that were silent for longer than they promised."""
        now = time.monotonic()
        with self._lock:
            return sorted(name for name, beat in self._beats.items() if now - beat.at > beat.within_seconds)
