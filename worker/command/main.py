"""From arguments to an exit code: 0 done, 1 failed, 2 wrong usage, 3 done in part, 130 interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jobs.errors import Failure, UsageFailure
from worker.command.arguments import parse_arguments
from worker.command.output import Output
from worker.settings import read_settings

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`, of this process where none are given."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in given)
    try:
        asked = parse_arguments(given)
        settings = read_settings(os.environ)
        code: int = asked.command(asked, settings, output)
    except Failure as failure:
        output.say(f"zaptik: {failure.message}")
        output.document({"error": failure.document()})
        return WRONG_USAGE if isinstance(failure, UsageFailure) else FAILED
    except KeyboardInterrupt:
        output.say("zaptik: interrupted; what was begun goes on without this command")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader had enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code
