"""`worker` and `scheduler`: the processes, until a signal ends them."""

from __future__ import annotations

import argparse

from worker.command.output import Output
from worker.fleet import run_scheduler, run_worker
from worker.settings import Settings


def work(_asked: argparse.Namespace, settings: Settings, _output: Output) -> int:
    """Do runs until SIGTERM."""
    return run_worker(settings)


def schedule(_asked: argparse.Namespace, settings: Settings, _output: Output) -> int:
    """Say which runs are due until SIGTERM."""
    return run_scheduler(settings)
