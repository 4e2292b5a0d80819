"""The scheduler's ear: a thread that ends the pause between two rounds as soon as somebody asks for a run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import Failure
from worker.fleet.process import Process
from worker.postgres.waking import listen

_AGAIN_SECONDS = 5.0


@contextmanager
def listening(process: Process) -> Iterator[None]:
    """Listen until the block ends; where PostgreSQL is away, again and again, and rounds come by the clock alone."""
    over = threading.Event()

    def is_over() -> bool:
        return over.is_set() or process.stopping.is_set()

    def hear() -> None:
        while not is_over():
            try:
                asyncio.run(listen(process.settings.listening_url(), wake=process.wake, is_over=is_over))
            except Failure:  # the rounds tell it
                over.wait(_AGAIN_SECONDS)

    thread = threading.Thread(target=hear, name="listen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=_AGAIN_SECONDS)
