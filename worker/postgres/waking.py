"""Hearing from the database that somebody asked for a run: a hint, after which a round comes at once.

What is missed costs no more than the pause between two rounds. It needs a session of its own: a pooler in transaction
mode hands the next statement's session to somebody else, and with it what it listens to.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.postgres.connection import open_connection

_CHANNEL = "zaptik_wake"
_LOOK_SECONDS = 1.0


async def listen(url: str, *, wake: Callable[[], None], is_over: Callable[[], bool]) -> None:
    """Call `wake` at each notice until `is_over`; raises DatabaseAway where the connection is lost."""
    async with open_connection(url, purpose="listen") as connection:
        await connection.execute(f"LISTEN {_CHANNEL}")
        wake()  # what was asked for before
        while not is_over():
            async for _ in connection.notifies(timeout=_LOOK_SECONDS):
                wake()
                if is_over():
                    return
