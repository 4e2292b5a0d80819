"""What a person sees of findings and of retention, by the command."""

from __future__ import annotations

from tests.e2e.conftest import Deployed

KINDS = {
    "route_to_inactive_group", "route_to_missing_group", "item_without_route", "rule_never_reached", "parent_cycle",
    "service_without_template", "service_without_group", "dangling_reference",
}  # fmt: skip


def test_the_findings_of_a_revision_are_listed_with_what_they_rest_on(deployed: Deployed) -> None:
    deployed.sync("acme", accepted=(0, 3))
    called = deployed.call("graph", "findings", "acme", "--json")
    assert called.exit_code == 0, called
    found = called.document["findings"]
    assert {one["finding"] for one in found} <= KINDS
    assert found, "made catalogues have items without a route"
    assert all(one["rests_on"] and one["certain"] == ("cannot_know" not in one["detail"]) for one in found)
    for_people = deployed.call("graph", "findings", "acme")
    assert len(for_people.stdout.splitlines()) == len(found) + 1
    assert f"{len(found)} findings in revision" in for_people.stderr


def test_findings_of_what_is_not_there_are_a_clear_error(deployed: Deployed) -> None:
    for arguments in (("nobody",), ("acme", "--revision", "999999")):
        called = deployed.call("graph", "findings", *arguments)
        assert called.exit_code in {1, 2}
        assert "There is no tenant" in called.stderr or "has no published revision 999999" in called.stderr


def test_retention_runs_for_every_tenant_and_takes_nothing_young(deployed: Deployed) -> None:
    deployed.sync("acme", accepted=(0, 3))
    before = deployed.call("revision", "list", "acme", "--json").document
    called = deployed.call("retention", "run", "--json")
    assert called.exit_code == 0, called
    tenants = {one["tenant"]: one for one in called.document["tenants"]}
    assert {"acme", "globex-prod"} <= set(tenants)
    for one in tenants.values():
        assert one["state"] in {"done", "held"}  # the stack's scheduler may be at it
        assert (one["revisions"], one["nodes"], one["error"]) == (0, 0, None)
    assert deployed.call("revision", "list", "acme", "--json").document == before
