"""`completion`: what a shell needs to complete our words."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import shtab

from worker.command.output import Output
from worker.settings import Settings

SHELLS = ("bash", "zsh", "tcsh")


def build_complete(
    build_parser: Callable[[], argparse.ArgumentParser],
) -> Callable[[argparse.Namespace, Settings, Output], int]:
    """Give the command that prints a shell's script for what `build_parser` parses."""

    def complete(asked: argparse.Namespace, _settings: Settings, output: Output) -> int:
        """Print the script; it asks nobody when it completes."""
        script = shtab.complete(build_parser(), asked.shell)
        output.document({"shell": asked.shell, "script": script})
        if not output.as_json:
            output.pieces([script + "\n"])
        return 0

    return complete
