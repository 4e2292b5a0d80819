"""What the makers of rows share: identifiers, names, references, chance.

Names hold odd white space, quotes, markup and letters of other scripts; some references point to nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from ops.simulator.store import Row

_ODD_NAMES = (
    "  {} ", "{}\n\tEurope", 'The "{}" team', "<b>{}</b>", "{} & Söhne", "{} 東京", "{} — 🚀", "O'{}",
    "{}\u00a0\u200bhidden", "{} %41", "${{{}}}", "{}; DROP TABLE node",
)  # fmt: skip
_ONE_IN, _ODD = 16, 3
_SUBJECTS = (
    "Network",
    "Database",
    "Hardware",
    "Software",
    "Service Desk",
    "Payroll",
    "Facilities",
    "Field Services",
)
_EPOCH_DAYS = (
    "2019-03-04",
    "2020-11-30",
    "2021-06-17",
    "2022-01-09",
    "2023-08-21",
    "2024-02-29",
    "2025-05-05",
)


def made_id(*parts: object) -> str:
    """Give the sys_id of a made row."""
    return hashlib.md5(":".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Maker:
    """The seed and chance, and what is made with them."""

    seed: int
    random: Random

    def id_of(self, table: str, number: int) -> str:
        """Give the sys_id of a table's row by its number."""
        return made_id(self.seed, table, number)

    def row(self, table: str, place: int, /, **values: str) -> Row:
        """Give a row with the columns that all tables have, and without empty values."""
        random = self.random
        time = f" {random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}"
        row = {
            "sys_id": self.id_of(table, place),
            "sys_created_on": "2018-10-01 08:00:00",
            "sys_created_by": "CANARY-PII-created-by",
            "sys_updated_on": random.choice(_EPOCH_DAYS) + time,
            "sys_updated_by": "CANARY-PII-updated-by",
            "sys_mod_count": str(random.randrange(40)),
        }
        row.update((name, value) for name, value in values.items() if value)
        return row

    def metadata_row(self, table: str, place: int, /, **values: str) -> Row:
        """Give a row of a table that extends sys_metadata."""
        return self.row(
            table, place, sys_class_name=table, sys_name=values.get("name", ""), sys_scope="global",
            sys_package="global", sys_domain="global", **values,
        )  # fmt: skip

    def name(self, kind: str, number: int) -> str:
        """Give a unique name, one in sixteen of them odd."""
        plain = f"{_SUBJECTS[number % len(_SUBJECTS)]} {kind} {number}"
        return self.random.choice(_ODD_NAMES).format(plain) if number % _ONE_IN == _ODD else plain

    def reference(self, table: str, rows: int, *, filled: float = 1.0) -> str:
        """Give a reference to one of a table's rows; one in fifty dangles, and some stay empty."""
        if rows == 0 or self.random.random() > filled:
            return ""
        dangles = self.random.random() < 0.02  # noqa: PLR2004  one in fifty
        number = self.random.randrange(rows)
        return self.id_of(table, -1 - number if dangles else number)  # no row has a negative number

    def references(self, table: str, rows: int) -> str:
        """Give a list of up to three references."""
        return ",".join(dict.fromkeys(self.reference(table, rows) for _ in range(self.random.randrange(4))))

    def flag(self, share: float) -> str:
        """Give a boolean that is true for a share of rows."""
        return "true" if self.random.random() < share else "false"
