"""Faults that change rows while somebody reads them: the instance goes on working."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.simulator.faults import Strike

if TYPE_CHECKING:
    from ops.simulator.instance import Instance
    from ops.simulator.store import Row, Store

CHANGES = frozenset({"row_inserted", "row_updated", "row_updated_silently", "row_deleted", "rewound"})
_STILL = ("sys_updated_on", "sys_mod_count")


def change_rows(instance: Instance, strike: Strike, *, asked_table: str) -> None:
    """Do what a fault does to rows."""
    fault, store = strike.fault, instance.store
    table = fault.change_table or asked_table
    if fault.kind == "rewound":
        store.restore_rows(instance.faults.snapshot)
    elif fault.kind == "row_deleted":
        for sys_id in fault.sys_ids or [row["sys_id"] for row in _chosen(store, strike, table)]:
            store.delete(table, sys_id)
    elif fault.kind == "row_inserted":
        store.put(table, fault.rows or [_made(store, strike, table)])
    else:
        changed = fault.rows or [_renamed(store, strike, table, row) for row in _chosen(store, strike, table)]
        is_silent = fault.kind == "row_updated_silently"
        store.put(table, [_stilled(store, table, row) if is_silent else row for row in changed])


def _chosen(store: Store, strike: Strike, table: str) -> list[Row]:
    rows = store.rows(table)
    return [strike.draw.choice(rows)] if rows else []


def _made(store: Store, strike: Strike, table: str) -> Row:
    sys_id = f"{strike.draw.getrandbits(128):032x}"
    return {"sys_id": sys_id, _display(store, table): f"made in mid-scan, {sys_id[:6]}"}


def _renamed(store: Store, strike: Strike, table: str, row: Row) -> Row:
    display = _display(store, table)
    return {"sys_id": row["sys_id"], display: f"changed in mid-scan, {strike.draw.getrandbits(32):08x}"}


def _stilled(store: Store, table: str, row: Row) -> Row:
    """Add the timestamp and the count that the row has, so that neither moves."""
    stored = next((one for one in store.rows(table) if one["sys_id"] == row["sys_id"]), {})
    return {**{name: stored[name] for name in _STILL if stored.get(name)}, **row}


def _display(store: Store, table: str) -> str:
    found = store.table(table)
    return found.spec.display if found else "name"
