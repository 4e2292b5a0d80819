"""All that one simulated instance is, apart from HTTP: rows, access, token, latency, what was asked."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from ops.simulator.access import Access
from ops.simulator.query import Query, parse_query
from ops.simulator.selection import Selector, Window, understood

if TYPE_CHECKING:
    from ops.simulator.oauth import OAuth
    from ops.simulator.store import Store, Table

KEPT_REQUESTS = 200_000
_NO_ROWS = Window((), 0, 0)


class Request(TypedDict):
    """One request as the log keeps it."""

    method: str
    path: str
    table: str
    query: dict[str, str]
    status: int
    authorized: bool


@dataclass
class Instance:
    """The state behind the routes.

    `base_url` is the instance's own URL property: links name it, whatever host was asked. `returns_no_rows`
    is the property glide.invalid_query.returns_no_rows.
    """

    store: Store
    oauth: OAuth
    base_url: str = ""
    control_token: str = ""
    latency_seconds: float = 0.0
    returns_no_rows: bool = False
    access: dict[str, Access] = field(default_factory=dict)
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.selector = Selector(self.store)

    def access_of(self, table: str) -> Access:
        """Give a table's access; all is readable unless said otherwise."""
        return self.access.get(table) or _OPEN

    def readable_table(self, name: str) -> Table | None:
        """Find a table that the instance has."""
        return None if self.access_of(name).absent else self.store.table(name)

    def select(self, table: Table, text: str, *, salt: str = "") -> Window:
        """Run an encoded query as the account may: filtered, stripped, without what is not understood."""
        access = self.access_of(table.name)
        asked = understood(self.store, table, parse_query(text))
        if asked.garbage and self.returns_no_rows:
            return _NO_ROWS
        return self.selector.select(table, self._filtered(table, access, access.stripped(asked)), salt=salt)

    def _filtered(self, table: Table, access: Access, query: Query) -> Query:
        if not access.data_filter:
            return query
        ours = understood(self.store, table, parse_query(access.data_filter))
        groups = tuple(own + group for own in ours.groups for group in query.groups)
        return Query(groups, query.order)

    def record(self, request: Request) -> None:
        """Keep a request in the log."""
        with self.lock:
            self.requests.append(request)


_OPEN = Access()
