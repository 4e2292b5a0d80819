"""One-off commands: run to their end, their output read, and ended with us if we are stopped."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.local.failure import StepFailure
from ops.local.processes import TAIL_LINES, build_launch_command, kill_group

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from ops.local.account import Account


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command that ended as it may has printed to standard output."""

    exit_code: int
    output: str


def run_command(
    step: str,
    command: Sequence[str | Path],
    *,
    log_file: Path,
    environment: Mapping[str, str],
    folder: Path,
    account: Account | None = None,
    given: str = "",
    accepted: Collection[int] = (0,),
    deadline_seconds: float = 60,
) -> Finished:
    """Run a command with `given` on its standard input; its standard error is appended to `log_file`.

    An exit code that is not `accepted`, or none in time, is a `StepFailure` with the last lines of that.
    """
    with log_file.open("ab") as log:
        offset = log.tell()
        process = subprocess.Popen(
            build_launch_command(command, account=account),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
            umask=0o077,
        )
    with process:
        try:
            output, _ = process.communicate(given.encode(), timeout=deadline_seconds)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            reason = f"did not end within {deadline_seconds:g} s"
            raise StepFailure(step, reason, output=_read_tail(log_file, offset), log_file=log_file) from None
        except BaseException:
            kill_group(process.pid)
            raise
    if process.returncode not in accepted:
        reason = f"ended with exit code {process.returncode}"
        raise StepFailure(step, reason, output=_read_tail(log_file, offset), log_file=log_file)
    return Finished(exit_code=process.returncode, output=output.decode(errors="replace"))


def _read_tail(log_file: Path, offset: int) -> str:
    said = log_file.read_bytes()[offset:].decode(errors="replace")
    return "\n".join(said.splitlines()[-TAIL_LINES:])
