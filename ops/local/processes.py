"""Supervised processes: started in a session of their own, watched through a log file, ended as a group.

Output goes to a file and never to a pipe: nobody has to drain it, and the process can outlive us. By default
a child dies with us, even when we are killed. Linux ties that to the *thread* that started it (prctl(2),
PR_SET_PDEATHSIG): start children from the main thread, or from one that lives as long as they should.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ops.local.failure import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ops.local.account import Account

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.02
TAIL_LINES = 20


def build_minimal_environment(**further: str) -> dict[str, str]:
    """Give the few variables every program needs, and `further`; nothing else of ours is passed on."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {"PATH": os.environ.get("PATH", os.defpath), **kept, **further}


def build_launch_command(
    command: Sequence[str | Path], *, account: Account | None = None, death_signal: int = signal.SIGKILL
) -> list[str]:
    """Put the launcher before `command`: see ops/local/launch.py. A `death_signal` of 0 outlives us."""
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    options = [os.getpid(), int(death_signal), uid, gid]
    launcher = [sys.executable, "-I", "-S", LAUNCHER, *options]
    return [str(part) for part in (*launcher, *command)]


def wait_until(is_true: Callable[[], bool], *, deadline_seconds: float) -> bool:
    """Ask until the answer is yes or the time is over; give the last answer."""
    end = time.monotonic() + deadline_seconds
    while not is_true():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)
    return True


class Child:
    """One program in a session of its own; its standard output and error are appended to `log_file`.

    Each of the `stop_signals` is tried for `stop`'s `grace_seconds` before SIGKILL; `death_signal` is what it
    gets when we die, unless it `outlives` us.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_file: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
        account: Account | None = None,
        outlives: bool = False,
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self.stop_signals = tuple(stop_signals)
        self._command = build_launch_command(
            command, account=account, death_signal=0 if outlives else death_signal
        )
        self._environment = dict(environment)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset_bytes = 0

    def __repr__(self) -> str:
        state = "not started" if self._process is None else f"pid {self.pid}, exit code {self.exit_code}"
        return f"<Child {self.name}: {state}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's number, and its group's and session's."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._started().poll()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self.exit_code is None

    def start(self) -> None:
        """Start the program; a second time after it has ended starts it anew."""
        if self.is_running:
            raise StepFailure(f"starting {self.name}", f"it runs already, as pid {self.pid}")
        with self.log_file.open("ab") as log:
            self._log_offset_bytes = log.tell()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                umask=0o077,
            )

    def read_log(self) -> str:
        """Give what it has said since it was last started."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_offset_bytes)
            return log.read().decode(errors="replace")

    def read_lines(self) -> list[dict[str, Any]]:
        """Give the JSON lines among it."""
        return _parse_lines(self.read_log())

    def fail(self, reason: str) -> StepFailure:
        """Build the failure that says what this child did last."""
        tail = "\n".join(self.read_log().splitlines()[-TAIL_LINES:])
        return StepFailure(self.name, reason, output=tail, log_file=self.log_file)

    def wait_for_event(self, event: str, *, deadline_seconds: float = 30) -> dict[str, Any]:
        """Wait until it says a JSON line whose "event" is this one; give the line, parsed."""
        found: list[dict[str, Any]] = []

        def has_said_it() -> bool:
            ended = not self.is_running  # asked before reading, so that its last words are not missed
            found.extend(line for line in self.read_lines() if line.get("event") == event)
            return bool(found) or ended

        in_time = wait_until(has_said_it, deadline_seconds=deadline_seconds)
        if found:
            return found[0]
        if in_time:
            raise self.fail(f"ended with exit code {self.exit_code} before {event!r}")
        raise self.fail(f"did not say {event!r} within {deadline_seconds:g} s")

    def wait(self, *, deadline_seconds: float) -> int:
        """Wait for its end and give the exit code."""
        try:
            return self._started().wait(deadline_seconds)
        except subprocess.TimeoutExpired as error:
            raise self.fail(f"did not end within {deadline_seconds:g} s") from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, if it still runs."""
        if self.is_running:
            self._started().send_signal(number)

    def kill(self) -> None:
        """End the whole group at once."""
        if self._process is None:
            return
        kill_group(self.pid)
        self._process.wait()

    def stop(self, *, grace_seconds: float = 10) -> None:
        """Ask it to end, wait, and then end what is left of its group; no-op where it never started."""
        for number in self.stop_signals:
            self.send(number)
            if wait_until(lambda: not self.is_running, deadline_seconds=grace_seconds):
                break
        self.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StepFailure(self.name, "was never started")
        return self._process


def kill_group(group: int) -> None:
    """Send SIGKILL to every process of a group; none left is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _parse_lines(text: str) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    for line in text.splitlines(keepends=True):
        if not (line.startswith("{") and line.endswith("\n")):
            continue
        try:
            documents.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return documents
