"""Keeping a process's memory, in which secrets stand open, out of files and of other processes."""

import contextlib
import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden_process() -> None:
    """Forbid core files, and attaching to this process by others of the same user.

    Where the system knows neither (prctl is Linux's own) nothing happens: it is a further wall.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
