"""A made service catalogue: catalogues, categories, items of four classes, and where items are filed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.making import Maker
    from ops.simulator.store import Row

_CATALOGS = 4
_ITEMS_IN_CATEGORY = 20
_SCRIPT = "gs.info('CANARY-SCRIPT-{}');"
_ITEM_SCRIPTS = ("delivery_plan_script", "entitlement_script", "preview", "meta")


def catalog_tables(maker: Maker, items: int, groups: int) -> dict[str, list[Row]]:
    """Make the catalogue's tables for so many items, over so many groups."""
    categories = max(4, items // _ITEMS_IN_CATEGORY)
    tables: dict[str, list[Row]] = {
        "sc_catalog": list(_catalogs(maker)),
        "sc_category": list(_categories(maker, categories)),
        "sc_cat_item": [],
        "sc_cat_item_producer": [],
        "sc_cat_item_guide": [],
        "sc_cat_item_content": [],
    }
    for number in range(items):
        row = _item(maker, number, categories, groups, items)
        tables[row["sys_class_name"]].append(row)
    return {**tables, **_filings(maker, items, categories)}


def _catalogs(maker: Maker) -> Iterator[Row]:
    for number in range(_CATALOGS):
        yield maker.metadata_row(
            "sc_catalog", number, title=f"Catalog {number}", active="true", description="Order here",
            manager=f"CANARY-PII-catalog-manager-{number}", editors=f"CANARY-PII-editor-{number}",
        )  # fmt: skip


def _categories(maker: Maker, categories: int) -> Iterator[Row]:
    for number in range(categories):
        yield maker.metadata_row(
            "sc_category", number, title=maker.name("Category", number), active=maker.flag(0.9),
            description="<p>Everything of this kind</p>", order=str(number * 10),
            parent=maker.reference("sc_category", number, filled=0.6),
            sc_catalog=maker.reference("sc_catalog", _CATALOGS),
            entitlement_script=_SCRIPT.format(f"category-{number}"),
        )  # fmt: skip


def _class_of(number: int) -> str:
    """Give an item's class: of twenty, thirteen are plain, four producers, two guides, one content."""
    place = number % 20
    plain, producers, guides = 13, 17, 19
    if place < plain:
        return "sc_cat_item"
    if place < producers:
        return "sc_cat_item_producer"
    return "sc_cat_item_guide" if place < guides else "sc_cat_item_content"


def _item(maker: Maker, number: int, categories: int, groups: int, items: int) -> Row:
    """Make an item; its sys_id does not depend on its class."""
    table = _class_of(number)
    fulfilment = number % 3
    row = maker.metadata_row(
        table, number, name=maker.name("Item", number), short_description=f"Request of kind {number}",
        description="<p>Ask&nbsp;for it</p>\n", active=maker.flag(0.9),
        category=maker.reference("sc_category", categories, filled=0.95),
        sc_catalogs=maker.references("sc_catalog", _CATALOGS),
        group=maker.reference("sys_user_group", groups, filled=0.7),
        workflow=maker.reference("wf_workflow", 30) if fulfilment == 0 else "",
        flow_designer_flow=maker.reference("sys_hub_flow", 60) if fulfilment == 1 else "",
        delivery_time="1970-01-03 00:00:00", owner=f"CANARY-PII-owner-{number}", type="item",
        order=str(number % 100), price=f"{number % 500}.00", state="published", version="1",
        published_ref=maker.reference("sc_cat_item", items, filled=0.02),
    )  # fmt: skip
    row["sys_id"] = maker.id_of("sc_cat_item", number)
    if number % 7 == 0:
        row.update((name, _SCRIPT.format(f"{name}-{number}")) for name in _ITEM_SCRIPTS)
    row.update(_own_columns(table, number))
    return row


def _own_columns(table: str, number: int) -> Row:
    """Give the columns that only the item's class has."""
    script = _SCRIPT.format(f"{table}-{number}")
    return {
        "sc_cat_item": {},
        "sc_cat_item_producer": {
            "table_name": ("incident", "sc_request", "u_ask")[number % 3],
            "script": script,
        },
        "sc_cat_item_guide": {"two_step": "true", "cascade": "false", "script": script, "validator": script},
        "sc_cat_item_content": {"content_type": "external", "url": "https://intranet.example.invalid/"},
    }[table]


def _filings(maker: Maker, items: int, categories: int) -> dict[str, list[Row]]:
    """File each item under one category and one catalogue, some under more."""
    filed = [number for number in range(items) for _ in range(1 + (number % 9 == 0))]
    return {
        "sc_cat_item_category": [
            maker.row(
                "sc_cat_item_category", place, sc_cat_item=maker.id_of("sc_cat_item", number),
                sc_category=maker.reference("sc_category", categories),
            )
            for place, number in enumerate(filed)
        ],
        "sc_cat_item_catalog": [
            maker.row(
                "sc_cat_item_catalog", number, sc_cat_item=maker.id_of("sc_cat_item", number),
                sc_catalog=maker.reference("sc_catalog", _CATALOGS),
            )
            for number in range(items)
        ],
    }  # fmt: skip
