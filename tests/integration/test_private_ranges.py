"""A run whose instance's name leads into a private network: refused, unless the deployment allows the range."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.integration.slice_case import Case

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("ranges", "state", "code"),
    [
        ((), "failed", "host_not_allowed"),
        ((ip_network("127.0.0.0/8"), ip_network("::1/128")), "published", None),
    ],
    ids=["refused", "allowed"],
)
async def test_a_name_of_this_machine_is_an_instance_only_where_its_range_is_allowed(
    case: Case, ranges: tuple[object, ...], state: str, code: str | None
) -> None:
    await case.store_credentials()
    url = case.simulator.url.replace("127.0.0.1", "localhost")
    await case.admin.execute(
        "UPDATE control.tenant SET url = %s WHERE tenant_id = %s", [url, case.tenant.tenant_id]
    )
    run_id = await case.request_run()
    await case.work_slice(run_id, instance_hosts=(url.removeprefix("https://"),), private_ranges=ranges)
    run = await case.read_run(run_id)
    assert (run["state"], (run["error"] or {}).get("code")) == (state, code)
    assert bool(case.simulator.requests) is (code is None)
