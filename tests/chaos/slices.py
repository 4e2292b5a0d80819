"""A worker's slice in a process of its own, which can be ended at any moment; quick to start, by fork."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from uuid import UUID

from jobs.events import Event
from jobs.surface import Surface, read_surface
from tests.forking import start_forked
from tests.integration.interleaving_case import small_surface
from worker.servicenow import build_trust
from worker.settings import read_settings
from worker.sync import Parts, run_slice
from worker.vault import read_keyring


def start_slice(environment: Mapping[str, str], run_id: UUID, *, whole_surface: bool) -> ForkServerProcess:
    """Start a process that works on a run for one slice, of the whole surface or a few tables."""
    return start_forked(_work, dict(environment), run_id, whole_surface)


def _work(environment: Mapping[str, str], run_id: UUID, whole_surface: bool) -> None:  # noqa: FBT001  a process's arguments
    settings = read_settings(environment)
    surface: Surface = read_surface() if whole_surface else small_surface()
    parts = Parts(
        settings=settings,
        keyring=read_keyring(settings),
        trust=build_trust(settings.ca_file),
        surface=surface,
        worker="a slice",
        emit=_ignore,
    )
    run_slice(parts, run_id)


def _ignore(_event: Event) -> None:
    """Drop it: the audit trail has what the test asks."""
