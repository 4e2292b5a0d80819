"""A worker in which every library says all that it can, and which breaks down once over an open secret.

Run as `python -m tests.e2e.loud_worker`, with `crash` for the breakdown: in its first slice, in a thread, in a
destructor, and told by a library with its traceback. All of them hold the client secret, in texts and in locals.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, NoReturn

import worker.sync.slice as broken
from worker.command import main

_NAMES = vars(broken)
_OPENING = _NAMES["open_instance"]


def let_every_library_speak() -> None:
    """Have each logger at DEBUG, whatever level our own code asks for later."""
    logging.root.level = logging.DEBUG
    logging.Logger.setLevel = lambda _logger, _level: None  # type: ignore[method-assign,assignment]


class _Torn:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __del__(self) -> None:
        raise RuntimeError(f"torn with {self._secret}")


def break_down(_parts: object, opened: Any, **_: object) -> NoReturn:
    """Fail as nobody foresaw, once."""
    _NAMES["open_instance"] = _OPENING
    secret: str = opened.credentials.client_secret
    thread = threading.Thread(target=_raise, args=(secret,))
    thread.start()
    thread.join()
    torn = _Torn(secret)
    del torn
    try:
        _raise(secret)
    except RuntimeError:
        logging.getLogger("a.library").exception("it went wrong with %s", secret)
    raise RuntimeError(f"unforeseen with {secret}", {"client_secret": secret})


def _raise(secret: str) -> NoReturn:
    raise RuntimeError(f"in a thread with {secret}")


if __name__ == "__main__":
    let_every_library_speak()
    if sys.argv[1:] == ["crash"]:
        _NAMES["open_instance"] = break_down
    sys.exit(main(["worker"]))
