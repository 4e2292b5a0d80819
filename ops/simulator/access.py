"""What the account may see of each table, as ACLs and filters would have it.

Every switch reproduces one way in which an instance answers 200 with less than was asked. Counts and
`X-Total-Count` see none of them but `data_filter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ops.simulator.query import RANGE_OPERATORS, Query

if TYPE_CHECKING:
    from ops.simulator.store import Row

EVERY_ROW = "*"


@dataclass(frozen=True, slots=True)
class Access:
    """One table's access.

    `denied` answers 403 and `absent` as if the plugin were not installed. `hidden` rows are removed after the
    limit (`*` hides all). `fields_hidden` are missing from rows and dropped from queries. `strip_range` drops
    range predicates and the order, with 200. `data_filter` is an encoded query added to every one.
    """

    denied: bool = False
    absent: bool = False
    hidden: frozenset[str] = frozenset()
    fields_hidden: frozenset[str] = frozenset()
    strip_range: bool = False
    data_filter: str = ""

    def changed(self, switches: dict[str, object]) -> Access:
        """Give the access with some switches set anew; raise `TypeError` for one that does not exist."""
        values = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in switches.items()
        }
        return replace(self, **values)  # type: ignore[arg-type]

    def shows(self, row: Row) -> bool:
        """Say whether a row outlives the row ACLs."""
        return not self.hidden or (row["sys_id"] not in self.hidden and EVERY_ROW not in self.hidden)

    def stripped(self, query: Query) -> Query:
        """Give the query as it is run, without what the account may not ask."""
        groups = tuple(
            tuple(
                kept
                for any_of in group
                if (kept := tuple(t for t in any_of if self._may_ask(t.path, t.operator)))
            )
            for group in query.groups
        )
        order = () if self.strip_range else tuple(o for o in query.order if o.path not in self.fields_hidden)
        return replace(query, groups=groups, order=order)

    def _may_ask(self, path: str, operator: str) -> bool:
        return path not in self.fields_hidden and not (self.strip_range and operator in RANGE_OPERATORS)
