"""The keyring as a process holds it: read at its start, and again when its source may give another one.

So a key that was added is known without a restart. A key once held is kept until the process ends: nothing that is
still sealed under it becomes unreadable because somebody took it out of a file too early.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NoReturn

from jobs.errors import KeyMissing
from worker.vault.keyring import Keyring
from worker.vault.sources import KeyringSource

_PRESS_SECONDS: Final = 10.0  # how often a key that is missed makes us ask at once


class HeldKeyring:
    """One process's keyring. Threads may ask it and refresh it at any time."""

    def __init__(self, source: KeyringSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = source.stamp()
        self._keyring = source.read()
        self._asked_at = clock()

    def __repr__(self) -> str:
        return f"<HeldKeyring from {self._source.name}: {self._keyring!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled")

    def now(self) -> Keyring:
        """Give the keyring as it is at the moment."""
        return self._keyring

    def refresh(self) -> bool:
        """Read again if the source says that it may have changed; True where the keyring is another now.

        `KeyMissing` where it gives none: what was held stays, and a further call reads only when it has changed again.
        """
        with self._lock:
            stamp = self._source.stamp()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            return self._read()

    def press(self) -> bool:
        """Read again because a key is missed; True where the keyring is another now. Raises as `refresh`."""
        with self._lock:
            stamp = self._source.stamp()
            if stamp == self._stamp and self._clock() - self._asked_at < _PRESS_SECONDS:
                return False
            self._stamp = stamp
            return self._read()

    def _read(self) -> bool:
        self._asked_at = self._clock()
        before, read = self._keyring, self._source.read()
        if altered := sorted(
            name for name in before.keys if read.keys.get(name, before.keys[name]) != before.keys[name]
        ):
            raise KeyMissing(
                f"{self._source.name} gives another key as {', '.join(altered)} than before: an id is never used "
                "twice; put the key back that it was"
            )
        self._keyring = Keyring(primary=read.primary, keys={**before.keys, **read.keys})
        return (self._keyring.primary, set(self._keyring.keys)) != (before.primary, set(before.keys))
