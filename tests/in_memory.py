"""The tests' servers and files are in memory where there is room: a fresh server for each of hundreds of tenants.

A tenant is a hundred new files, and the server that had them takes them with it. On a disk, others' writes are waited
for at each, and ext4 passes over every inode that was given up in the last minutes before it takes one. Whoever says
where temporary files belong (`TMPDIR`) is obeyed.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

PLACE = Path("/dev/shm")  # noqa: S108  each file in it is in a private folder
LEAST_BYTES = 6 * 2**30  # two parts of the tests at once have been seen to take a third of it
_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_BOUNDS = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),  # version 1
}


def stay_in_memory() -> None:
    """Let temporary files of this process and those that it starts be in memory, where `has_room` says so."""
    if "TMPDIR" not in os.environ and has_room(PLACE):
        os.environ["TMPDIR"] = str(PLACE)
        tempfile.tempdir = None  # what was asked for before is asked for again


def has_room(place: Path) -> bool:
    """Say whether a folder takes files and programs, and it, the machine and our group of processes have room."""
    if not os.access(place, os.W_OK):
        return False
    room = os.statvfs(place)
    if room.f_flag & os.ST_NOEXEC:
        return False
    return (
        min(room.f_bavail * room.f_frsize, read_free_bytes(_MEMORY), read_left_bytes(_GROUP)) >= LEAST_BYTES
    )


def read_free_bytes(memory: Path) -> float:
    """Give how much memory new programs would have, by the kernel's estimate; 0 where it says nothing."""
    found = re.search(r"(?m)^MemAvailable: +(\d+) kB$", memory.read_text()) if memory.is_file() else None
    return int(found[1]) * 1024 if found else 0


def read_left_bytes(group: Path) -> float:
    """Give how much more memory our control group may take, of either version; no bound where none is set."""
    for folder, names in _BOUNDS.items():
        try:
            most, taken = ((group / folder / name).read_text().strip() for name in names)
        except OSError:
            continue
        return float("inf") if most == "max" else int(most) - int(taken)
    return float("inf")
