"""PySNC, ServiceNow's own client, reads every row of a table from the simulator as it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pysnc import ServiceNowClient
from pysnc.auth import ServiceNowClientCredentialsFlow
from pysnc.exceptions import AuthenticationException, RoleException

from ops.local.certificates import write_certificates
from ops.simulator import Simulator, made_store
from ops.simulator.access import Access

GROUPS, ITEMS = 57, 41
SECRET = "simulator-secret"


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificates(tmp_path_factory.mktemp("certificates")).ca_file


@pytest.fixture
def simulator(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Serve over TLS, since PySNC refuses plain http; its token request takes trust from the environment alone."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    files = (ca_file.with_name("server.pem"), ca_file.with_name("server.key"))
    with Simulator(made_store(groups=GROUPS, items=ITEMS), tls=files) as simulator:
        yield simulator


def connect(simulator: Simulator, *, secret: str = SECRET) -> ServiceNowClient:
    flow = ServiceNowClientCredentialsFlow("simulator-client", secret)
    return ServiceNowClient(simulator.url, flow, auto_retry=False)


@pytest.fixture
def client(simulator: Simulator) -> Iterator[ServiceNowClient]:
    client = connect(simulator)
    yield client
    client.session.close()


def read_all(client: ServiceNowClient, table: str, *, batch_rows: int) -> list[dict[str, str]]:
    """Read a table as PySNC's users do, and give the values of each record."""
    record = client.GlideRecord(table, batch_size=batch_rows)
    record.query()
    return [{name: element["value"] for name, element in found.serialize(display_value="both").items()}
            for found in record]  # fmt: skip


@pytest.mark.parametrize("batch_rows", [1, 10, GROUPS - 1, GROUPS, 1_000])
def test_every_row_comes_once_whatever_the_batch(
    simulator: Simulator, client: ServiceNowClient, batch_rows: int
) -> None:
    assert read_all(client, "sys_user_group", batch_rows=batch_rows) == simulator.store.rows("sys_user_group")
    pages = [request for request in simulator.requests if request["table"]]
    assert len(pages) >= GROUPS / batch_rows
    assert {request["status"] for request in simulator.requests} == {200}


@pytest.mark.parametrize("table", sorted(made_store(groups=1, items=1).tables))
def test_every_made_table_is_read_whole(simulator: Simulator, client: ServiceNowClient, table: str) -> None:
    rows = simulator.store.rows(table)
    assert read_all(client, table, batch_rows=max(2, len(rows) // 3)) == rows


def test_its_query_and_its_count_are_understood(simulator: Simulator, client: ServiceNowClient) -> None:
    record = client.GlideRecord("sys_user_group", batch_size=3)
    record.add_query("active", "true").add_or_condition("name", "STARTSWITH", "Network")
    record.add_not_null_query("cost_center")
    record.query()
    expected = [
        row["sys_id"] for row in simulator.store.rows("sys_user_group")
        if (row["active"] == "true" or row["name"].startswith("Network")) and row["cost_center"]
    ]  # fmt: skip
    assert 3 < record.get_row_count() == len(expected) < GROUPS
    assert [found.get_value("sys_id") for found in record] == expected


def test_one_record_is_got_with_its_display_value(simulator: Simulator, client: ServiceNowClient) -> None:
    names = {row["sys_id"]: row["name"] for row in simulator.store.rows("sys_user_group")}
    row = next(row for row in simulator.store.rows("sys_user_group") if row["parent"] in names)
    record = client.GlideRecord("sys_user_group")
    assert record.get(row["sys_id"])
    assert record.get_value("parent") == row["parent"]
    assert record.get_display_value("parent") == names[row["parent"]]


def test_a_wrong_secret_is_an_authentication_error_to_it(simulator: Simulator) -> None:
    with pytest.raises(AuthenticationException, match="access_denied"):
        connect(simulator, secret="other")


def test_a_denied_table_is_an_error_to_it_and_not_an_empty_one(
    simulator: Simulator, client: ServiceNowClient
) -> None:
    simulator.instance.access["sys_user_group"] = Access(denied=True)
    with pytest.raises(RoleException, match="No permission to read table 'sys_user_group'"):
        read_all(client, "sys_user_group", batch_rows=10)
