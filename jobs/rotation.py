"""The next step of replacing the deployment's key, from what the keyring holds and what the database knows.

A key goes through it in this order: it is made, and every process gets it, to open with; then it is the primary, which
new data keys are wrapped by; then the data keys of all tenants are wrapped by it; then the old one is dropped. At no
moment is anything wrapped by a key that some process lacks. Whoever is interrupted asks again for the next step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jobs.errors import KeyMissing

Step = Literal["prepare", "promote", "finish"]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the database knows it: when it was heard of, promoted and dropped, and how many tenants need it."""

    key_id: str
    seen_at: datetime
    primary_at: datetime | None
    dropped_at: datetime | None
    age_seconds: float
    tenants: int


@dataclass(frozen=True, slots=True)
class Next:
    """The next step, and the key it is about: the one in use for `prepare`, else the one that is to wrap all."""

    step: Step
    key_id: str


def plan_rotation(primary: str, key_ids: Collection[str], known: Iterable[KnownKey]) -> Next:
    """Plan the next step for a keyring with this primary and these keys.

    `KeyMissing` where the newest primary is not among them: somebody else rotated, and this keyring is an old one.
    """
    alive = [key for key in known if key.dropped_at is None]
    newest = find_newest_primary(alive, otherwise=primary)
    if newest not in key_ids:
        raise KeyMissing(
            f"this keyring is an old one: {newest} was made the primary elsewhere, and it lacks that key; take the "
            "keyring that the workers have"
        )
    # A rotation that was cut off after its promotion goes on before another begins.
    if primary != newest or any(key.tenants and key.key_id != newest for key in alive):
        return Next("finish", newest)
    waiting = [key for key in alive if key.primary_at is None and key.key_id in key_ids]
    if waiting:
        return Next("promote", max(waiting, key=lambda key: (key.seen_at, key.key_id)).key_id)
    return Next("prepare", newest)


def find_newest_primary(known: Iterable[KnownKey], *, otherwise: str) -> str:
    """Give the key that became the primary last; `otherwise` where none has been one, or it is as new."""
    promoted = [(key.primary_at, key.key_id == otherwise, key.key_id) for key in known if key.primary_at]
    return max(promoted)[2] if promoted else otherwise
