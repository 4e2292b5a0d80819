"""All that one simulated instance is, apart from HTTP: rows, access, token, latency, what was asked."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from ops.simulator.access import Access
from ops.simulator.faults import Fault, Faults
from ops.simulator.limits import Limits
from ops.simulator.query import Query, parse_query
from ops.simulator.selection import Selector, Window, understood
from ops.simulator.touches import find_touched
from ops.simulator.zones import in_utc

if TYPE_CHECKING:
    from ops.simulator.oauth import OAuth
    from ops.simulator.store import Row, Store, Table

KEPT_REQUESTS = 200_000
_NO_ROWS = Window((), 0, 0)


class FieldsDenied(Exception):  # noqa: N818  it says what happened
    """A query names a field that the account may not read, on a table that says so."""


class Request(TypedDict):
    """One request as the log keeps it; `faults` are the kinds that struck it."""

    method: str
    path: str
    table: str
    query: dict[str, str]
    status: int
    authorized: bool
    faults: list[str]


@dataclass
class Instance:
    """The state behind the routes. `touches` counts the requests that touched each forbidden table.

    `base_url` is the instance's own URL property: links name it, whatever host was asked. `returns_no_rows`
    is the property glide.invalid_query.returns_no_rows, `zone_offset_seconds` how far east of UTC the user's zone
    is, in which times in queries are read.
    """

    store: Store
    oauth: OAuth
    base_url: str = ""
    control_token: str = ""
    latency_seconds: float = 0.0
    returns_no_rows: bool = False
    zone_offset_seconds: float = 0.0
    access: dict[str, Access] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    touches: Counter[str] = field(default_factory=Counter)
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.selector = Selector(self.store)

    def now(self) -> float:
        """Give the time by the instance's own clock, in seconds since the epoch."""
        return time.time() + self.faults.skew_seconds

    def set_faults(self, *faults: Fault, seed: int = 1, skew_seconds: float = 0.0) -> None:
        """Set all faults anew, counted from now on; none lifts them."""
        self.faults = Faults(*faults, seed=seed, skew_seconds=skew_seconds, snapshot=self.store.copy_rows())
        self.store.skew_seconds = skew_seconds

    def access_of(self, table: str) -> Access:
        """Give a table's access; all is readable unless said otherwise."""
        return self.access.get(table) or _OPEN

    def readable_table(self, name: str) -> Table | None:
        """Find a table that the instance has."""
        return None if self.access_of(name).absent else self.store.table(name)

    def hides(self, table: Table, path: str) -> bool:
        """Say whether an ACL stands on a field, or on one that the path to it walks through."""
        first, _, rest = path.partition(".")
        if first in self.access_of(table.name).fields_hidden:
            return True
        column = table.column(first)
        target = self.store.table(column.target) if column and rest else None
        return target is not None and (self.access_of(target.name).denied or self.hides(target, rest))

    def select(self, table: Table, text: str, *, salt: str = "") -> Window:
        """Run an encoded query as the account may: filtered, stripped, without what is not understood.

        Raises FieldsDenied where the table refuses a query instead of dropping a part of it.
        """
        access = self.access_of(table.name)
        asked = understood(self.store, table, parse_query(text))
        if access.refuses_fields and (asked.garbage or any(self.hides(table, p) for p in asked.paths())):
            raise FieldsDenied
        if asked.garbage and self.returns_no_rows:
            return _NO_ROWS
        if self.zone_offset_seconds:
            asked = in_utc(self.store, table, asked, offset_seconds=self.zone_offset_seconds)
        run = access.stripped(asked, hides=lambda path: self.hides(table, path))
        return self.selector.select(table, self._filtered(table, access, run), salt=salt)

    def find(self, table: Table, sys_id: str) -> Row | None:
        """Find a row by its key as the account may: within the data filter, and not hidden."""
        row = table.find(sys_id)
        access = self.access_of(table.name)
        if row is None or not access.shows(row):
            return None
        if not access.data_filter:
            return row
        within = self.selector.select(table, self._filtered(table, access, parse_query(f"sys_id={sys_id}")))
        return row if within.total else None

    def _filtered(self, table: Table, access: Access, query: Query) -> Query:
        if not access.data_filter:
            return query
        ours = understood(self.store, table, parse_query(access.data_filter))
        groups = tuple(own + group for own in ours.groups for group in query.groups)
        return Query(groups, query.order)

    def record(self, request: Request) -> None:
        """Keep a request in the log, and count what it touched that it must not."""
        touched = find_touched(self.store, request["table"], request["query"])
        with self.lock:
            self.requests.append(request)
            self.touches.update(touched)


_OPEN = Access()
