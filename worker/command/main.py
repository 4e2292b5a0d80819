"""From arguments to an exit code: 0 done, 1 failed, 2 wrong usage, 3 done in part, 130 interrupted."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from jobs.errors import Failure, UsageFailure
from worker.command.arguments import parse_arguments
from worker.command.output import Output
from worker.settings import read_settings
from worker.telemetry import name_frames
from worker.vault import harden_process

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`, of this process where none are given."""
    harden_process()  # a command, too, holds keys and passwords
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]  # PGHOSTADDR, say, would send a checked URL elsewhere
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Looked for before anything is parsed: a call that cannot be parsed is told in the form it asked for.
    output = Output(as_json="--json" in given)
    # It warns of a connection that is cut short, as where whoever reads our output has enough.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    logging.lastResort = None  # it would print what libraries say, with exceptions' texts
    try:
        asked = parse_arguments(given)
        settings = read_settings(os.environ)
        code: int = asked.command(asked, settings, output)
        # Here, where it can be answered: at its end Python would tell of a closed pipe in its own words.
        sys.stdout.flush()
    except Failure as failure:
        output.say(f"zaptik: {failure.code}: {failure.message}")
        output.document({"error": failure.document()})
        return WRONG_USAGE if isinstance(failure, UsageFailure) else FAILED
    except KeyboardInterrupt:
        output.say("zaptik: interrupted; what was begun goes on without this command")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return DONE  # the reader had enough
    except OSError as error:
        _discard_output()
        output.say(f"zaptik: what was asked for cannot be written: {error.strerror}")
        return FAILED
    except Exception as raised:  # noqa: BLE001  its text and its locals could hold what nobody may read
        defect = Failure(
            f"A defect of ours: {type(raised).__name__} at {', '.join(name_frames(raised)[-3:])}. Please report it."
        )
        output.say(f"zaptik: {defect.message}")
        output.document({"error": defect.document()})
        return FAILED
    return code


def _discard_output() -> None:
    """Keep what is still buffered from failing again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
