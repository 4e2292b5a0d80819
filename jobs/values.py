"""How ServiceNow writes what is compared here as text: a record's key, the names of tables and columns, times."""

from __future__ import annotations

import re
from typing import Final

SYS_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,79}\Z")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z")
COUNT: Final = re.compile(r"[0-9]{1,12}\Z")  # of a record's changes: the sum of a table's stays a bigint
