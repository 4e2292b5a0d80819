"""Processes that are quick to start: forked from one that has imported what they need, and nothing else.

`zaptik` takes most of a second to import, which a test that calls it twenty times need not spend twenty times.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from ops.local.stack import ROOT
from worker.command import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.forking", "tests.chaos.slices"])


def start_forked(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Start a function of a module in a process of its own, which ends with this one."""
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def call_forked(
    arguments: Sequence[str], *, environment: Mapping[str, str], given: str, deadline_seconds: float
) -> tuple[int, str, str]:
    """Call `zaptik` with these variables and no others; give its exit code, and what it said on both streams."""
    with tempfile.TemporaryDirectory(prefix="zaptik-call-") as folder:
        streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(given)
        process = start_forked(_call, list(arguments), dict(environment), [str(path) for path in streams])
        process.join(deadline_seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"zaptik {' '.join(arguments)} did not end within {deadline_seconds:g} s")
        return process.exitcode, streams[1].read_text("utf-8"), streams[2].read_text("utf-8")


def _call(arguments: list[str], environment: dict[str, str], streams: list[str]) -> None:
    modes = os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT
    for number, (path, mode) in enumerate(zip(streams, modes, strict=True)):
        os.dup2(os.open(path, mode, 0o600), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))
