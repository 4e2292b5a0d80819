"""The zone of the integration user, in which an instance may read the times that stand in a query.

Rows hold UTC. A literal of a user in another zone means a time of that zone, and finds other rows than it says.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops.simulator.predicates import resolve
from ops.simulator.query import Query, Term

if TYPE_CHECKING:
    from ops.simulator.store import Store, Table

_FORM = "%Y-%m-%d %H:%M:%S"


def in_utc(store: Store, table: Table, query: Query, *, offset_seconds: float) -> Query:
    """Give the query with the times it names moved from a zone so far east of UTC to UTC."""

    def move(term: Term) -> Term:
        path = resolve(store, table, term.path)
        if path is None or path.column.kind != "datetime":
            return term
        parts = [_moved(part, offset_seconds) for part in term.value.split("@")]
        return Term(term.path, term.operator, "@".join(parts))

    groups = tuple(tuple(tuple(map(move, any_of)) for any_of in group) for group in query.groups)
    return Query(groups, query.order, query.garbage)


def _moved(text: str, offset_seconds: float) -> str:
    try:
        moment = datetime.strptime(text, _FORM).replace(tzinfo=UTC)
        return (moment - timedelta(seconds=offset_seconds)).strftime(_FORM)
    except (ValueError, OverflowError):
        return text
