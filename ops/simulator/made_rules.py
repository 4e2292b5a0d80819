"""Made routing rules: assignment rules, data lookups with their tables, Advanced Work Assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_SCRIPT = "gs.info('CANARY-SCRIPT-{}');"
_TABLES = ("incident", "sc_req_item", "u_facility", "release_phase")
# Of a lookup: its records' table, its own table, what it matches by and what it sets.
_LOOKUPS = (
    ("incident", "dl_u_assignment", ("category", "subcategory"), ("assignment_group", "assigned_to")),
    ("incident", "dl_u_priority", ("impact", "urgency"), ("priority",)),
    ("u_facility", "u_dl_site", ("u_site",), ("u_group",)),
)


def rule_tables(maker: Maker, groups: int) -> dict[str, list[Row]]:
    """Make the rules that route to so many groups."""
    return {
        "sysrule_assignment": [_rule(maker, number, groups) for number in range(max(3, groups // 2))],
        **_definitions(maker),
        "dl_u_assignment": [_lookup(maker, number, groups) for number in range(max(3, groups // 2))],
        "dl_u_priority": list(_priorities(maker)),
        "u_dl_site": [_site(maker, number, groups) for number in range(max(2, groups // 10))],
        **_work_assignment(maker, groups),
    }


def _rule(maker: Maker, number: int, groups: int) -> Row:
    is_scripted = number % 8 == 5  # noqa: PLR2004
    return maker.metadata_row(
        "sysrule_assignment", number, name=maker.name("Rule", number), order=str(100 + number),
        active=maker.flag(0.9), table=_TABLES[number % len(_TABLES)], condition=f"category=c{number}^EQ",
        match_conditions="ALL", user=f"CANARY-PII-rule-user-{number}" if number % 9 == 0 else "",
        group="" if is_scripted else maker.reference("sys_user_group", groups),
        script=_SCRIPT.format(f"rule-{number}") if is_scripted else "",
    )  # fmt: skip


def _definitions(maker: Maker) -> dict[str, list[Row]]:
    made: dict[str, list[Row]] = {
        "dl_definition": [],
        "dl_definition_rel_match": [],
        "dl_definition_rel_set": [],
    }
    for number, (source, matcher, matched, sets) in enumerate(_LOOKUPS):
        definition = maker.metadata_row(
            "dl_definition", number, name=f"Lookup {number}", active="true", source_table=source,
            matcher_table=matcher, run_on_insert="true", run_on_update="true", run_on_form_change="false",
        )  # fmt: skip
        made["dl_definition"].append(definition)
        for table, columns in (("dl_definition_rel_match", matched), ("dl_definition_rel_set", sets)):
            made[table] += [
                maker.metadata_row(
                    table, number * 10 + place, dl_definition=definition["sys_id"], source_table_field=column,
                    matcher_table_field=column,
                )
                for place, column in enumerate(columns)
            ]  # fmt: skip
    return made


def _lookup(maker: Maker, number: int, groups: int) -> Row:
    return maker.row(
        "dl_u_assignment", number, sys_class_name="dl_u_assignment", order=str(number), active="true",
        category=f"category {number % 9}", subcategory=f"kind {number}" if number % 3 else "",
        cmdb_ci=maker.reference("cmdb_ci", 30, filled=0.3), assigned_to=f"CANARY-PII-lookup-{number}",
        assignment_group=maker.reference("sys_user_group", groups),
    )  # fmt: skip


def _priorities(maker: Maker) -> Iterator[Row]:
    for number in range(9):
        yield maker.row(
            "dl_u_priority", number, sys_class_name="dl_u_priority", order=str(number), active="true",
            impact=str(number // 3 + 1), urgency=str(number % 3 + 1), priority=str(number // 2 + 1),
        )  # fmt: skip


def _site(maker: Maker, number: int, groups: int) -> Row:
    return maker.row(
        "u_dl_site", number, sys_class_name="u_dl_site", order=str(number), active="true", u_site=f"Site {number}",
        u_group=maker.reference("sys_user_group", groups), u_backups=maker.references("sys_user_group", groups),
        u_on_call=f"CANARY-PII-on-call-{number}", u_watchers=f"CANARY-PII-watchers-{number}",
        u_contact_email=f"CANARY-PII-site-{number}@example.invalid", u_door_password=f"CANARY-SECRET-door-{number}",
        u_guard_script=_SCRIPT.format(f"guard-{number}"),
    )  # fmt: skip


def _work_assignment(maker: Maker, groups: int) -> dict[str, list[Row]]:
    channels, queues, rules = 3, max(2, groups // 5), 2
    return {
        "awa_service_channel": [
            maker.metadata_row(
                "awa_service_channel", number, name=f"Channel {number}", active="true", table=_TABLES[number],
            )
            for number in range(channels)
        ],
        "awa_assignment_rule": [
            maker.metadata_row(
                "awa_assignment_rule", number, name=f"Agent rule {number}", active="true", assign_by=assign_by
            )
            for number, assign_by in enumerate(("last_assigned", "most_capacity"))
        ],
        "awa_queue": [_queue(maker, number, channels) for number in range(queues)],
        "awa_eligibility_pool": [
            maker.metadata_row(
                "awa_eligibility_pool", number, eligible_at="1970-01-01 00:00:00",
                queue=maker.id_of("awa_queue", number % queues),
                groups=maker.references("sys_user_group", groups) or maker.reference("sys_user_group", groups),
                assignment_rule=maker.id_of("awa_assignment_rule", number % rules),
            )
            for number in range(queues + 1)
        ],
        "awa_group_queue_priority": [
            maker.row(
                "awa_group_queue_priority", number, order=str(100 * (number % 3 + 1)),
                queue=maker.id_of("awa_queue", number % queues), group=maker.reference("sys_user_group", groups),
            )
            for number in range(queues)
        ],
    }  # fmt: skip


def _queue(maker: Maker, number: int, channels: int) -> Row:
    return maker.metadata_row(
        "awa_queue", number, name=maker.name("Queue", number), number=f"AWAQ{number:07}", order=str(number * 100),
        active=maker.flag(0.9), condition=f"u_impact={number}^EQ", schedule=maker.reference("cmn_schedule", 4),
        service_channel=maker.id_of("awa_service_channel", number % channels),
        script=_SCRIPT.format(f"queue-{number}") if number % 4 == 1 else "",
    )  # fmt: skip
