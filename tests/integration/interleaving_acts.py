"""What may happen to a small instance while it is read: the acts of an interleaving, and how they are done.

An act happens when a run has made so many requests. Rows come and go, ACLs and faults change, and the slice is cut or
loses its lease. Acts that no aggregate can tell of are told apart (`is_silent`): after them a run that reads less may
keep what was, until everything is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from hypothesis import strategies as st

from ops.simulator import Simulator
from ops.simulator.access import Access
from ops.simulator.faults import Fault
from ops.simulator.store import Row, Store

GROUPS, ITEMS, PRODUCERS = "sys_user_group", "sc_cat_item", "sc_cat_item_producer"
LINKS, RULES = "sc_cat_item_category", "sysrule_assignment"
TABLES: Final = (GROUPS, ITEMS, PRODUCERS, LINKS, RULES)
SIZES: Final = {GROUPS: 11, ITEMS: 6, PRODUCERS: 5, LINKS: 7, RULES: 6}
PAGE_ROWS: Final = 4
LATEST_REQUEST = 30
PAST, FUTURE = "2001-02-03 04:05:06", "2031-02-03 04:05:06"
_MADE = "2024-05-06 07:08:09"

Row_ = Literal[
    "insert", "insert_past", "update", "update_past", "update_future", "update_still", "update_silent", "delete",
    "move", "rewind",
]  # fmt: skip
Access_ = Literal["hide", "hide_all", "show", "hide_field", "refuse_field", "strip", "deny", "absent", "open"]
Fault_ = Literal[
    "failing", "throttled", "cancelled", "truncated", "reset", "null_body", "dropped", "duplicated", "hibernating",
    "uncounted", "undercounted", "uncountable", "no_faults", "revoke",
]  # fmt: skip
Run_ = Literal["cut", "steal"]
What = Row_ | Access_ | Fault_ | Run_
WHATS: Final = tuple(what for kinds in (Row_, Row_, Access_, Fault_, Run_, Run_) for what in get_args(kinds))
_SILENT: Final = frozenset(
    {"insert_past", "update_silent", "rewind", "hide_field", "refuse_field", "open", "undercounted"}
)
_STATE: Final = frozenset({"sys_updated_on", "sys_mod_count"})
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    GROUPS: ("name", "parent", "sys_updated_on", "sys_mod_count"),
    ITEMS: ("name", "group", "sys_updated_on", "sys_id"),
    PRODUCERS: ("name", "table_name", "group", "sys_mod_count"),
    LINKS: ("sc_category", "sc_cat_item", "sys_id"),
    RULES: ("script", "name", "group"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens once, when a run has made `at` requests; `number` says to which row, or how."""

    at: int
    what: What
    table: str
    number: int

    @property
    def column(self) -> str:
        """The column that it hides, where it hides one."""
        columns = _FIELDS[self.table]
        return columns[self.number % len(columns)]

    @property
    def is_silent(self) -> bool:
        """Whether it may change what a record says, and no aggregate."""
        is_hiding = self.what in {"hide_field", "refuse_field"}
        return self.what in _SILENT and not (is_hiding and self.column in _STATE)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run, and what happens while it goes on."""

    mode: Literal["delta", "full"]
    acts: tuple[Act, ...]


_ACTS = st.builds(
    Act,
    at=st.integers(0, LATEST_REQUEST),
    what=st.sampled_from(WHATS),
    table=st.sampled_from(TABLES),
    number=st.integers(0, 99),
)
_RUNS = st.builds(
    PlannedRun,
    mode=st.sampled_from(("delta", "delta", "full")),
    acts=st.lists(_ACTS, min_size=3, max_size=8).map(tuple),
)
SCRIPTS = st.lists(_RUNS, min_size=2, max_size=4)


def made_id(*parts: object) -> str:
    """Give the sys_id of a row that is made."""
    return hashlib.md5(":".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def small_store() -> Store:
    """Make an instance of a few rows in each table, several pages of each."""
    store = Store(seed=3)
    for table in TABLES:
        store.declare(table)
    for table, size in SIZES.items():
        dated = {"sys_updated_on": _MADE, "sys_created_on": _MADE}
        store.put(table, [{**made_row(table, number), **dated} for number in range(size)])
    return store


def made_row(table: str, number: int) -> Row:
    """Make a row by its number: what it refers to is there, was there, or never is."""
    row = {"sys_id": made_id(table, number), **_said(table, number)}
    return {name: value for name, value in row.items() if value}


def _said(table: str, number: int) -> Row:
    group = made_id(GROUPS, number % 14) if number % 5 else ""
    name = f"{table} {number}"
    match table:
        case "sys_user_group":
            return {"name": name, "parent": group, "active": "true"}
        case "sc_cat_item_producer":
            return {"name": name, "group": group, "table_name": ("incident", "u_site")[number % 2]}
        case "sc_cat_item":
            return {"name": name, "group": group, "category": made_id("category", number % 3)}
        case "sc_cat_item_category":
            item = (ITEMS, PRODUCERS)[number % 2], number // 2 % 7
            return {"sc_cat_item": made_id(*item), "sc_category": made_id("category", number % 4)}
        case _:
            return {"name": name, "group": group, "script": "gs.log(1)" if number % 3 == 0 else ""}


class Stage:
    """The instance of an interleaving, and its acts but those on the run itself."""

    def __init__(self, simulator: Simulator) -> None:
        self.instance = simulator.instance
        self.store = simulator.instance.store
        self._first = self.store.copy_rows()
        self._then = self._first
        self._made = 0
        self._faults: list[Fault] = []

    def reset(self) -> None:
        """Let everything be as in the beginning."""
        self.store.restore_rows(self._first)
        self._then, self._made = self._first, 0
        self.instance.access.clear()
        self.lift_faults()
        self.instance.requests.clear()

    def begin_run(self) -> None:
        """Note what a rewinding goes back to, and lift the last run's faults."""
        self._then = self.store.copy_rows()
        self.lift_faults()

    def lift_faults(self) -> None:
        """Let the instance answer as it should."""
        self._faults = []
        self.instance.set_faults()

    def do(self, act: Act) -> None:
        """Do an act."""
        if act.what in get_args(Row_):
            self._change_rows(act)
        elif act.what in get_args(Access_):
            self._change_access(act)
        elif act.what == "revoke":
            self.instance.oauth.revoke()
        elif act.what == "no_faults":
            self.lift_faults()
        elif act.what in get_args(Fault_):
            self._faults.append(_build_fault(act))
            self.instance.set_faults(*self._faults, seed=act.number)

    def _change_rows(self, act: Act) -> None:
        if act.what == "rewind":
            self.store.restore_rows(self._then)
        elif act.what in {"insert", "insert_past"}:
            self._made += 1
            dated = {"sys_updated_on": PAST} if act.what == "insert_past" else {}
            row = made_row(act.table, act.number)
            self.store.put(act.table, [{**row, "sys_id": made_id("new", self._made, act.number), **dated}])
        elif rows := self.store.rows(act.table):
            row = rows[act.number % len(rows)]
            if act.what == "delete":
                self.store.delete(act.table, row["sys_id"])
            elif act.what == "move" and act.table in {ITEMS, PRODUCERS}:
                other = ITEMS if row["sys_class_name"] == PRODUCERS else PRODUCERS
                self.store.put(ITEMS, [{"sys_id": row["sys_id"], "sys_class_name": other}])
            else:
                self.store.put(act.table, [{"sys_id": row["sys_id"], **_changed(act, row)}])

    def _change_access(self, act: Act) -> None:
        """Change a table's access; what hides rows and fields holds for a record by whichever name it is read."""
        is_item = act.table in {ITEMS, PRODUCERS} and act.what not in {"strip", "deny", "absent"}
        for table in (ITEMS, PRODUCERS) if is_item else (act.table,):
            self.instance.access[table] = self._build_access(act, self.instance.access.get(table) or Access())

    def _build_access(self, act: Act, was: Access) -> Access:
        rows = self.store.rows(act.table)
        one = rows[act.number % len(rows)]["sys_id"] if rows else ""
        column = act.column
        changes: dict[str, Callable[[], Access]] = {
            "hide": lambda: replace(was, hidden=was.hidden | {one}),
            "hide_all": lambda: replace(was, hidden=frozenset({"*"})),
            "show": lambda: replace(was, hidden=frozenset()),
            "hide_field": lambda: replace(was, fields_hidden=was.fields_hidden | {column}),
            "refuse_field": lambda: replace(
                was, fields_hidden=was.fields_hidden | {column}, refuses_fields=True
            ),
            "strip": lambda: replace(was, strip_range=True),
            "deny": lambda: replace(was, denied=True),
            "absent": lambda: replace(was, absent=True),
            "open": Access,
        }
        return changes[act.what]()


def _changed(act: Act, row: Row) -> Row:
    """Say what an update changes: the name, what it refers to, or what nobody reads but a flag."""
    said = _said(act.table, act.number)
    names = sorted(said)
    name = names[act.number % len(names)]
    value = f"changed {act.number}" if name == "name" else said[name]
    dated: dict[str, Row] = {
        "update_past": {"sys_updated_on": PAST},
        "update_future": {"sys_updated_on": FUTURE},
        "update_still": {"sys_updated_on": row["sys_updated_on"]},
        "update_silent": {"sys_updated_on": row["sys_updated_on"], "sys_mod_count": row["sys_mod_count"]},
    }
    return {name: value, **dated.get(act.what, {})}


def _build_fault(act: Act) -> Fault:
    """Build a fault of one table, or in one of four of the whole instance; in one of five it stays."""
    kind = "failing" if act.what == "uncountable" else act.what
    return Fault(
        kind=kind,
        endpoint="stats" if act.what == "uncountable" else ("api", "table")[act.number % 2],
        table="" if act.number % 4 == 3 else act.table,
        first=1 + act.number % 3,
        times=(1, 2, 3, 5, 0)[act.number % 5],
        status=(500, 503)[act.number % 7 == 0],
        row=1 + act.number % 3,
        cut_bytes=act.number % 2 * 3,
        size_bytes=20,
    )
