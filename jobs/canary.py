"""Canaries: a few queries whose only honest answer is known, sent once a run to see whether an instance gives it.

ServiceNow answers 200 to queries of which it dropped a part. Every row that is read is checked anyway; canaries tell
beforehand, and what rows cannot show:

- `unknown_field`: a comparison with a field that no table has. By default the term is dropped and the whole table comes
  (`drops_term`); with glide.invalid_query.returns_no_rows nothing does (`returns_no_rows`), or it is `refused`.
- `range`: rows after the highest key there can be. None, or a query ACL drops comparisons (`dropped`).
- `times`: rows changed at exactly the time at which a row is stored to have been changed. If it is not among them, the
  instance reads times in queries in another zone than UTC, in which it stores them (`shifted`): no read may rest on a
  bound in time. If rows of other times come, the bounds were `dropped`.

One table speaks for all: the property and the zone are the instance's and the user's. A query ACL is a table's own, so
that `holds` proves nothing for others, and `dropped` is a reason to look at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import msgspec

from jobs.errors import ResponseInvalid
from jobs.keys import UPDATED_ON
from jobs.surface import Surface, Table
from jobs.values import MOMENT

Canary = Literal["sample", "unknown_field", "range", "times"]
UnknownField = Literal["drops_term", "returns_no_rows", "refused", "unknown"]
Range = Literal["holds", "dropped", "unknown"]
Times = Literal["utc", "shifted", "dropped", "unknown"]

MOST_REQUESTS: Final = 4
_TABLES: Final = ("sc_catalog", "sys_user_group")  # small, and of every instance that is worth reading
_HIGHEST_KEY: Final = "f" * 32
_SAMPLE_ROWS: Final = 10
_QUERIES: Final[Mapping[Canary, str]] = {
    "sample": "ORDERBYsys_id",
    "unknown_field": "zaptik_no_such_field=zaptik^ORDERBYsys_id",
    "range": f"sys_id>{_HIGHEST_KEY}^ORDERBYsys_id",
    "times": f"{UPDATED_ON}>={{moment}}^{UPDATED_ON}<={{moment}}^ORDERBYsys_id",
}
_WARNINGS: Final[Mapping[tuple[str, str], str]] = {
    ("range", "dropped"): (
        "range_dropped: the instance drops comparisons from queries on {table} and says nothing of it (a query ACL): "
        "tables where it does so cannot be read whole. Grant the integration user query_range on the tables that are "
        "read."
    ),
    ("times", "dropped"): (
        "times_dropped: the instance drops bounds on sys_updated_on from queries on {table} and says nothing of it (a "
        "query ACL): what changed is found by comparing keys, which costs more requests. Grant query_range on it."
    ),
    ("times", "shifted"): (
        "times_shifted: the instance reads times in queries in another zone than UTC, that of the integration user: no "
        "read rests on them, and what changed is found by comparing keys, which costs more requests. Set the user's "
        "time zone to GMT."
    ),
}
_DROPS_TERM: Final = (
    "unknown_field_dropped: a comparison with a field that there is not is dropped, and the whole table comes (the "
    "default). Every row is checked here; for other readers' sake set glide.invalid_query.returns_no_rows to true."
)


@dataclass(frozen=True, slots=True)
class Sign:
    """A row as canaries see it: its key, and when it was changed, as it is stored."""

    sys_id: str
    updated_on: str


@dataclass(frozen=True, slots=True)
class Signs:
    """The rows that answered a canary, in the order given, and how many there are in all, hidden ones counted."""

    rows: tuple[Sign, ...]
    total: int

    def find_moment(self) -> str:
        """Give the time of the first row that has one; empty where none has."""
        return next((row.updated_on for row in self.rows if MOMENT.match(row.updated_on)), "")


@dataclass(frozen=True, slots=True)
class Honesty:
    """How honestly an instance answers queries: what a run's canaries found, and on which table, if on any."""

    table: str = ""
    unknown_field: UnknownField = "unknown"
    range: Range = "unknown"
    times: Times = "unknown"

    @property
    def trusts_times(self) -> bool:
        """Whether a read may rest on bounds in time; what is not known is left to the checks that end each read."""
        return self.times in {"utc", "unknown"}

    def document(self) -> dict[str, str]:
        """Give it as an event's fields and a run's row have it."""
        return asdict(self)

    def warnings(self) -> list[str]:
        """Give what somebody should see to, each as its code and what it means; nothing of what is the default."""
        found = (("range", self.range), ("times", self.times))
        return [_WARNINGS[key].format(table=self.table) for key in found if key in _WARNINGS]

    def describe_default(self) -> list[str]:
        """Give a warning where the instance drops what it does not understand, as it comes out of the box."""
        return [_DROPS_TERM] if self.unknown_field == "drops_term" else []


class _Answer(msgspec.Struct):
    result: list[dict[str, str]]
    error: Any = None


_DECODER = msgspec.json.Decoder(_Answer)


def choose_tables(surface: Surface) -> list[Table]:
    """Give the tables to send canaries to, the next one where one cannot be read or is empty."""
    return [surface.tables[name] for name in _TABLES if name in surface.tables]


def canary_parameters(canary: Canary, *, moment: str = "") -> dict[str, str]:
    """Give the parameters of the Table API request of one canary; ValueError for a time that is none."""
    if (canary == "times") != bool(MOMENT.match(moment)):
        raise ValueError(f"the canary {canary} is not sent with {moment!r}")
    return {
        "sysparm_query": _QUERIES[canary].format(moment=moment),
        "sysparm_fields": f"sys_id,{UPDATED_ON}",
        "sysparm_limit": str(_SAMPLE_ROWS),
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }


def parse_signs(table: Table, body: bytes, *, total: int | None) -> Signs:
    """Parse a canary's answer as it is, in whatever order and against whatever bound; ResponseInvalid for no rows."""
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if answer is None or answer.error is not None:
        raise ResponseInvalid(
            f"The answer for {table.name} to a canary is not a list of rows; it was not used."
        )
    rows = tuple(Sign(row.get("sys_id", ""), row.get(UPDATED_ON, "")) for row in answer.result)
    return Signs(rows, max(len(rows), total or 0))


def judge_unknown_field(signs: Signs) -> UnknownField:
    """Judge what came for a field that there is not, of a table that has rows."""
    return "drops_term" if signs.total else "returns_no_rows"


def judge_range(signs: Signs) -> Range:
    """Judge what came after the highest key."""
    return "dropped" if signs.total else "holds"


def judge_times(signs: Signs, *, moment: str) -> Times:
    """Judge what came for the time of a row that is there; rows hidden from us say nothing."""
    if not signs.total:
        return "shifted"
    if not signs.rows:
        return "unknown"
    times = {row.updated_on for row in signs.rows}
    if times == {moment}:
        return "utc"
    return "dropped" if moment in times or len(times) > 1 else "shifted"


def read_honesty(document: Mapping[str, Any] | None) -> Honesty | None:
    """Read it from a run's row; None where its canaries were not sent."""
    return (
        None
        if document is None
        else Honesty(**{name: document[name] for name in _FIELDS if name in document})
    )


_FIELDS: Final = ("table", "unknown_field", "range", "times")
NAMES: Final = tuple(get_args(Canary))
