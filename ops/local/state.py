"""What `make up` leaves behind: which processes it started, what they need, and how to end exactly these.

A process is known by its number and its start time, since the kernel gives numbers again.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.local.failure import StepFailure
from ops.local.processes import kill_group, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.local.processes import Child

GRACE_SECONDS = 10
STATE, START_TICKS = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted after the name: proc(5)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was left running, and the signal that asks it to end."""

    name: str
    pid: int
    start_ticks: int
    stop_signal: int

    def is_running(self) -> bool:
        """Whether this very process still runs."""
        return read_start_ticks(self.pid) == self.start_ticks

    def ask_to_stop(self) -> None:
        """Send its signal, if it runs."""
        if not self.is_running():
            return
        try:
            os.kill(self.pid, self.stop_signal)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise StepFailure(f"stopping {self.name}", f"pid {self.pid} is another user's") from error

    def stop(self) -> None:
        """Ask it to end, wait, and end its group where it does not."""
        self.ask_to_stop()
        if not wait_until(lambda: not self.is_running(), deadline_seconds=GRACE_SECONDS):
            kill_group(self.pid)


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that was left running."""

    processes: tuple[Process, ...]
    folders: tuple[Path, ...]

    def is_running(self) -> bool:
        """Whether anything of it still runs."""
        return any(process.is_running() for process in self.processes)

    def stop(self) -> None:
        """End its processes, the last started first, and remove its folders."""
        for process in reversed(self.processes):
            process.stop()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def describe_running(children: Sequence[Child], *, folders: Sequence[Path]) -> Running:
    """Note the children that run now, in the order of their start."""
    processes = [
        Process(child.name, child.pid, ticks, int(child.stop_signals[0]))
        for child in children
        if (ticks := read_start_ticks(child.pid)) is not None
    ]
    return Running(processes=tuple(processes), folders=tuple(folders))


def write_running(file: Path, running: Running) -> None:
    """Write what runs, for `read_running`."""
    document = {
        "processes": [asdict(process) for process in running.processes],
        "folders": [str(folder) for folder in running.folders],
    }
    write_private(file, json.dumps(document, indent=2) + "\n")


def read_running(file: Path) -> Running | None:
    """Read what was left running; None where nothing was."""
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise StepFailure("reading what runs", f"{file} is damaged; remove it once nothing runs") from error
    return Running(
        processes=tuple(Process(**process) for process in document["processes"]),
        folders=tuple(Path(folder) for folder in document["folders"]),
    )


def write_exports(file: Path, variables: Mapping[str, str]) -> None:
    """Write variables as shell exports, each value quoted."""
    quoted = {name: value.replace("'", "'\\''") for name, value in variables.items()}
    write_private(file, "".join(f"export {name}='{value}'\n" for name, value in quoted.items()))


def write_private(file: Path, text: str) -> None:
    """Replace a file by one of mode 600, at once: a reader sees the old text or the new."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(file)


def read_start_ticks(pid: int) -> int | None:
    """Give a running process's start time in clock ticks since boot; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[STATE] in "ZX" else int(fields[START_TICKS])
