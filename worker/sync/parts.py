"""What every slice of a process shares: settings, keys, trust, tokens, and where events go."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field

from jobs.events import Emit
from jobs.surface import Surface
from worker.servicenow import TokenStore
from worker.settings import Settings
from worker.vault import Keyring


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once at the start of a process; `draining` is set when slices must come to a checkpoint and end."""

    settings: Settings
    keyring: Keyring
    trust: ssl.SSLContext
    surface: Surface
    worker: str
    emit: Emit
    tokens: TokenStore = field(default_factory=TokenStore)
    draining: threading.Event = field(default_factory=threading.Event)
