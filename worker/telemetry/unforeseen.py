"""What nobody foresaw, told without values: of an exception its type and our own lines.

An exception's text, and the locals of its frames, can hold rows, addresses and secrets, whoever raised it.
"""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jobs.events import FAILURE_UNFORESEEN, Emit, Event

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_ROOT: Final = Path(__file__).parents[2]
_OURS: Final = ("jobs", "schema", "worker")  # beside them, once installed, stand all libraries
_FRAMES: Final = 12


def describe_unforeseen(raised: BaseException, *, where: str) -> Event:
    """Give the event of an exception that nobody planned for."""
    return Event(
        FAILURE_UNFORESEEN, {"where": where, "error": type(raised).__name__, "frames": name_frames(raised)}
    )


def name_frames(raised: BaseException) -> list[str]:
    """Name the lines of ours that an exception went through, the innermost last."""
    frames = [
        f"{Path(frame.filename).relative_to(_ROOT)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(raised.__traceback__)
        if any(Path(frame.filename).is_relative_to(_ROOT / ours) for ours in _OURS)
    ]
    return frames[-_FRAMES:]


def tell_strays(emit: Emit) -> None:
    """Let what nothing caught be an event, in threads and destructors: Python would print the exception's text."""

    def tell(raised: BaseException | None, where: str) -> None:
        if raised is not None and not isinstance(raised, SystemExit):
            emit(describe_unforeseen(raised, where=where))

    def tell_unraisable(given: UnraisableHookArgs) -> None:
        tell(given.exc_value, "destructor")

    threading.excepthook = lambda given: tell(given.exc_value, "thread")
    sys.unraisablehook = tell_unraisable
