"""What ACLs do to answers: less with 200, counts that do not see it, and 403 where the instance says so."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.access import Access
from ops.simulator.client import open_client

IDS = [f"{number:032x}" for number in range(1, 10)]
GROUPS, USERS = "sys_user_group", "sys_user"
BY_KEY = "ORDERBYsys_id"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    store = Store()
    store.put(USERS, [{"sys_id": "e" * 32, "name": "Somebody", "email": "somebody@example.invalid"}])
    store.put(
        GROUPS,
        [
            {"sys_id": sys_id, "name": f"Group {sys_id[-1]}", "active": str(number % 3 > 0).lower(),
             "manager": "e" * 32, "points": str(number)}
            for number, sys_id in enumerate(IDS)
        ],
    )  # fmt: skip
    store.put("sys_dictionary", [{"sys_id": "1" * 32, "name": GROUPS}])
    store.declare("sys_db_object")
    with Simulator(store) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with open_client(simulator) as client:
        yield client


def fetch(client: httpx.Client, query: str = BY_KEY, *, table: str = GROUPS, **more: str) -> httpx.Response:
    asked = {f"sysparm_{name}": value for name, value in more.items()}
    return client.get(f"/api/now/table/{table}", params={"sysparm_query": query, **asked})


def fetch_ids(client: httpx.Client, query: str = BY_KEY, **more: str) -> list[str]:
    return [row["sys_id"] for row in fetch(client, query, **more).json()["result"]]


def fetch_count(client: httpx.Client, query: str = "") -> str:
    asked = {"sysparm_count": "true", "sysparm_query": query}
    answer = client.get(f"/api/now/stats/{GROUPS}", params=asked).raise_for_status()
    count: str = answer.json()["result"]["stats"]["count"]
    return count


def test_the_limit_comes_before_row_acls_so_pages_in_the_middle_are_short_or_empty(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.access[GROUPS] = Access(hidden=frozenset([*IDS[3:6], IDS[7]]))
    pages = [fetch_ids(client, limit="3", offset=offset) for offset in ("0", "3", "6", "9")]
    assert pages == [IDS[:3], [], [IDS[6], IDS[8]], []]


def test_counts_do_not_see_row_acls(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[GROUPS] = Access(hidden=frozenset("*"))
    answer = fetch(client)
    assert (answer.json()["result"], answer.headers["X-Total-Count"]) == ([], "9")
    assert fetch_count(client) == "9"


def test_an_empty_page_of_hidden_rows_is_404_in_version_1(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[GROUPS] = Access(hidden=frozenset("*"))
    assert client.get(f"/api/now/v1/table/{GROUPS}").status_code == 404


def test_a_hidden_row_cannot_be_told_from_one_that_is_gone(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.access[GROUPS] = Access(hidden=frozenset([IDS[0]]))
    hidden, gone = (client.get(f"/api/now/table/{GROUPS}/{sys_id}") for sys_id in (IDS[0], "f" * 32))
    assert (hidden.status_code, hidden.json()) == (gone.status_code, gone.json())
    assert client.get(f"/api/now/table/{GROUPS}/{IDS[1]}").status_code == 200


def test_a_data_filter_lowers_every_count(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[GROUPS] = Access(data_filter="active=false^NQname=Group 2")
    assert fetch_ids(client) == [IDS[0], IDS[1], IDS[3], IDS[6]]
    assert fetch(client, limit="1").headers["X-Total-Count"] == "4"
    assert fetch_count(client) == "4"
    assert fetch_count(client, f"sys_id>{IDS[2]}") == "2"


def test_a_data_filter_holds_for_a_single_row_too(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[GROUPS] = Access(data_filter="active=false")
    statuses = [client.get(f"/api/now/table/{GROUPS}/{sys_id}").status_code for sys_id in IDS[:4]]
    assert statuses == [200, 404, 404, 200]


@pytest.mark.parametrize("query", [f"sys_id>{IDS[4]}", "points>=5", "nameLIKE9", "nameSTARTSWITHx"])
def test_a_range_that_may_not_be_asked_is_stripped_and_the_whole_table_comes(
    simulator: Simulator, client: httpx.Client, query: str
) -> None:
    assert fetch(client, query).headers["X-Total-Count"] != "9"
    simulator.instance.access[GROUPS] = Access(strip_range=True)
    answer = fetch(client, query)
    assert (answer.status_code, answer.headers["X-Total-Count"]) == (200, "9")


def test_a_match_outlives_the_stripping_of_ranges(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[GROUPS] = Access(strip_range=True)
    assert sorted(fetch_ids(client, f"points>7^sys_idIN{IDS[1]},{IDS[2]}")) == IDS[1:3]
    assert len(fetch_ids(client, "points>7^parentISEMPTY")) == 9


def test_a_stripped_keyset_gives_the_same_page_for_ever_and_out_of_order(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.access[GROUPS] = Access(strip_range=True)
    first = fetch_ids(client, limit="4")
    assert fetch_ids(client, f"sys_id>{first[-1]}^{BY_KEY}", limit="4") == first
    assert fetch_ids(client) != IDS


def test_a_hidden_field_is_missing_and_a_row_of_hidden_fields_is_empty(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.access[GROUPS] = Access(fields_hidden=frozenset(["name", "points"]))
    rows = fetch(client, fields="sys_id,name").json()["result"]
    assert rows == [{"sys_id": sys_id} for sys_id in IDS]
    assert fetch(client, fields="name,points").json()["result"] == [{}] * 9
    assert (
        client.get(f"/api/now/table/{GROUPS}/{IDS[0]}").json()["result"].keys().isdisjoint({"name", "points"})
    )


def test_a_hidden_field_is_dropped_from_the_query_and_the_order(
    simulator: Simulator, client: httpx.Client
) -> None:
    simulator.instance.access[GROUPS] = Access(fields_hidden=frozenset(["name"]))
    assert fetch_ids(client, f"name=Group 1^{BY_KEY}") == IDS
    assert fetch_ids(client, f"ORDERBYDESCname^{BY_KEY}") == IDS


def test_a_walk_does_not_lead_around_a_field_acl(simulator: Simulator, client: httpx.Client) -> None:
    fields = "manager.email,manager.name"
    assert fetch(client, fields=fields, limit="1").json()["result"] == [
        {"manager.email": "somebody@example.invalid", "manager.name": "Somebody"}
    ]
    simulator.instance.access[USERS] = Access(fields_hidden=frozenset(["email"]))
    assert fetch(client, fields=fields, limit="1").json()["result"] == [{"manager.name": "Somebody"}]
    assert len(fetch_ids(client, "manager.emailSTARTSWITHnobody")) == 9
    simulator.instance.access[GROUPS] = Access(fields_hidden=frozenset(["manager"]))
    assert fetch(client, fields=fields, limit="1").json()["result"] == [{}]


def test_a_walk_does_not_lead_into_a_denied_table(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[USERS] = Access(denied=True)
    assert fetch(client, fields="manager.name", limit="1").json()["result"] == [{}]


@pytest.mark.parametrize("query", ["name=x", "nonsense=x", "ORDERBYname", "active=true^ORname=x"])
def test_a_table_may_refuse_a_query_by_a_hidden_field(
    simulator: Simulator, client: httpx.Client, query: str
) -> None:
    simulator.instance.access[GROUPS] = Access(fields_hidden=frozenset(["name"]), refuses_fields=True)
    answer = fetch(client, query)
    assert answer.status_code == 403
    assert answer.json() == {
        "error": {
            "message": "Insufficient rights to query records",
            "detail": "Field(s) present in the query do not have permission to be read",
        },
        "status": "failure",
    }
    assert fetch(client, f"active=true^{BY_KEY}").status_code == 200


@pytest.mark.parametrize("api", ["table", "stats"])
def test_a_denied_table_is_403_and_an_absent_one_as_if_it_never_was(
    simulator: Simulator, client: httpx.Client, api: str
) -> None:
    """sys_db_object is denied so to anybody below itil."""
    path = f"/api/now/{api}/sys_db_object"
    simulator.instance.access["sys_db_object"] = Access(denied=True)
    answer = client.get(path)
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "message": "Insufficient rights to query records",
        "detail": "No permission to read table 'sys_db_object'",
    }
    simulator.instance.access["sys_db_object"] = Access(absent=True)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Invalid table sys_db_object")


def test_the_dictionary_is_empty_to_who_may_not_read_it(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access["sys_dictionary"] = Access(hidden=frozenset("*"))
    answer = fetch(client, table="sys_dictionary")
    assert (answer.status_code, answer.json()) == (200, {"result": []})


def test_access_of_one_table_is_not_that_of_another(simulator: Simulator, client: httpx.Client) -> None:
    simulator.instance.access[USERS] = Access(denied=True, hidden=frozenset("*"))
    assert fetch_ids(client) == IDS


def test_a_list_of_the_control_api_is_a_set() -> None:
    changed = Access().changed({"hidden": ["a"], "denied": True})
    assert changed == Access(hidden=frozenset("a"), denied=True)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("hiden", [], "no switch of access: hiden"),
        ("hidden", "a", "Expected `array`"),
        ("denied", "yes", "Expected `bool`"),
        ("data_filter", None, "Expected `str`"),
    ],
)
def test_a_switch_that_cannot_be_is_refused(name: str, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Access().changed({name: value})
