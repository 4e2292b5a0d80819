"""The rows of a simulated instance, by table, and their hierarchy.

A row holds its non-empty values only, as the strings that the API serves. What changes a table goes through
`Store.put` and `Store.delete`, so that the version, by which readers cache, moves.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from ops.simulator.columns import TABLE_NAME, Column, TableSpec, extends, inferred_table, known_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, str]


def _bumped(row: Row, now: str) -> Row:
    return {"sys_mod_count": str(int(row.get("sys_mod_count") or 0) + 1), "sys_updated_on": now}


def now_text(*, skew_seconds: float = 0.0) -> str:
    """Give the time as ServiceNow writes it: UTC, whole seconds, by a clock that goes wrong by so much."""
    return (datetime.now(UTC) + timedelta(seconds=skew_seconds)).strftime("%Y-%m-%d %H:%M:%S")


class Table:
    """One table's own rows, its description, and its place in the hierarchy."""

    def __init__(self, spec: TableSpec, parent: Table | None) -> None:
        self.spec = spec
        self.parent = parent
        self.children: list[Table] = []
        self.rows: dict[str, Row] = {}
        self._sorted: list[Row] | None = None
        if parent is not None:
            parent.children.append(self)

    def __repr__(self) -> str:
        return f"<Table {self.spec.name} own_rows={len(self.rows)} children={len(self.children)}>"

    @property
    def name(self) -> str:
        """The table's name."""
        return self.spec.name

    def column(self, name: str) -> Column | None:
        """Find a column, its parents' included."""
        found = self.spec.columns.get(name)
        return found if found or self.parent is None else self.parent.column(name)

    def columns(self) -> dict[str, Column]:
        """Give all columns, its parents' first."""
        inherited = self.parent.columns() if self.parent else {}
        return {**inherited, **self.spec.columns}

    def family(self) -> list[Table]:
        """Give this table and all that extend it."""
        return [self, *chain.from_iterable(child.family() for child in self.children)]

    def find(self, sys_id: str) -> Row | None:
        """Find a row of this table or of one that extends it."""
        owner = self.owner(sys_id)
        return owner.rows[sys_id] if owner else None

    def owner(self, sys_id: str) -> Table | None:
        """Find which of this table and those that extend it holds a row."""
        return next((table for table in self.family() if sys_id in table.rows), None)

    def root(self) -> Table:
        """Give the table that this one extends at last, or itself."""
        return self.parent.root() if self.parent else self

    def sorted_rows(self) -> list[Row]:
        """Give the family's rows in the order of sys_id; the list is shared, so do not change it."""
        rows = self._sorted
        if rows is None:
            everything = chain.from_iterable(table.rows.values() for table in self.family())
            rows = self._sorted = sorted(everything, key=lambda row: row["sys_id"])
        return rows

    def learn(self, columns: Iterable[Column]) -> None:
        """Add the columns that the table does not have yet."""
        for column in columns:
            if self.column(column.name) is None:
                self.spec.columns[column.name] = column

    def forget_order(self) -> None:
        """Drop the sorted lists that a new or a gone row makes wrong."""
        self._sorted = None
        if self.parent is not None:
            self.parent.forget_order()

    def filled(self, row: Row) -> Row:
        """Give a copy of a row with every column of this table, the empty ones as empty strings."""
        return {name: row.get(name, "") for name in self.columns()}


class Store:
    """All tables. Every public method may be called from any thread."""

    def __init__(self, *, seed: int = 1) -> None:
        self.seed = seed
        self.skew_seconds = 0.0
        self.version = 0
        self.lock = threading.RLock()
        self._tables: dict[str, Table] = {}

    def __repr__(self) -> str:
        return f"<Store tables={len(self._tables)} version={self.version}>"

    @property
    def tables(self) -> dict[str, Table]:
        """The tables by name."""
        return self._tables

    def table(self, name: str) -> Table | None:
        """Find a table."""
        return self._tables.get(name)

    def declare(self, name: str) -> Table:
        """Make a table, empty, unless it is there; its parents come with it."""
        with self.lock:
            if name in self._tables:
                return self._tables[name]
            if not TABLE_NAME.match(name):
                raise ValueError(f"not the name of a table: {name!r}")
            known = known_tables().get(name) or inferred_table(name)
            spec = TableSpec(known.name, known.label, known.display, known.extends, dict(known.columns))
            parent = self.declare(spec.extends) if spec.extends else None
            table = self._tables[name] = Table(spec, parent)
            return table

    def put(self, name: str, rows: Iterable[Mapping[str, str]]) -> None:
        """Insert rows, or update those whose sys_id is there, as a user's change does.

        An update moves sys_mod_count by one and sys_updated_on to now, unless the row says them itself.
        """
        rows = list(rows)
        for row in rows:
            if not row.get("sys_id") or not (row.get("sys_mod_count") or "0").isdecimal():
                raise ValueError("a row needs a sys_id, and a sys_mod_count that is a number or is not said")
        with self.lock:
            self.version += 1
            for row in rows:
                self._put_row(self.home(name, row), row)

    def _put_row(self, home: Table, row: Mapping[str, str]) -> None:
        owner = home.root().owner(row["sys_id"])
        if owner is None:
            home.learn(map(Column, row))
            self._insert(home, row)
            return
        stored = owner.rows[row["sys_id"]]
        changed = {**stored, **_bumped(stored, now_text(skew_seconds=self.skew_seconds)), **row}
        if "sys_class_name" not in row:
            home = owner
        home.learn(map(Column, row))
        del owner.rows[row["sys_id"]]  # a row whose class was changed moves
        home.rows[row["sys_id"]] = {column: value for column, value in changed.items() if value}
        owner.forget_order()
        home.forget_order()

    def home(self, name: str, row: Mapping[str, str]) -> Table:
        """Find the table that a row belongs to: the child that its sys_class_name says, where it is one."""
        table = self.declare(name)
        child = known_tables().get(row.get("sys_class_name", ""))
        return self.declare(child.name) if child and extends(child.name, name) else table

    def _insert(self, table: Table, row: Mapping[str, str]) -> None:
        now = now_text(skew_seconds=self.skew_seconds)
        made = {"sys_mod_count": "0", "sys_created_on": now, "sys_updated_on": now}
        if table.column("sys_class_name"):
            made["sys_class_name"] = table.name
        table.rows[row["sys_id"]] = {name: value for name, value in {**made, **row}.items() if value}
        table.forget_order()

    def load(self, name: str, rows: Iterable[Row], *, columns: Iterable[Column] = ()) -> None:
        """Take rows as they are, without looking at each; columns that the table lacks are said."""
        with self.lock:
            table = self.declare(name)
            table.learn(columns)
            table.rows.update((row["sys_id"], row) for row in rows)
            table.forget_order()
            self.version += 1

    def delete(self, name: str, sys_id: str) -> bool:
        """Delete a row of a table or of one that extends it; false when there is none."""
        with self.lock:
            table = self._tables.get(name)
            owner = table.owner(sys_id) if table else None
            if owner is None:
                return False
            del owner.rows[sys_id]
            owner.forget_order()
            self.version += 1
            return True

    def copy_rows(self) -> dict[str, dict[str, Row]]:
        """Give every table's own rows by sys_id; later changes do not reach the copy."""
        with self.lock:
            tables = self._tables.items()
            return {name: {key: dict(row) for key, row in table.rows.items()} for name, table in tables}

    def restore_rows(self, rows: Mapping[str, Mapping[str, Row]]) -> None:
        """Put every table's rows back to what `copy_rows` gave; a table it does not know is emptied."""
        with self.lock:
            for name, table in self._tables.items():
                table.rows = {key: dict(row) for key, row in rows.get(name, {}).items()}
                table.forget_order()
            self.version += 1

    def rows(self, name: str) -> list[Row]:
        """Give all rows of a table as they are stored, whatever the access: the ground truth."""
        with self.lock:
            table = self._tables.get(name)
            return [table.filled(row) for row in table.sorted_rows()] if table else []
