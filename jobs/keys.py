"""Which records a page holds, by key and state, apart from what they say.

Deletions are found by comparing keys. Where a table's `sys_mod_count` and `sys_updated_on` are read, they say
whether a record is still the one that was read before; neither becomes an attribute of a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

MOD_COUNT, UPDATED_ON = "sys_mod_count", "sys_updated_on"
STATE_FIELDS = (MOD_COUNT, UPDATED_ON)


class RecordKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record's sys_id, how often it was changed, and when last; None where that is not read."""

    id: str
    mod: int | None = None
    on: str | None = None


def build_keys(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Give the keys of checked rows as a JSON array."""
    return msgspec.json.encode([_build_key(row) for row in rows])


def _build_key(row: Mapping[str, str]) -> RecordKey:
    count = row.get(MOD_COUNT, "")
    return RecordKey(
        row["sys_id"], mod=int(count) if count.isdecimal() else None, on=row.get(UPDATED_ON) or None
    )
