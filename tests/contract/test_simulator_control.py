"""The control API: rows, access, token, limits, log; its own token; and nothing half done."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.client import open_client

A, B, ITEM = "a" * 32, "b" * 32, "c" * 32
ROWS = "/_simulator/rows/sys_user_group"
TABLE = "/api/now/table/sys_user_group"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    store = Store()
    store.put("sys_user_group", [{"sys_id": A, "name": "First", "sys_updated_on": "2020-01-01 00:00:00"}])
    store.put("sc_cat_item", [{"sys_id": ITEM, "name": "Laptop"}])
    with Simulator(store, control_token="control") as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with open_client(simulator) as client:
        yield client


def fetch_rows(client: httpx.Client, table: str = "sys_user_group") -> dict[str, dict[str, str]]:
    return {row["sys_id"]: row for row in client.get(f"/_simulator/rows/{table}").json()}


def count_rows(client: httpx.Client, query: str) -> int:
    answer = client.get(TABLE, params={"sysparm_query": query})
    return len(answer.json()["result"])


@pytest.mark.parametrize("token", ["", "contro", "controls", "CONTROL"])
def test_who_lacks_its_token_is_refused(client: httpx.Client, token: str) -> None:
    answer = client.put(ROWS, json=[{"sys_id": B}], headers={"X-Simulator-Token": token})
    assert answer.status_code == 403
    assert fetch_rows(client).keys() == {A}


def test_without_a_control_token_there_is_no_control_api() -> None:
    with Simulator(Store()) as simulator, open_client(simulator) as client:
        assert client.get(ROWS).status_code == 404
        assert client.get(ROWS, headers={"X-Simulator-Token": ""}).status_code == 404


def test_a_new_row_is_made_with_its_system_columns(client: httpx.Client) -> None:
    assert client.put(ROWS, json=[{"sys_id": B, "name": "Second"}]).json() == {"rows": 1}
    row = fetch_rows(client)[B]
    assert (row["name"], row["sys_mod_count"], row["description"]) == ("Second", "0", "")
    assert row["sys_created_on"] == row["sys_updated_on"] > "2020"


def test_a_change_moves_the_count_and_the_time_and_keeps_the_rest(client: httpx.Client) -> None:
    client.put(ROWS, json=[{"sys_id": A, "description": "changed"}])
    row = fetch_rows(client)[A]
    assert (row["name"], row["description"], row["sys_mod_count"]) == ("First", "changed", "1")
    assert row["sys_updated_on"] > "2020-01-01 00:00:00"
    assert count_rows(client, "description=changed") == 1


def test_a_change_may_say_its_own_time_and_so_move_none(client: httpx.Client) -> None:
    still = {"sys_updated_on": "2020-01-01 00:00:00", "sys_mod_count": "0"}
    client.put(ROWS, json=[{"sys_id": A, "name": "Silent", **still}])
    row = fetch_rows(client)[A]
    assert (row["name"], row["sys_updated_on"], row["sys_mod_count"]) == ("Silent", *still.values())


def test_an_emptied_value_is_empty(client: httpx.Client) -> None:
    client.put(ROWS, json=[{"sys_id": A, "name": ""}])
    assert fetch_rows(client)[A]["name"] == ""
    assert count_rows(client, "nameISEMPTY") == 1


def test_a_row_that_gets_another_class_moves_and_stays_one_row(client: httpx.Client) -> None:
    change = {"sys_id": ITEM, "sys_class_name": "sc_cat_item_producer", "table_name": "incident"}
    client.put("/_simulator/rows/sc_cat_item", json=[change])
    answer = client.get("/api/now/table/sc_cat_item", params={"sysparm_fields": "sys_id,name,sys_class_name"})
    assert answer.json()["result"] == [
        {"sys_id": ITEM, "name": "Laptop", "sys_class_name": "sc_cat_item_producer"}
    ]
    assert fetch_rows(client, "sc_cat_item_producer")[ITEM]["table_name"] == "incident"
    assert client.get(f"/api/now/table/sc_cat_item_producer/{ITEM}").status_code == 200


def test_a_childs_row_changed_by_its_parents_name_stays_where_it_is(client: httpx.Client) -> None:
    made = {"sys_id": B, "name": "Ask", "table_name": "incident"}
    client.put("/_simulator/rows/sc_cat_item_producer", json=[made])
    client.put(
        "/_simulator/rows/sc_cat_item", json=[{"sys_id": B, "name": "Ask again", "table_name": "problem"}]
    )
    row = fetch_rows(client, "sc_cat_item_producer")[B]
    assert (row["name"], row["table_name"], row["sys_class_name"]) == (
        "Ask again", "problem", "sc_cat_item_producer",
    )  # fmt: skip
    assert "table_name" not in fetch_rows(client, "sc_cat_item")[B]


def test_a_table_and_columns_that_nobody_knew_come_with_their_rows(client: httpx.Client) -> None:
    client.put("/_simulator/rows/u_matcher", json=[{"sys_id": A, "u_group": B}])
    answer = client.get("/api/now/table/u_matcher", params={"sysparm_query": f"u_group={B}"})
    assert answer.json()["result"][0]["u_group"] == B


def test_a_row_is_deleted_once(client: httpx.Client) -> None:
    answers = [client.delete(f"{ROWS}/{A}") for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"deleted": True}),
        (404, {"deleted": False}),
    ]
    assert count_rows(client, "") == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rows/sys_user_group", [{"sys_id": B}, {"name": "no sys_id"}]),
        ("rows/sys_user_group", [{"sys_id": B}, {"sys_id": ""}]),
        ("rows/sys_user_group", [{"sys_id": B, "sys_mod_count": "many"}]),
        ("rows/sys_user_group", [{"sys_id": B, "active": True}]),
        ("rows/sys_user_group", {"sys_id": B}),
        ("rows/No-Table", [{"sys_id": B}]),
        ("access/sys_user_group", {"hiden": ["*"]}),
        ("access/sys_user_group", {"hidden": "*"}),
        ("access/sys_user_group", {"denied": 1}),
        ("oauth", {"token_seconds": "soon"}),
        ("oauth", {"revoked": True}),
        ("latency", {"ms": -1}),
        ("latency", {}),
        ("limits", {"at_once": -1}),
        ("limits", {"concurrent": 4}),
        ("properties", {"returns_no_rows": "yes"}),
    ],
)
def test_a_body_that_does_not_fit_is_said_and_changes_nothing(
    simulator: Simulator, client: httpx.Client, path: str, body: object
) -> None:
    answer = client.put(f"/_simulator/{path}", json=body)
    assert answer.status_code == 400
    assert f"/_simulator/{path}" in answer.json()["error"]
    assert simulator.instance.access == {}
    assert list(fetch_rows(client)) == [A]
    assert simulator.store.table("No-Table") is None


def test_what_is_no_json_is_said(client: httpx.Client) -> None:
    assert client.put(ROWS, content=b"[{").status_code == 400


def test_access_is_changed_switch_by_switch(client: httpx.Client) -> None:
    access = "/_simulator/access/sys_user_group"
    assert client.put(access, json={"hidden": ["*"]}).status_code == 200
    assert client.put(access, json={"fields_hidden": ["name"]}).status_code == 200
    assert count_rows(client, "") == 0
    client.put(access, json={"hidden": []})
    assert "name" not in client.get(f"{TABLE}/{A}").json()["result"]
    client.put(access, json={"denied": True})
    assert client.get(TABLE).status_code == 403


def test_the_client_can_be_revoked_and_its_secret_changed(client: httpx.Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": "simulator-client", "client_secret": "new"}
    assert client.put("/_simulator/oauth", json={"revoke": True, "client_secret": "new"}).status_code == 200
    assert client.get(TABLE).status_code == 401
    client.put("/_simulator/oauth", json={"token_seconds": 60})
    assert client.post("/oauth_token.do", data=form).json()["expires_in"] == 59
    client.put("/_simulator/oauth", json={"has_application_user": False})
    assert client.post("/oauth_token.do", data=form).json()["error"] == "unauthorized_client"


def test_invalid_queries_may_be_made_to_return_no_rows(client: httpx.Client) -> None:
    assert count_rows(client, "nonsense=1") == 1
    client.put("/_simulator/properties", json={"returns_no_rows": True})
    assert count_rows(client, "nonsense=1") == 0


def test_times_in_queries_may_be_read_in_the_users_zone(simulator: Simulator, client: httpx.Client) -> None:
    [stored] = {row["sys_updated_on"] for row in simulator.store.rows("sys_user_group")}
    exactly = f"sys_updated_on>={stored}^sys_updated_on<={stored}"
    assert count_rows(client, exactly) == 1
    client.put("/_simulator/properties", json={"zone_offset_seconds": -25_200})
    assert count_rows(client, exactly) == 0
    assert count_rows(client, f"sys_updated_onBETWEEN2000-01-01 00:00:00@{stored}") == 1
    assert count_rows(client, "sys_updated_on>=never") == 0
    client.put("/_simulator/properties", json={"zone_offset_seconds": 0})
    assert count_rows(client, exactly) == 1


def test_limits_and_latency_are_set_and_lifted(simulator: Simulator, client: httpx.Client) -> None:
    client.put("/_simulator/limits", json={"requests_an_hour": 0})
    assert client.get(TABLE).json()["error"]["message"] == "Rate limit exceeded"
    client.put("/_simulator/limits", json={"at_once": 0})
    assert (client.get(TABLE).status_code, client.get(TABLE).content) == (429, b"")
    client.put("/_simulator/limits", json={})
    assert client.get(TABLE).status_code == 200
    client.put("/_simulator/latency", json={"ms": 0.5})
    assert simulator.instance.latency_seconds == 0.0005
    assert client.get(TABLE).status_code == 200


def test_the_log_is_shown_without_the_control_apis_own_requests_and_emptied(client: httpx.Client) -> None:
    client.get(TABLE)
    client.get(ROWS)
    logged = client.get("/_simulator/requests").json()
    assert [(request["path"], request["status"]) for request in logged] == [(TABLE, 200)]
    client.delete("/_simulator/requests")
    assert client.get("/_simulator/requests").json() == []
