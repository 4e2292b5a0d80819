"""What a command needs to ask an instance itself: settings, keys, trust. It logs nothing."""

from __future__ import annotations

from jobs.surface import read_surface
from worker.servicenow import build_trust
from worker.settings import Settings
from worker.sync import Parts
from worker.vault import read_keyring


def build_parts(settings: Settings, *, command: str) -> Parts:
    """Give a command's parts; what is audited of it is in the audit trail."""
    return Parts(
        settings=settings,
        keyring=read_keyring(settings),
        trust=build_trust(settings.ca_file),
        surface=read_surface(),
        worker=command,
        emit=lambda _event: None,
    )
