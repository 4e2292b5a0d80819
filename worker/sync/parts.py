"""What every slice of a process shares: settings, keys, trust, tokens, and where events go."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.events import Emit
from jobs.surface import Surface
from worker.servicenow import TokenStore
from worker.settings import Settings
from worker.vault import Keys

_TRIES = 4  # of a page: three, and a token


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once at the start of a process; `draining` is set when slices must come to a checkpoint and end.

    `renew_keys` looks for keys that came since and says whether there are others now.
    """

    settings: Settings
    keyring: Keys
    trust: ssl.SSLContext
    surface: Surface
    worker: str
    emit: Emit
    renew_keys: Callable[[], bool] = lambda: False
    tokens: TokenStore = field(default_factory=TokenStore)
    draining: threading.Event = field(default_factory=threading.Event)

    @property
    def slice_bound_seconds(self) -> float:
        """The most a slice may read: its time, and then the tries of one request that was under way."""
        return self.settings.slice_seconds + _TRIES * self.settings.request_timeout_seconds
