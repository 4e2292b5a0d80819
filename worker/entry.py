"""Where the command `zaptik` begins: it imports nothing of ours until an interrupt can be answered."""

from __future__ import annotations


def main() -> int:
    """Run the command line of this process; 130 where it is interrupted before there is a command to say so."""
    try:
        # In here, not above: to import all of the command takes half a second, in which Ctrl-C is pressed too.
        from worker.command import main as run_command  # noqa: PLC0415

        return run_command()
    except KeyboardInterrupt:
        return 130  # nothing was begun, so there is nothing to say
