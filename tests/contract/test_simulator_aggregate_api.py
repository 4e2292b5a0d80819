"""The Aggregate API: counts and figures as strings, in groups or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.client import open_client

PARENT = "f" * 32
ROWS = [
    {"sys_id": PARENT, "name": "Top", "points": "10", "active": "true", "sys_mod_count": "4",
     "sys_updated_on": "2024-01-01 00:00:00"},
    {"sys_id": "1" * 32, "name": "One", "points": "9", "active": "true", "parent": PARENT, "sys_mod_count": "1",
     "sys_updated_on": "2024-03-01 00:00:00", "hourly_rate": "1.50"},
    {"sys_id": "2" * 32, "name": "Two", "points": "2", "active": "false", "parent": PARENT, "sys_mod_count": "0",
     "sys_updated_on": "2024-02-01 00:00:00", "hourly_rate": "2.25"},
    {"sys_id": "3" * 32, "name": "nan", "points": "inf", "active": "false", "sys_mod_count": "7",
     "sys_updated_on": "2023-12-31 00:00:00"},
]  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    store = Store()
    store.put("sys_user_group", ROWS)
    with Simulator(store) as simulator, open_client(simulator) as client:
        yield client


def fetch(client: httpx.Client, **parameters: str) -> Any:
    asked = {f"sysparm_{name}": value for name, value in parameters.items()}
    answer = client.get("/api/now/stats/sys_user_group", params=asked)
    assert answer.status_code == 200
    assert "X-Total-Count" not in answer.headers
    return answer.json()["result"]


def test_count_latest_change_and_sum_of_changes_come_in_one_call(client: httpx.Client) -> None:
    assert fetch(client, count="true", max_fields="sys_updated_on", sum_fields="sys_mod_count") == {
        "stats": {
            "count": "4",
            "max": {"sys_updated_on": "2024-03-01 00:00:00"},
            "sum": {"sys_mod_count": "12"},
        }
    }


def test_only_what_was_asked_is_said(client: httpx.Client) -> None:
    assert fetch(client, count="true", query="points>5^active=true") == {"stats": {"count": "2"}}
    assert fetch(client, min_fields="sys_updated_on") == {
        "stats": {"min": {"sys_updated_on": "2023-12-31 00:00:00"}}
    }


def test_numbers_compare_as_numbers_and_averages_have_four_places(client: httpx.Client) -> None:
    found = fetch(client, query="active=true", min_fields="points", max_fields="points", avg_fields="points")
    assert found == {"stats": {"min": {"points": "9"}, "max": {"points": "10"}, "avg": {"points": "9.5000"}}}
    assert fetch(client, sum_fields="hourly_rate") == {"stats": {"sum": {"hourly_rate": "3.7500"}}}


def test_of_nothing_there_is_a_count_and_no_figure(client: httpx.Client) -> None:
    found = fetch(client, query="name=nobody", count="true", max_fields="points", sum_fields="points")
    assert found == {"stats": {"count": "0", "max": {"points": ""}, "sum": {"points": ""}}}


def test_text_that_reads_like_a_number_without_end_is_none(client: httpx.Client) -> None:
    assert fetch(client, sum_fields="name,points") == {"stats": {"sum": {"name": "0", "points": "21"}}}


def test_groups_come_with_the_value_they_are_of(client: httpx.Client) -> None:
    assert fetch(client, count="true", group_by="parent") == [
        {"stats": {"count": "2"}, "groupby_fields": [{"field": "parent", "value": ""}]},
        {"stats": {"count": "2"}, "groupby_fields": [{"field": "parent", "value": PARENT}]},
    ]


def test_groups_may_show_what_a_person_sees(client: httpx.Client) -> None:
    shown = fetch(
        client, count="true", query="parentISNOTEMPTY", group_by="parent,active", display_value="all"
    )
    assert [group["groupby_fields"] for group in shown] == [
        [
            {"field": "parent", "value": PARENT, "display_value": "Top"},
            {"field": "active", "value": active, "display_value": active},
        ]
        for active in ("false", "true")
    ]
    (group,) = fetch(client, query="parentISNOTEMPTY", group_by="parent", display_value="true")
    assert group["groupby_fields"] == [{"field": "parent", "value": "Top"}]


@pytest.mark.parametrize(
    ("having", "order", "values"),
    [
        ("", "COUNT^DESC", ["false", "true"]),
        ("", "SUM^sys_mod_count", ["true", "false"]),
        ("", "SUM^sys_mod_count^DESC", ["false", "true"]),
        ("", "active^DESC", ["true", "false"]),
        ("sum^sys_mod_count^>^5", "", ["false"]),
        ("sum^sys_mod_count^<=^5,count^^=^2", "", ["true"]),
        ("count^^>^2", "", []),
        ("nonsense", "", ["false", "true"]),
    ],
)
def test_groups_are_kept_and_sorted_by_their_figures(
    client: httpx.Client, having: str, order: str, values: list[str]
) -> None:
    found = fetch(
        client, count="true", sum_fields="sys_mod_count", group_by="active", having=having, order_by=order
    )
    assert [group["groupby_fields"][0]["value"] for group in found] == values


def test_an_unknown_field_is_left_out(client: httpx.Client) -> None:
    assert fetch(client, count="true", max_fields="nonsense", group_by="nonsense") == {
        "stats": {"count": "4"}
    }
