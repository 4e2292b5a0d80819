"""Which records a page holds, by key and state, apart from what they say.

Deletions are found by comparing keys. Where a table's `sys_mod_count` and `sys_updated_on` are read, they say
whether a record is still the one that was read before; neither becomes an attribute of a node. A reference that a
record came without (a field ACL leaves the field out) says nothing: it is not known to be empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from jobs.values import COUNT

MOD_COUNT, UPDATED_ON = "sys_mod_count", "sys_updated_on"
STATE_FIELDS = (MOD_COUNT, UPDATED_ON)


class RecordKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record's key, how often it was changed, and when last; None where that is not read.

    `no` names the fields of edges that were asked for and that the record came without.
    """

    id: str
    mod: int | None = None
    on: str | None = None
    no: str | None = None


def build_keys(
    rows: Iterable[Mapping[str, str]],
    *,
    called_by: str = "sys_id",
    referring: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> bytes:
    """Give the keys of checked rows as a JSON array; `referring` is `Table.referring` where references were asked.

    Where nodes are called by another field, what stands there is a key beside the sys_id: edges name the one,
    nodes the other.
    """
    keys: list[RecordKey] = []
    needs = {field: frozenset(needed) for field, needed in referring.items()}
    all_needed = frozenset[str]().union(*needs.values())
    for row in rows:
        # Nearly every row lacks nothing, and is spared the look at each field.
        keys.append(_build_key(row, {} if row.keys() >= all_needed else needs))
        if called_by != "sys_id":
            keys.append(RecordKey(row[called_by].strip()))
    return msgspec.json.encode(keys)


def _build_key(row: Mapping[str, str], needs: Mapping[str, frozenset[str]]) -> RecordKey:
    count = row.get(MOD_COUNT, "")
    return RecordKey(
        row["sys_id"],
        mod=int(count) if COUNT.match(count) else None,
        on=row.get(UPDATED_ON) or None,
        no=",".join(field for field, needed in needs.items() if not row.keys() >= needed) or None,
    )
