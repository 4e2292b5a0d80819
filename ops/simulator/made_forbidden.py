"""A few made rows of tables that no crawler of configuration may ask for: people and their work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_ROWS = 5


def forbidden_tables(maker: Maker) -> dict[str, list[Row]]:
    """Make rows whose every value says that it should not have been read."""
    return {
        "sys_user": _rows(maker, "sys_user", "user_name", "name", "email", "phone"),
        "incident": _rows(maker, "incident", "number", "short_description", "description"),
        "sc_request": _rows(maker, "sc_request", "number", "short_description"),
        "sys_attachment": _rows(maker, "sys_attachment", "file_name", "table_name"),
        "sys_user_grmember": _rows(maker, "sys_user_grmember", "user", "group"),
        "sn_hr_core_case": _rows(maker, "sn_hr_core_case", "number", "short_description", "subject_person"),
        "sn_hr_core_profile": _rows(maker, "sn_hr_core_profile", "name", "user", "personal_email"),
        "awa_work_item": _rows(maker, "awa_work_item", "number", "assigned_to"),
    }


def _rows(maker: Maker, table: str, *columns: str) -> list[Row]:
    return [
        maker.row(table, number, **{name: f"CANARY-FORBIDDEN-{table}-{name}-{number}" for name in columns})
        for number in range(_ROWS)
    ]
