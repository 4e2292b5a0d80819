"""Made assignment groups, with their types, roles and cost centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_TYPES = ("itil", "catalog", "survey", "hr", "workforce", "approval")
_ROLES = (
    "itil",
    "catalog_admin",
    "approver_user",
    "sn_hr_core.basic",
    "awa_agent",
    "report_viewer",
    "knowledge",
    "asset",
)
_COST_CENTERS = 25


def group_tables(maker: Maker, groups: int) -> dict[str, list[Row]]:
    """Make the tables around so many groups."""
    return {
        "sys_user_group_type": list(_types(maker)),
        "sys_user_role": list(_roles(maker)),
        "cmn_cost_center": list(_cost_centers(maker)),
        "sys_user_group": [_group(maker, number, groups) for number in range(groups)],
        "sys_group_has_role": [_granted(maker, number, groups) for number in range(groups // 2)],
    }


def _types(maker: Maker) -> Iterator[Row]:
    for number, name in enumerate(_TYPES):
        yield maker.row("sys_user_group_type", number, name=name, description=f"Groups for {name}")


def _roles(maker: Maker) -> Iterator[Row]:
    for number, name in enumerate(_ROLES):
        yield maker.metadata_row(
            "sys_user_role", number, name=name, description=f"Role {name}", grantable="true"
        )


def _cost_centers(maker: Maker) -> Iterator[Row]:
    for number in range(_COST_CENTERS):
        yield maker.row(
            "cmn_cost_center", number, name=f"Cost center {number}", code=f"CC{number:04}",
            parent=maker.reference("cmn_cost_center", number, filled=0.3),
            manager=f"CANARY-PII-cost-center-manager-{number}", valid_from="2019-01-01 00:00:00",
        )  # fmt: skip


def _group(maker: Maker, number: int, groups: int) -> Row:
    """Make a group; parents have lower numbers, so that there is no cycle."""
    return maker.row(
        "sys_user_group", number,
        name=maker.name("Group", number),
        description=f"\n\t\tWorks on queue {number}.  " if number % 5 else "",
        type=maker.references("sys_user_group_type", len(_TYPES)),
        parent=maker.reference("sys_user_group", number, filled=0.25),
        cost_center=maker.reference("cmn_cost_center", _COST_CENTERS, filled=0.5),
        active=maker.flag(0.95), exclude_manager=maker.flag(0.1), include_members=maker.flag(0.1),
        manager=f"CANARY-PII-manager-{number}", default_assignee=f"CANARY-PII-assignee-{number}",
        email=f"CANARY-PII-email-{number}@example.invalid", source=f"ldap:CN=CANARY-PII-source-{number}",
        points=str(number % 7 * 10), hourly_rate=f"{groups % 90 + 10}.50",
    )  # fmt: skip


def _granted(maker: Maker, number: int, groups: int) -> Row:
    return maker.row(
        "sys_group_has_role", number,
        group=maker.reference("sys_user_group", groups), role=maker.reference("sys_user_role", len(_ROLES)),
        inherits=maker.flag(0.9), granted_by=maker.reference("sys_user_group", groups, filled=0.2),
    )  # fmt: skip
