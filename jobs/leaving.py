"""A tenant's way out: by when it must be deleted, how near that is, and what the written request may be called.

Pure: whoever asks gives the time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from jobs.errors import UsageFailure

PROMISED = timedelta(days=30)
"""Within which a tenant is deleted after the written request; the database refuses a later date
(`offboarding_within_thirty_days`)."""

READY = timedelta(days=7)
"""How long before the date `tenant offboard --due` deletes: what fails has a week to be mended, and before it a
request can be called off for 23 days."""

NEAR = timedelta(days=3)
"""How long before the date somebody is told: by then `--due` should have deleted."""

Standing = Literal["waiting", "ready", "near", "overdue"]

_LONGEST_REFERENCE = 200


class InvalidReference(UsageFailure):
    """The reference of a written request cannot be one."""

    code = "invalid_reference"


class TenantLeaves(UsageFailure):
    """The tenant is being offboarded: nothing is done for it any more."""

    code = "tenant_leaves"


class TenantStays(UsageFailure):
    """Nobody asked for the tenant's deletion, or it has begun and cannot be called off."""

    code = "tenant_stays"


def plan_due(requested_at: datetime) -> datetime:
    """Give the time by which a tenant must be deleted."""
    return requested_at + PROMISED


def tell_standing(due_at: datetime, *, now: datetime) -> Standing:
    """Say how near the time is: `waiting` for it, `ready` to be deleted, `near`, or `overdue`."""
    left = due_at - now
    if left <= timedelta():
        return "overdue"
    if left <= NEAR:
        return "near"
    return "ready" if left <= READY else "waiting"


def check_reference(reference: str, *, name: str, url: str) -> str:
    """Give a written request's reference back, without space around it; InvalidReference where it cannot be one.

    It stays in the audit trail when the tenant is gone, so it names neither the tenant nor its host.
    """
    given = reference.strip()
    if not given or not given.isprintable() or len(given) > _LONGEST_REFERENCE:
        raise InvalidReference(
            f"A reference is one line of 1 to {_LONGEST_REFERENCE} characters: the number of the written request, say."
        )
    for word in (name, urlsplit(url).hostname or name):
        if re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", given.lower()):
            raise InvalidReference(
                "The reference names the tenant: it stays in the audit trail when the tenant is gone. Give the number "
                "of the written request alone."
            )
    return given
