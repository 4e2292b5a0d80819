"""Lists and single rows: headers, paging, Link, compression, and every error body that a client meets."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import httpx
import pytest

from ops.simulator import Simulator, Store
from ops.simulator.client import open_client
from ops.simulator.table_api import page_links

TABLE = "/api/now/table/sys_user_group"
IDS = [f"{number:032x}" for number in range(1, 8)]
NO_RECORD = {
    "error": {
        "message": "No Record found",
        "detail": "Record doesn't exist or ACL restricts the record retrieval",
    },
    "status": "failure",
}
NO_RESOURCE = {
    "error": {"message": "Requested URI does not represent any resource", "detail": None},
    "status": "failure",
}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    store = Store()
    store.put("sys_user_group", [{"sys_id": sys_id, "name": f"Group {sys_id[-1]}"} for sys_id in IDS])
    with Simulator(store) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with open_client(simulator) as client:
        yield client


def read_page(client: httpx.Client, limit: int, offset: int, **more: str) -> httpx.Response:
    asked = {"sysparm_query": "ORDERBYsys_id", "sysparm_fields": "sys_id", **more}
    paging = {"sysparm_limit": str(limit), "sysparm_offset": str(offset)}
    return client.get(TABLE, params={**asked, **paging})


def read_ids(answer: httpx.Response) -> list[str]:
    return [row["sys_id"] for row in answer.json()["result"]]


def read_links(answer: httpx.Response) -> dict[str, str]:
    """Give relations and addresses in the order of the header."""
    found = re.findall(r'<([^>]+)>;rel="(\w+)"', answer.headers.get("Link", ""))
    return {relation: address for address, relation in found}


def test_pages_follow_each_other(client: httpx.Client) -> None:
    pages = [read_ids(read_page(client, 3, offset)) for offset in (0, 3, 6, 9)]
    assert pages == [IDS[:3], IDS[3:6], IDS[6:], []]


def test_a_list_says_the_total_and_a_single_row_does_not(client: httpx.Client) -> None:
    assert read_page(client, 3, 3).headers["X-Total-Count"] == "7"
    single = client.get(f"{TABLE}/{IDS[0]}", params={"sysparm_fields": "sys_id,name"})
    assert single.json() == {"result": {"sys_id": IDS[0], "name": "Group 1"}}
    assert "X-Total-Count" not in single.headers
    assert "Link" not in single.headers


def test_no_count_drops_the_total_and_suppressing_drops_the_links(client: httpx.Client) -> None:
    counted_not = read_page(client, 3, 0, sysparm_no_count="true")
    assert "X-Total-Count" not in counted_not.headers
    assert "Link" in counted_not.headers
    assert "Link" not in read_page(client, 3, 0, sysparm_suppress_pagination_header="true").headers


def test_every_header_of_an_instance_is_there(client: httpx.Client) -> None:
    headers = client.get(TABLE).headers
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["Transfer-Encoding"] == "chunked"
    assert re.fullmatch(r"[0-9a-f]{12}", headers["X-Transaction-ID"])
    assert headers["X-Is-Logged-In"] == "true"
    assert headers["Server"] == "ServiceNow"
    assert headers["Server-Timing"] == "sem_wait;dur=0, sesh_wait;dur=0"
    assert headers["Pragma"] == "no-store,no-cache"
    assert headers["Cache-Control"] == "no-cache,no-store,must-revalidate,max-age=-1"
    assert headers["Expires"] == "0"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"


def test_cookies_are_set_and_a_session_that_is_sent_back_is_kept(client: httpx.Client) -> None:
    first = [cookie.partition("=")[0] for cookie in client.get(TABLE).headers.get_list("Set-Cookie")]
    assert first == [
        "JSESSIONID", "glide_user", "glide_user_session", "glide_user_route", "glide_node_id_for_js",
        "glide_session_store", "BIGipServerpool_simulator",
    ]  # fmt: skip
    again = client.get(TABLE, headers={"Cookie": "JSESSIONID=ABC"}).headers.get_list("Set-Cookie")
    assert not any(cookie.startswith("JSESSIONID") for cookie in again)


def test_a_large_answer_is_compressed_for_who_takes_it(client: httpx.Client) -> None:
    plain = client.get(TABLE, headers={"Accept-Encoding": "identity"})
    with client.stream("GET", TABLE, headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content)


def test_links_keep_the_parameters_and_come_first_prev_next_last(client: httpx.Client) -> None:
    answer = read_page(client, 2, 2)
    links = read_links(answer)
    kept = f"{client.base_url}{TABLE}?sysparm_query=ORDERBYsys_id&sysparm_fields=sys_id"
    assert list(links) == ["first", "prev", "next", "last"]
    assert links["next"] == f"{kept}&sysparm_limit=2&sysparm_offset=4"
    assert links["last"] == f"{kept}&sysparm_limit=2&sysparm_offset=6"
    assert read_ids(client.get(links["next"])) == IDS[4:6]


@pytest.mark.parametrize(
    ("limit", "offset", "links"),
    [
        (7, 0, []),
        (10_000, 0, []),
        (3, 0, [("first", 0), ("next", 3), ("last", 6)]),
        (3, 6, [("first", 0), ("prev", 3), ("last", 6)]),
        (6, 2, [("first", 0), ("prev", 0), ("last", 6)]),
        (1, 0, [("first", 0), ("prev", -1), ("next", 1), ("last", 6)]),
    ],
)
def test_links_are_left_out_where_there_is_nothing(
    limit: int, offset: int, links: list[tuple[str, int]]
) -> None:
    assert page_links(offset=offset, limit=limit, total=7) == links


@pytest.mark.parametrize("total", range(1, 12))
@pytest.mark.parametrize("limit", range(1, 5))
def test_the_last_link_leads_to_the_last_rows(total: int, limit: int) -> None:
    last = dict(page_links(offset=0, limit=limit, total=total)).get("last", 0)
    assert last == ((total - 1) // limit * limit)
    assert last < total <= last + limit


def test_links_name_the_instances_own_host_whatever_was_asked() -> None:
    store = Store()
    store.put("sys_user_group", [{"sys_id": sys_id} for sys_id in IDS])
    simulator = Simulator(store, instance_url="https://acme.example.invalid")
    with simulator, open_client(simulator) as client:
        links = read_links(read_page(client, 2, 0))
    assert {httpx.URL(address).host for address in links.values()} == {"acme.example.invalid"}


@pytest.mark.parametrize("offset", ["-1", "x", "", "9" * 5_000])
def test_an_offset_that_is_none_is_the_beginning(client: httpx.Client, offset: str) -> None:
    asked = {"sysparm_query": "ORDERBYsys_id", "sysparm_limit": "2", "sysparm_offset": offset}
    assert read_ids(client.get(TABLE, params=asked)) == IDS[:2]


@pytest.mark.parametrize(("version", "status"), [("", 200), ("v2/", 200), ("v1/", 404)])
def test_no_rows_are_an_empty_list_but_404_in_version_1(
    client: httpx.Client, version: str, status: int
) -> None:
    path = f"/api/now/{version}table/sys_user_group"
    answer = client.get(path, params={"sysparm_query": "name=nobody"})
    assert answer.status_code == status
    assert answer.json() == ({"result": []} if status == 200 else NO_RECORD)
    assert len(client.get(path).json()["result"]) == 7


def test_a_row_that_is_not_there_is_no_record_found(client: httpx.Client) -> None:
    answer = client.get(f"{TABLE}/{'f' * 32}")
    assert (answer.status_code, answer.json()) == (404, NO_RECORD)


@pytest.mark.parametrize("api", ["table", "stats"])
def test_an_unknown_table_is_named(client: httpx.Client, api: str) -> None:
    answer = client.get(f"/api/now/{api}/foo")
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": "Invalid table foo", "detail": None}, "status": "failure"}


@pytest.mark.parametrize("path", ["/api/now/table", "/api/now/v3/table/sys_user_group", "/api/other"])
def test_a_path_that_leads_nowhere_is_no_resource(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (400, NO_RESOURCE)


def test_writing_is_denied_and_changes_nothing(simulator: Simulator, client: httpx.Client) -> None:
    before = simulator.store.rows("sys_user_group")
    denied = {"message": "Operation Failed", "detail": "ACL Exception due to insufficient rights"}
    answers = [
        client.post(TABLE, json={"name": "new"}),
        client.put(f"{TABLE}/{IDS[0]}", json={"name": "new"}),
        client.patch(f"{TABLE}/{IDS[0]}", json={"name": "new"}),
        client.delete(f"{TABLE}/{IDS[0]}"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert all(answer.json() == {"error": denied, "status": "failure"} for answer in answers)
    assert simulator.store.rows("sys_user_group") == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", TABLE), ("POST", f"{TABLE}/{IDS[0]}"), ("POST", "/api/now/stats/sys_user_group")],
)
def test_a_method_that_a_path_does_not_have_is_405(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (405, "failure")


def test_the_method_override_counts(client: httpx.Client) -> None:
    overridden = {"X-HTTP-Method-Override": "DELETE"}
    assert client.get(f"{TABLE}/{IDS[0]}", headers=overridden).status_code == 403


def test_a_head_has_the_headers_and_no_body(client: httpx.Client) -> None:
    answer = client.head(TABLE)
    assert (answer.status_code, answer.content, answer.headers["X-Total-Count"]) == (200, b"", "7")


def test_what_cannot_be_accepted_or_read_is_said(client: httpx.Client) -> None:
    assert client.get(TABLE, headers={"Accept": "text/csv"}).status_code == 406
    assert client.get(TABLE, headers={"Accept": "application/json;q=0.9"}).status_code == 200
    assert client.post(TABLE, content=b"a,b", headers={"Content-Type": "text/csv"}).status_code == 415


@pytest.mark.parametrize(("length_bytes", "status"), [(8_192, 200), (8_193, 414), (60_000, 414)])
def test_a_long_address_is_refused(client: httpx.Client, length_bytes: int, status: int) -> None:
    address = f"{client.base_url}{TABLE}?sysparm_limit=1&padding="
    answer = client.get(address + "a" * (length_bytes - len(address)))
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/json" if status == 200 else "text/html")


def test_the_log_says_what_was_asked_and_answered(simulator: Simulator, client: httpx.Client) -> None:
    client.get(TABLE, params={"sysparm_fields": "name"})
    client.get("/api/now/stats/foo")
    client.delete(TABLE, headers={"Authorization": ""})
    first, second, third = simulator.requests
    assert first == {
        "method": "GET", "path": TABLE, "table": "sys_user_group", "query": {"sysparm_fields": "name"},
        "status": 200, "authorized": True, "faults": [],
    }  # fmt: skip
    assert (second["table"], second["status"]) == ("foo", 400)
    assert (third["method"], third["status"], third["authorized"]) == ("DELETE", 401, False)
