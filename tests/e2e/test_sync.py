"""A tenant's graph, end to end: what the instance holds is what the graph says, and nothing else was asked."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.e2e.conftest import RECORDS_VARIABLE, Deployed

GROUP_ATTRIBUTES = ("active", "description", "exclude_manager", "include_members")
FORBIDDEN = ("manager", "default_assignee", "email", "source", "sys_created_by", "sys_updated_by", "script")


def nodes_of(lines: list[dict[str, Any]], table: str) -> dict[str, dict[str, Any]]:
    return {
        line["sys_id"]: line
        for line in lines
        if line["type"] == "node" and line["id"].startswith(f"{table}:")
    }


def check_groups(deployed: Deployed, tenant: str) -> int:
    """Compare every group of the instance with the graph, row by row; give how many there are."""
    rows = deployed.stack.instances[tenant].fetch_rows("sys_user_group")
    nodes = nodes_of(deployed.export(tenant), "sys_user_group")
    assert nodes.keys() == {row["sys_id"] for row in rows}
    for row in rows:
        assert nodes[row["sys_id"]] == {
            "type": "node",
            "id": f"sys_user_group:{row['sys_id']}",
            "kind": "assignment_group",
            "table": "sys_user_group",
            "sys_id": row["sys_id"],
            "name": row.get("name", ""),
            "attributes": {name: row.get(name, "") for name in GROUP_ATTRIBUTES},
        }
    return len(rows)


def test_a_sync_ends_with_exactly_the_groups_of_the_instance(deployed: Deployed) -> None:
    run = deployed.sync("acme", "--full")
    assert run["state"] in {"published", "unchanged"}
    assert {table["verdict"] for table in run["tables"]} == {"complete"}
    assert check_groups(deployed, "acme") == 30


def test_real_records_end_as_exactly_those_groups(deployed: Deployed, records_folder: object) -> None:
    if records_folder is None:
        pytest.skip(f"{RECORDS_VARIABLE} names no folder of real records")
    run = deployed.sync("real", "--full")
    verdicts = {table["table"]: table["verdict"] for table in run["tables"]}
    assert verdicts["sys_user_group"] == "complete"
    assert check_groups(deployed, "real") > 0


def test_every_item_has_the_kind_of_its_own_class(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    rows = deployed.stack.instances["acme"].fetch_rows("sc_cat_item")
    nodes = nodes_of(deployed.export("acme"), "sc_cat_item")
    assert nodes.keys() == {row["sys_id"] for row in rows}
    kinds = {
        "sc_cat_item": "catalogue_item",
        "sc_cat_item_producer": "record_producer",
        "sc_cat_item_guide": "order_guide",
        "sc_cat_item_content": "content_item",
    }
    assert {nodes[row["sys_id"]]["kind"] for row in rows} == set(kinds.values())
    for row in rows:
        node = nodes[row["sys_id"]]
        assert node["table"] == row["sys_class_name"]
        assert node["kind"] == kinds[row["sys_class_name"]]


def test_edges_are_the_instances_references_and_links_with_their_source(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    instance = deployed.stack.instances["acme"]
    edges = {
        (edge["from"], edge["kind"], edge["to"], edge["source"]["table"], edge["source"]["sys_id"])
        for edge in deployed.export("acme")
        if edge["type"] == "edge"
    }
    fulfilled = {
        (
            f"sc_cat_item:{row['sys_id']}",
            "FULFILLED_BY",
            f"sys_user_group:{row['group']}",
            "sc_cat_item",
            row["sys_id"],
        )
        for row in instance.fetch_rows("sc_cat_item")
        if row.get("group")
    }
    linked = {
        (
            f"sc_cat_item:{row['sc_cat_item']}",
            "IN_CATEGORY",
            f"sc_category:{row['sc_category']}",
            "sc_cat_item_category",
            row["sys_id"],
        )
        for row in instance.fetch_rows("sc_cat_item_category")
    }
    assert fulfilled
    assert linked
    of_items = {edge for edge in edges if edge[3] == "sc_cat_item"}
    assert {edge for edge in of_items if edge[1] == "FULFILLED_BY"} == fulfilled
    assert {edge for edge in edges if edge[3] == "sc_cat_item_category"} == linked


def test_only_the_surface_is_asked_for_and_only_by_get(deployed: Deployed) -> None:
    instance = deployed.stack.instances["globex-prod"]
    instance.forget_requests()
    deployed.sync("globex-prod", "--full")
    surface = {
        table["table"]: table["fields"] for table in deployed.call("surface", "--json").document["tables"]
    }
    lookups = {row["matcher_table"] for row in instance.fetch_rows("dl_definition")}
    requests = instance.fetch_requests()
    assert {request["table"] for request in requests if request["table"]} == surface.keys() | lookups
    for request in requests:
        if request["path"] == "/oauth_token.do":
            assert request["method"] == "POST"
            continue
        assert request["method"] == "GET"
        assert request["path"].startswith(("/api/now/table/", "/api/now/stats/"))
        if "/table/" in request["path"]:
            fields = request["query"]["sysparm_fields"].split(",")
            assert request["table"] in lookups or set(fields) <= set(surface[request["table"]])
            assert not set(fields) & set(FORBIDDEN)
            assert request["query"]["sysparm_display_value"] == "false"


def test_a_second_revision_is_what_changed_and_the_first_stays_readable(deployed: Deployed) -> None:
    first = deployed.sync("globex-prod", "--full")
    before = deployed.export("globex-prod")
    instance = deployed.stack.instances["globex-prod"]
    renamed, removed, *_ = instance.fetch_rows("sys_user_group")
    added = {"sys_id": secrets.token_hex(16), "name": "Night shift", "active": "true"}
    instance.put_rows("sys_user_group", [added, {"sys_id": renamed["sys_id"], "name": "Renamed"}])
    instance.delete_row("sys_user_group", removed["sys_id"])

    second = deployed.sync("globex-prod", "--full")

    assert second["state"] == "published"
    assert second["revision"] == first["revision"] + 1
    nodes = nodes_of(deployed.export("globex-prod"), "sys_user_group")
    assert removed["sys_id"] not in nodes
    assert nodes[added["sys_id"]]["name"] == "Night shift"
    assert nodes[renamed["sys_id"]]["name"] == "Renamed"
    assert check_groups(deployed, "globex-prod") == len(nodes)
    assert deployed.export("globex-prod", "--revision", str(first["revision"])) == before


def test_nothing_new_makes_no_revision_and_the_same_bytes(deployed: Deployed) -> None:
    first = deployed.sync("acme", "--full")
    before = deployed.call("graph", "export", "acme").stdout
    second = deployed.sync("acme")
    assert second["state"] == "unchanged"
    assert second["revision"] == first["revision"]
    assert (second["added"], second["changed"], second["removed"]) == (0, 0, 0)
    assert deployed.call("graph", "export", "acme").stdout == before


def test_a_denied_table_is_a_gap_with_exit_code_3_and_takes_nothing_away(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    before = nodes_of(deployed.export("acme"), "sc_category")
    instance = deployed.stack.instances["acme"]
    instance.set_access("sc_category", denied=True)
    try:
        run = deployed.sync("acme", "--full", accepted=(3,))
    finally:
        instance.set_access("sc_category", denied=False)
    verdicts = {table["table"]: (table["verdict"], table["reason"]) for table in run["tables"]}
    assert verdicts.pop("sc_category")[0] == "denied"
    assert {verdict for verdict, _ in verdicts.values()} == {"complete"}
    assert nodes_of(deployed.export("acme"), "sc_category") == before
    assert before


def test_hidden_rows_are_told_and_do_not_leave_the_graph(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    before = nodes_of(deployed.export("acme"), "sys_user_group")
    instance = deployed.stack.instances["acme"]
    instance.set_access("sys_user_group", hidden=sorted(before)[:7])
    try:
        run = deployed.sync("acme", "--full", accepted=(3,))
    finally:
        instance.set_access("sys_user_group", hidden=[])
    [read] = [table for table in run["tables"] if table["table"] == "sys_user_group"]
    assert (read["verdict"], read["hidden"], read["rows"]) == ("hidden", 7, len(before) - 7)
    assert nodes_of(deployed.export("acme"), "sys_user_group") == before


def test_the_command_shows_tenants_runs_and_the_fleet(deployed: Deployed) -> None:
    deployed.sync("acme", "--full")
    listed = deployed.call("tenant", "list", "--json").document["tenants"]
    by_name = {tenant["tenant"]: tenant for tenant in listed}
    assert by_name["globex-prod"]["schema"] == "tenant_globex_prod"
    assert by_name["acme"]["state"] == "active"
    runs = deployed.call("runs", "acme", "--json").document["runs"]
    assert runs[0]["tables"]
    assert [run["requested_at"] for run in runs] == sorted(
        (run["requested_at"] for run in runs), reverse=True
    )
    fleet = deployed.call("status", "--json").document
    assert len(fleet["workers"]) == 2
    assert {row["tenant"]: row["revision"] for row in fleet["tenants"]}["acme"] == runs[0]["revision"]
    for words, shown in (
        (["tenant", "list"], "acme"),
        (["runs", "acme"], runs[0]["run_id"]),
        (["status"], "acme"),
    ):
        called = deployed.call(*words)
        assert called.exit_code == 0
        assert shown in called.stdout
