"""How many rows a page is asked for, table by table: fewer after a request that took too long, then more again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_GROWTH: Final = 10  # pages from nothing to the most


class PageSizes:
    """The rows to ask for of each table; a table that was never slow has the most."""

    def __init__(self, *, most_rows: int, least_rows: int, smaller: Mapping[str, int] | None = None) -> None:
        self._most_rows = most_rows
        self._least_rows = min(least_rows, most_rows)
        self._rows = {
            table: min(max(rows, self._least_rows), most_rows) for table, rows in (smaller or {}).items()
        }

    def __repr__(self) -> str:
        return f"<PageSizes most={self._most_rows} smaller={self._rows}>"

    @property
    def smaller(self) -> dict[str, int]:
        """The tables whose pages have fewer than the most rows."""
        return {table: rows for table, rows in self._rows.items() if rows < self._most_rows}

    def plan_rows(self, table: str) -> int:
        """Give the rows to ask for in the next page."""
        return self._rows.get(table, self._most_rows)

    def shrink(self, table: str, *, asked_rows: int) -> None:
        """Halve what was asked for, after a cancelled transaction or a time-out."""
        self._rows[table] = max(self._least_rows, asked_rows // 2)

    def grow(self, table: str, *, asked_rows: int) -> None:
        """Go up by a step after a page that came whole."""
        if table in self._rows:
            grown = min(self._most_rows, asked_rows + max(1, self._most_rows // _GROWTH))
            self._rows[table] = grown
