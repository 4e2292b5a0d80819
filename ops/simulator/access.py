"""What the account may see of each table, as ACLs and filters would have it.

Every switch reproduces one way in which an instance answers 200 with less than was asked. Counts and
`X-Total-Count` see none of them but `data_filter`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import msgspec

from ops.simulator.query import RANGE_OPERATORS, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.simulator.store import Row

EVERY_ROW = "*"


@dataclass(frozen=True, slots=True)
class Access:
    """One table's access.

    `denied` answers 403 and `absent` as if the plugin were not installed. `hidden` rows are removed after the
    limit (`*` hides all). `fields_hidden` are missing from rows and dropped from queries; with
    `refuses_fields` a query that names one, or one that there is not, gets 403 instead. `strip_range` drops
    range predicates and the order, with 200. `data_filter` is an encoded query added to every one.
    """

    denied: bool = False
    absent: bool = False
    hidden: frozenset[str] = frozenset()
    fields_hidden: frozenset[str] = frozenset()
    refuses_fields: bool = False
    strip_range: bool = False
    data_filter: str = ""

    def changed(self, switches: Mapping[str, object]) -> Access:
        """Give the access with some switches set anew; raise `ValueError` for one that cannot be."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        if unknown := switches.keys() - known.keys():
            raise ValueError(f"no switch of access: {', '.join(sorted(unknown))}")
        return msgspec.convert({**known, **switches}, Access)

    def shows(self, row: Row) -> bool:
        """Say whether a row outlives the row ACLs."""
        return not self.hidden or (row["sys_id"] not in self.hidden and EVERY_ROW not in self.hidden)

    def stripped(self, query: Query, *, hides: Callable[[str], bool]) -> Query:
        """Give the query as it is run, without what the account may not ask; `hides` tells of a field."""

        def may_ask(path: str, operator: str) -> bool:
            return not hides(path) and not (self.strip_range and operator in RANGE_OPERATORS)

        groups = tuple(
            tuple(
                kept for any_of in group if (kept := tuple(t for t in any_of if may_ask(t.path, t.operator)))
            )
            for group in query.groups
        )
        order = () if self.strip_range else tuple(key for key in query.order if not hides(key.path))
        return Query(groups, order, query.garbage)
