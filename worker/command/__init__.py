"""The command `zaptik`: one call, one document (`--json`) or a few lines for people, one exit code."""

from worker.command.main import main

__all__ = ["main"]
