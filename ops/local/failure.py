"""The one exception of the local stack: which step failed, why, and where to read more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class StepFailure(Exception):  # noqa: N818  as in jobs.errors, a failure is foreseen
    """A step of starting, using or stopping the local stack did not succeed."""

    def __init__(self, step: str, reason: str, *, output: str = "", log_file: Path | None = None) -> None:
        """Compose the message: the step, the reason, the last lines it said, and the log's place."""
        parts = [f"{step}: {reason}"]
        if output.strip():
            parts += [f"  | {line}" for line in output.strip().splitlines()]
        if log_file is not None:
            parts.append(f"  log: {log_file}")
        super().__init__("\n".join(parts))
        self.step = step
        self.reason = reason
