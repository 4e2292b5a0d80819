"""`python -m ops.local demo|up|down|logs`: see the Makefile."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys

from ops.local.demo import run_demo
from ops.local.failure import StepFailure
from ops.local.logs import show_logs
from ops.local.up import FOLDER, bring_up, make_logs_folder, take_down

STOPPED = 128 + signal.SIGINT


def main() -> int:
    """Do what is asked; 0 done, 1 a step failed, 130 stopped by Ctrl-C, SIGTERM or a closed terminal."""
    parser = argparse.ArgumentParser(prog="python -m ops.local", description=__doc__)
    parser.add_argument("verb", choices=["demo", "up", "down", "logs"])
    verb = parser.parse_args().verb
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        _do(verb)
    except StepFailure as failure:
        print(f"\nmake {verb} failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing of it is left running", file=sys.stderr)
        return STOPPED
    return 0


def _do(verb: str) -> None:
    if verb == "demo":
        logs = make_logs_folder()
        try:
            run_demo(logs=logs, say=_say)
        except KeyboardInterrupt:
            shutil.rmtree(logs, ignore_errors=True)
            raise
    elif verb == "up":
        bring_up(say=_say)
    elif verb == "logs":
        show_logs(FOLDER, sys.stdout)
    else:
        take_down(say=_say)


def _interrupt(*_: object) -> None:
    """Stop once: what is being stopped must not be interrupted by a second Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
