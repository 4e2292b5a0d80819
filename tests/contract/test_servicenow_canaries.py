"""A run's canaries against the simulator: each way in which an instance is not honest, told, in four requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from jobs.canary import MOST_REQUESTS, Honesty
from jobs.errors import OutsideSurface
from jobs.events import Event
from jobs.surface import read_surface
from ops.local.certificates import Certificates, write_certificates
from ops.simulator import Simulator, made_store
from ops.simulator.access import Access
from tests.contract.scripted_instance import open_reader
from worker.sync.canaries import send_canaries

CATALOGS, GROUPS = "sc_catalog", "sys_user_group"
HONEST = Honesty(CATALOGS, "drops_term", "holds", "utc")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def simulator(certificates: Certificates) -> Iterator[Simulator]:
    with Simulator(made_store(groups=30, items=5), tls=(certificates.cert_file, certificates.key_file)) as s:
        yield s


def send(simulator: Simulator, certificates: Certificates) -> Honesty:
    """Send the canaries; every request is told of, none is more than they may take or touches what is forbidden."""
    told: list[Event] = []

    async def main() -> Honesty:
        async with open_reader(simulator.url, certificates) as client:
            return await send_canaries(client, read_surface(), emit=told.append)

    honesty = asyncio.run(main())
    asked = [request for request in simulator.requests if request["table"]]
    assert 0 < len(asked) <= MOST_REQUESTS
    assert len([event for event in told if event.kind.name.startswith("request.")]) == len(asked)
    assert {request["method"] for request in asked} == {"GET"}
    assert simulator.instance.touches == {}
    return honesty


def test_an_instance_as_it_comes_takes_three_requests(
    simulator: Simulator, certificates: Certificates
) -> None:
    assert send(simulator, certificates) == HONEST
    assert len([request for request in simulator.requests if request["table"]]) == 3


def test_the_property_that_makes_invalid_queries_return_nothing_is_seen(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.returns_no_rows = True
    assert send(simulator, certificates) == Honesty(CATALOGS, "returns_no_rows", "holds", "utc")


def test_a_query_that_is_refused_for_its_field_is_told(
    simulator: Simulator, certificates: Certificates
) -> None:
    simulator.instance.access[CATALOGS] = Access(refuses_fields=True)
    assert send(simulator, certificates) == Honesty(CATALOGS, "refused", "holds", "utc")


def test_a_query_acl_that_drops_comparisons_is_seen(simulator: Simulator, certificates: Certificates) -> None:
    for row in simulator.store.rows(CATALOGS)[:1]:
        changed = {"sys_id": row["sys_id"], "sys_updated_on": "2020-02-02 02:02:02"}
        simulator.store.put(CATALOGS, [changed])
    simulator.instance.access[CATALOGS] = Access(strip_range=True)
    honesty = send(simulator, certificates)
    assert (honesty.range, honesty.times) == ("dropped", "dropped")


@pytest.mark.parametrize("hours", [-7, 1, 5.5, 13])
def test_a_user_in_another_zone_is_found_by_a_time_that_is_known(
    simulator: Simulator, certificates: Certificates, hours: float
) -> None:
    """R14: literals read in the user's zone are found out before any read rests on them."""
    simulator.instance.zone_offset_seconds = hours * 3_600
    honesty = send(simulator, certificates)
    assert (honesty.times, honesty.range) == ("shifted", "holds")
    assert not honesty.trusts_times


@pytest.mark.parametrize("access", [Access(denied=True), Access(absent=True), Access(hidden=frozenset("*"))])
def test_where_a_table_gives_no_row_the_next_one_is_asked(
    simulator: Simulator, certificates: Certificates, access: Access
) -> None:
    simulator.instance.access[CATALOGS] = access
    simulator.instance.zone_offset_seconds = 3_600
    honesty = send(simulator, certificates)
    assert honesty.table == GROUPS
    assert honesty.times == "shifted"


def test_where_no_table_can_be_read_nothing_is_known(
    simulator: Simulator, certificates: Certificates
) -> None:
    for table in (CATALOGS, GROUPS):
        simulator.instance.access[table] = Access(absent=True)
    assert send(simulator, certificates) == Honesty()


def test_a_canary_goes_to_no_other_table(simulator: Simulator, certificates: Certificates) -> None:
    async def main() -> None:
        async with open_reader(simulator.url, certificates) as client:
            for name in ("sys_properties", "sys_group_has_role"):
                with pytest.raises(OutsideSurface):
                    await client.fetch_signs(read_surface().tables[name], "range", emit=lambda _event: None)

    asyncio.run(main())
    assert list(simulator.requests) == []
