"""Made HR services, and the catalogue's audiences, delivery plans and variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_SCRIPT = "gs.info('CANARY-SCRIPT-{}');"
_PRODUCER_AT, _EVERY_CLASS = 13, 20  # the place of the first record producer among twenty items
_ROLES, _SETS = 8, 3
_COE_TABLES = ("sn_hr_core_case_payroll", "sn_hr_core_case_benefits", "sn_hr_core_case_operations")


def service_tables(maker: Maker, items: int, groups: int) -> dict[str, list[Row]]:
    """Make what stands around so many items, over so many groups."""
    plans, categories = max(1, items // 20), max(4, items // 20)
    return {
        "sc_cat_item_delivery_plan": [_plan(maker, number) for number in range(plans)],
        "sc_cat_item_delivery_task": [_task(maker, number, plans, groups) for number in range(3 * plans)],
        "user_criteria": [_criteria(maker, number, groups) for number in range(max(2, items // 15))],
        **_audiences(maker, items, categories),
        **_variables(maker, items),
        **_hr(maker, items, groups),
    }


def _plan(maker: Maker, number: int) -> Row:
    return maker.metadata_row(
        "sc_cat_item_delivery_plan", number, name=f"Plan {number}", order=str(number * 100),
        parent_table="sc_req_item", task_table="sc_task",
        script=_SCRIPT.format(f"plan-{number}") if number % 4 == 1 else "",
    )  # fmt: skip


def _task(maker: Maker, number: int, plans: int, groups: int) -> Row:
    return maker.metadata_row(
        "sc_cat_item_delivery_task", number, name=maker.name("Step", number), order=str(number * 10),
        delivery_plan=maker.id_of("sc_cat_item_delivery_plan", number % plans),
        group=maker.reference("sys_user_group", groups, filled=0.8),
        assigned_to=f"CANARY-PII-task-assignee-{number}", instructions=f"CANARY-INSTRUCTIONS-{number}",
        condition_script=_SCRIPT.format(f"condition-{number}") if number % 5 == 2 else "",  # noqa: PLR2004
        generation_script=_SCRIPT.format(f"generation-{number}") if number % 7 == 3 else "",  # noqa: PLR2004
    )  # fmt: skip


def _criteria(maker: Maker, number: int, groups: int) -> Row:
    return maker.metadata_row(
        "user_criteria", number, name=maker.name("Audience", number), active=maker.flag(0.95),
        match_all=maker.flag(0.3), advanced="true" if number % 6 == 1 else "false",
        group=maker.references("sys_user_group", groups), role=maker.references("sys_user_role", _ROLES),
        location=maker.references("cmn_location", 5), user=f"CANARY-PII-criteria-user-{number}",
        script=_SCRIPT.format(f"criteria-{number}") if number % 6 == 1 else "",
    )  # fmt: skip


def _audiences(maker: Maker, items: int, categories: int) -> dict[str, list[Row]]:
    made: dict[str, list[Row]] = {}
    sizes = {"sc_cat_item": (items, items // 2), "sc_category": (categories, categories // 2)}
    for table, (known, rows) in sizes.items():
        for suffix, share in (("mtom", 1), ("no_mtom", 4)):
            name = f"{table}_user_criteria_{suffix}"
            made[name] = [
                maker.row(name, number, user_criteria=maker.reference("user_criteria", max(2, items // 15)),
                          **{table: maker.reference(table, known)})
                for number in range(max(1, rows // share))
            ]  # fmt: skip
    return made


def _variables(maker: Maker, items: int) -> dict[str, list[Row]]:
    variables = max(4, items)
    return {
        "item_option_new_set": [
            maker.metadata_row("item_option_new_set", number, title=f"Set {number}", internal_name=f"set_{number}")
            for number in range(_SETS)
        ],
        "item_option_new": [_variable(maker, number, items) for number in range(variables)],
        "io_set_item": [
            maker.row(
                "io_set_item", number, sc_cat_item=maker.id_of("sc_cat_item", number * 5), order="100",
                variable_set=maker.id_of("item_option_new_set", number % _SETS),
            )
            for number in range(max(1, items // 5))
        ],
        "question_choice": [
            maker.metadata_row(
                "question_choice", number, text=f"Answer {number}", value=f"a{number}", order=str(number),
                question=maker.reference("item_option_new", variables),
            )
            for number in range(variables)
        ],
    }  # fmt: skip


def _variable(maker: Maker, number: int, items: int) -> Row:
    in_set = number % 10 == 0
    return maker.metadata_row(
        "item_option_new", number, name=f"v{number}", question_text=f"Question {number}?", type="8",
        order=str(number % 7 * 100), mandatory=maker.flag(0.4), active="true",
        cat_item="" if in_set else maker.reference("sc_cat_item", items),
        variable_set=maker.id_of("item_option_new_set", number % _SETS) if in_set else "",
        reference="u_facility" if number % 3 == 0 else "",
        default_value=f"CANARY-DEFAULT-{number}", reference_qual=_SCRIPT.format(f"qualifier-{number}"),
        read_script=_SCRIPT.format(f"read-{number}"),
    )  # fmt: skip


def _hr(maker: Maker, items: int, groups: int) -> dict[str, list[Row]]:
    services, templates, details = max(3, items // 10), max(2, items // 20), max(2, items // 30)
    return {
        "sn_hr_core_topic_category": [
            maker.metadata_row("sn_hr_core_topic_category", number, name=f"Topic {number}", active="true", coe=coe)
            for number, coe in enumerate(_COE_TABLES)
        ],
        "sn_hr_core_topic_detail": [
            maker.metadata_row(
                "sn_hr_core_topic_detail", number, name=f"Detail {number}", active="true",
                topic_category=maker.id_of("sn_hr_core_topic_category", number % len(_COE_TABLES)),
            )
            for number in range(details)
        ],
        "sn_hr_core_template": [_hr_template(maker, number, groups) for number in range(templates)],
        "sn_hr_core_service": list(_hr_services(maker, services, templates, details)),
    }  # fmt: skip


def _hr_template(maker: Maker, number: int, groups: int) -> Row:
    return maker.metadata_row(
        "sn_hr_core_template", number, name=f"HR template {number}", table=_COE_TABLES[number % 3],
        assignment_type="group", priority=str(number % 4 + 1),
        assignment_group=maker.reference("sys_user_group", groups, filled=0.9),
        assigned_to=f"CANARY-PII-hr-assignee-{number}", skills=f"CANARY-PII-skills-{number}",
        template=f"short_description=CANARY-TEMPLATE-{number}^EQ",
    )  # fmt: skip


def _hr_services(maker: Maker, services: int, templates: int, details: int) -> Iterator[Row]:
    for number in range(services):
        yield maker.metadata_row(
            "sn_hr_core_service", number, name=maker.name("HR service", number), value=f"service_{number}",
            active=maker.flag(0.9), service_table=_COE_TABLES[number % 3], fulfillment_type="simple",
            topic_detail=maker.id_of("sn_hr_core_topic_detail", number % details),
            template=maker.id_of("sn_hr_core_template", number % templates),
            producer=maker.id_of("sc_cat_item", number * _EVERY_CLASS + _PRODUCER_AT) if number % 2 else "",
            hr_criteria=maker.references("sn_hr_core_criteria", 6),
            fulfillment_instructions=f"CANARY-INSTRUCTIONS-hr-{number}",
        )  # fmt: skip
