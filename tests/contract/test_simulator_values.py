"""How a stored value is written: strings always, the shapes of references, zones, hierarchy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.client import open_client

HOST = "https://acme.example.invalid"
PARENT, CHILD, ITEM, PRODUCER, GONE = (character * 32 for character in "abcde")
GROUP_LINK = f"{HOST}/api/now/table/sys_user_group/{PARENT}"


def build_store() -> Store:
    store = Store()
    store.put(
        "sys_user_group_type", [{"sys_id": "1" * 32, "name": "itil"}, {"sys_id": "2" * 32, "name": "hr"}]
    )
    store.put(
        "sys_user_group",
        [
            {"sys_id": PARENT, "name": "Hardware", "active": "true", "hourly_rate": "1.50"},
            {
                "sys_id": CHILD, "name": '  Odd\n"name" — 🚀 ', "parent": PARENT, "cost_center": GONE,
                "type": f"{'1' * 32},{'2' * 32}", "sys_updated_on": "2024-03-10 03:30:00", "sys_mod_count": "3",
            },
        ],
    )  # fmt: skip
    store.put("sc_cat_item", [{"sys_id": ITEM, "name": "Laptop", "delivery_time": "1970-01-03 00:00:00"}])
    store.put(
        "sc_cat_item_producer",
        [{"sys_id": PRODUCER, "name": "Ask", "table_name": "incident", "sys_domain": "global"}],
    )
    store.put("sys_db_object", [{"sys_id": "3" * 32, "name": "sys_user_group", "label": "Group"}])
    store.put(
        "sys_dictionary",
        [{"sys_id": "4" * 32, "name": "sys_user_group", "element": "parent", "internal_type": "reference",
          "reference": "sys_user_group", "column_label": "Parent"}],
    )  # fmt: skip
    return store


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with Simulator(build_store(), instance_url=HOST) as simulator, open_client(simulator) as client:
        yield client


def read_row(client: httpx.Client, table: str, sys_id: str, **parameters: str) -> dict[str, Any]:
    asked = {f"sysparm_{name}": value for name, value in parameters.items()}
    listed = client.get(f"/api/now/table/{table}", params={"sysparm_query": f"sys_id={sys_id}", **asked})
    single = client.get(f"/api/now/table/{table}/{sys_id}", params=asked)
    (row,) = listed.json()["result"]
    assert single.json()["result"] == row, "a list and a single row say the same"
    found: dict[str, Any] = row
    return found


def test_every_scalar_is_a_string_and_what_is_empty_is_an_empty_one(client: httpx.Client) -> None:
    row = read_row(client, "sys_user_group", PARENT)
    assert all(isinstance(value, str) for value in row.values())
    assert (row["active"], row["hourly_rate"], row["sys_mod_count"]) == ("true", "1.50", "0")
    assert (row["description"], row["parent"], row["type"], row["sys_tags"]) == ("", "", "", "")


def test_text_comes_as_it_is(client: httpx.Client) -> None:
    assert read_row(client, "sys_user_group", CHILD)["name"] == '  Odd\n"name" — 🚀 '


@pytest.mark.parametrize(
    ("display", "without_links", "reference"),
    [
        ("false", "false", {"link": GROUP_LINK, "value": PARENT}),
        ("false", "true", PARENT),
        ("true", "false", {"display_value": "Hardware", "link": GROUP_LINK}),
        ("true", "true", "Hardware"),
        ("all", "false", {"display_value": "Hardware", "value": PARENT, "link": GROUP_LINK}),
        ("all", "true", {"display_value": "Hardware", "value": PARENT}),
    ],
)
def test_a_reference_has_the_shape_that_was_asked_for(
    client: httpx.Client, display: str, without_links: str, reference: object
) -> None:
    asked = {"display_value": display, "exclude_reference_link": without_links}
    row = read_row(client, "sys_user_group", CHILD, **asked)
    assert row["parent"] == reference
    empty = {"display_value": "", "value": ""} if display == "all" else ""
    assert read_row(client, "sys_user_group", PARENT, **asked)["parent"] == empty


def test_with_all_even_a_plain_field_has_both(client: httpx.Client) -> None:
    row = read_row(client, "sys_user_group", PARENT, display_value="all", fields="name,description")
    assert row == {
        "name": {"display_value": "Hardware", "value": "Hardware"},
        "description": {"display_value": "", "value": ""},
    }


def test_a_dangling_reference_keeps_its_value_and_has_no_name(client: httpx.Client) -> None:
    row = read_row(client, "sys_user_group", CHILD, display_value="all", fields="cost_center")
    assert row["cost_center"] == {
        "display_value": "",
        "value": GONE,
        "link": f"{HOST}/api/now/table/cmn_cost_center/{GONE}",
    }


def test_a_list_is_joined_by_commas_and_has_no_link(client: httpx.Client) -> None:
    assert read_row(client, "sys_user_group", CHILD)["type"] == f"{'1' * 32},{'2' * 32}"
    assert read_row(client, "sys_user_group", CHILD, display_value="true")["type"] == "itil, hr"


def test_a_reference_may_be_keyed_by_name(client: httpx.Client) -> None:
    row = read_row(client, "sys_dictionary", "4" * 32)
    base = f"{HOST}/api/now/table"
    assert row["reference"] == {
        "link": f"{base}/sys_db_object?name=sys_user_group",
        "value": "sys_user_group",
    }
    assert row["internal_type"] == {"link": f"{base}/sys_glide_object?name=reference", "value": "reference"}
    assert read_row(client, "sys_dictionary", "4" * 32, display_value="true", fields="reference")[
        "reference"
    ] == {
        "display_value": "Group",
        "link": f"{base}/sys_db_object?name=sys_user_group",
    }


def test_the_domain_is_called_global_and_links_like_a_group(client: httpx.Client) -> None:
    row = read_row(client, "sc_cat_item_producer", PRODUCER)
    assert row["sys_domain"] == {"link": f"{HOST}/api/now/table/sys_user_group/global", "value": "global"}


def test_times_are_utc_and_their_display_is_in_the_users_zone(client: httpx.Client) -> None:
    row = read_row(client, "sys_user_group", CHILD, display_value="all", fields="sys_updated_on")
    assert row["sys_updated_on"] == {"display_value": "2024-03-09 20:30:00", "value": "2024-03-10 03:30:00"}


def test_a_duration_is_an_offset_from_the_epoch(client: httpx.Client) -> None:
    assert read_row(client, "sc_cat_item", ITEM, fields="delivery_time") == {
        "delivery_time": "1970-01-03 00:00:00"
    }


def test_a_parent_gives_its_childrens_rows_without_the_childrens_columns(client: httpx.Client) -> None:
    as_parent = read_row(client, "sc_cat_item", PRODUCER)
    assert (as_parent["name"], as_parent["sys_class_name"]) == ("Ask", "sc_cat_item_producer")
    assert "table_name" not in as_parent
    as_child = read_row(client, "sc_cat_item_producer", PRODUCER)
    assert as_child["table_name"] == "incident"
    assert as_child.keys() > as_parent.keys()
    everything = client.get("/api/now/table/sc_cat_item").json()["result"]
    assert {row["sys_id"] for row in everything} == {ITEM, PRODUCER}
    only = client.get("/api/now/table/sc_cat_item_producer").json()["result"]
    assert [row["sys_id"] for row in only] == [PRODUCER]


def test_a_class_is_displayed_by_its_label(client: httpx.Client) -> None:
    row = read_row(client, "sc_cat_item", PRODUCER, display_value="true", fields="sys_class_name")
    assert row["sys_class_name"] == "Record Producer"


def test_fields_come_as_asked_and_unknown_ones_are_left_out(client: httpx.Client) -> None:
    row = read_row(
        client, "sys_user_group", CHILD, fields="sys_id, nonsense,parent.name,parent.nonsense,name.x"
    )
    assert row == {"sys_id": CHILD, "parent.name": "Hardware"}


def test_a_walk_through_an_empty_or_a_dangling_reference_is_empty(client: httpx.Client) -> None:
    assert read_row(client, "sys_user_group", PARENT, fields="parent.name") == {"parent.name": ""}
    assert read_row(client, "sys_user_group", CHILD, fields="parent.parent.name") == {
        "parent.parent.name": ""
    }
