"""How little of a table may be read again, and what shows that it was enough.

The Aggregate API gives a table's count, newest sys_updated_on and sum of sys_mod_count in one answer. As they were,
and the newest change not shortly before that was seen: nothing changed, the table is skipped. Else what is newer is
read (`delta`), and what is then known of every record must come to the same aggregates. If it does not, or where
something was deleted, the keys of all records are read (`scan`) and those records that differ are fetched; and if that
does not come to the aggregates either, the table is read whole. Aggregates see neither a row that an ACL shows again
nor a change that moved neither count nor time, so scans and whole reads are forced from time to time.

Bounds on sys_updated_on are values as the API stores them, never as it displays them, and are compared by `>=`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from jobs.errors import OrderIgnored, ResponseInvalid
from jobs.filters import name_fields
from jobs.keys import MOD_COUNT, UPDATED_ON
from jobs.page import Page, parse_page
from jobs.surface import Table
from jobs.values import MOMENT

Way = Literal["whole", "delta", "scan", "fetch", "skipped"]

OVERLAP = timedelta(minutes=10)
"""Clocks of an instance's nodes differ, and a long transaction commits with the time at which it began."""

_MOST_CHANGES = 10**18

_FORM = 1  # of the graph that records become; to be raised when `jobs.graph` makes something else of the same rows


@dataclass(frozen=True, slots=True)
class Aggregates:
    """What the instance counts of a table, hidden rows too: rows, newest sys_updated_on, sum of sys_mod_count."""

    counted: int
    newest: str
    changes: int

    @property
    def tell_changes(self) -> bool:
        """Whether a change would show: of rows without a time only their number does.

        An instance leaves out what the account may not aggregate, or what the table does not have, with 200.
        """
        return bool(self.newest) or not self.counted


@dataclass(frozen=True, slots=True)
class KnownTable:
    """What earlier runs left of a table; see the schema's `table_state`."""

    shape: str
    verdict: str
    hidden: int
    reason: str | None
    rows: int
    aggregates: Aggregates
    as_of: datetime
    checked_at: datetime
    runs_since_scan: int
    runs_since_whole: int

    @property
    def lacks_asides(self) -> bool:
        """Whether all records were read, but not what beside them is said of them: the reason says what."""
        return self.verdict == "complete" and self.reason is not None


@dataclass(frozen=True, slots=True)
class Forced:
    """After how many runs that read less the keys, or all content, are read again."""

    scan_every: int
    whole_every: int


class _Stats(msgspec.Struct):
    count: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")]
    max: dict[str, str] = {}
    sum: dict[str, str] = {}


class _Result(msgspec.Struct):
    stats: _Stats


class _Answer(msgspec.Struct):
    result: _Result
    error: dict[str, str | None] | None = None


_DECODER = msgspec.json.Decoder(_Answer)


def describe_shape(table: Table) -> str:
    """Name what is asked of a table and made of its rows: another name, and all of it must be read again."""
    return hashlib.sha256(f"{_FORM} {table!r}".encode()).hexdigest()[:16]


def plan_way(
    known: KnownTable | None,
    now: Aggregates,
    *,
    shape: str,
    forced: Forced,
    trusts_times: bool = True,
    is_link: bool = False,
) -> Way:
    """Say how to read a table, from what is known of it and what the instance says now.

    Links are never skipped, nor read by time: the keys of all of them are read in every run. Where aggregates tell
    no changes nothing less than all could be checked.
    """
    # The run that is being planned counts itself: hence the 1.
    if known is None or known.shape != shape or known.runs_since_whole + 1 >= forced.whole_every:
        return "whole"
    if not now.tell_changes:
        return "whole"
    is_scan_due = is_link or known.runs_since_scan + 1 >= forced.scan_every
    if not is_scan_due and is_unchanged(known.aggregates, now, checked_at=known.checked_at):
        return "skipped"
    if known.verdict != "complete" or known.lacks_asides:
        # What is hidden is in the aggregates and not among the records: nothing could be checked. And what was not
        # known of its records when all were read is asked of all of them again, not of some.
        return "whole"
    # Something was deleted where fewer are counted: what is newer would not say what.
    if is_scan_due or not trusts_times or now.counted < known.aggregates.counted:
        return "scan"
    return "delta"


def is_fetch_cheaper(*, differing: int, counted: int, batch_keys: int, page_rows: int) -> bool:
    """Say whether fetching records one batch of keys at a time asks less than reading the table whole."""
    return differing / batch_keys <= counted / page_rows


def is_unchanged(known: Aggregates, now: Aggregates, *, checked_at: datetime) -> bool:
    """Say whether nothing changed since the aggregates were seen as they are now.

    A change in the second of the last one moves no time, and its sum can be made up for by a deletion: so the last one
    must have been long enough before.
    """
    return now == known and now.tell_changes and known.newest < bound_before(checked_at)


def lower_bound(known: KnownTable) -> str:
    """Give the sys_updated_on from which on rows may have changed since the table was last seen as known.

    By when it was seen, not by the newest row: one dated in the future must not hide what comes before it.
    """
    return bound_before(known.checked_at)


def bound_before(moment: datetime) -> str:
    """Give the sys_updated_on from which on rows may have changed since a moment."""
    return (moment.astimezone(UTC) - OVERLAP).strftime("%Y-%m-%d %H:%M:%S")


def aggregate_parameters(table: Table) -> dict[str, str]:
    """Give the parameters of the Aggregate API request for a table's aggregates."""
    parameters = {
        "sysparm_count": "true",
        "sysparm_max_fields": UPDATED_ON,
        "sysparm_sum_fields": MOD_COUNT,
        "sysparm_display_value": "false",
    }
    if table.filter:
        parameters["sysparm_query"] = table.filter
    return parameters


def parse_aggregates(table: Table, body: bytes) -> Aggregates:
    """Parse a table's aggregates; of no rows the newest is empty and the sum 0. What is no time is left out too."""
    try:
        answer = _DECODER.decode(body)
        stats = answer.result.stats
        newest, changes = stats.max.get(UPDATED_ON, ""), stats.sum.get(MOD_COUNT, "") or "0"
        changed = int(changes.partition(".")[0].replace(",", ""))
        if answer.error is None and abs(changed) < _MOST_CHANGES:
            return Aggregates(int(stats.count), newest if MOMENT.match(newest) else "", changed)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        pass
    raise ResponseInvalid(
        f"The Aggregate API's answer for {table.name} is not a count, a time and a sum; look at the instance's logs."
    )


def keys_of(table: Table) -> Table:
    """Give the table as it is scanned: of its records the key and state, and what shows that the filter held."""
    return dataclasses.replace(
        table, fields=tuple(dict.fromkeys(("sys_id", *sorted(name_fields(table.filter)))))
    )


def parse_changed(table: Table, body: bytes, *, cursor: str, since: str) -> Page:
    """Parse a page of rows changed since a time; OrderIgnored when a row is older: the bound was dropped."""
    page = parse_page(table, body, cursor=cursor)
    if any(row.get(UPDATED_ON, "") < since for row in page.rows):
        raise OrderIgnored(
            f"The instance dropped the bound on {UPDATED_ON} of a query on {table.name} (a query ACL does this "
            "silently): grant the integration user query_range on it, and less will be read."
        )
    return page


def parse_records(table: Table, body: bytes, *, sys_ids: Collection[str]) -> Page:
    """Parse the records of some keys; OrderIgnored when others came."""
    page = parse_page(table, body, cursor="")
    if not {row["sys_id"] for row in page.rows} <= set(sys_ids):
        raise OrderIgnored(
            f"The instance answered a query for records of {table.name} with others: grant the integration user "
            "query_match on its sys_id."
        )
    return page
