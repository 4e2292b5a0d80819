"""A suspicious revision through the command: told, listed, accepted, and refused where nothing waits."""

from __future__ import annotations

from tests.e2e.conftest import Deployed

CATALOGUES = "sc_catalog"


def test_an_emptied_table_waits_until_a_person_accepts_it(deployed: Deployed) -> None:
    before = deployed.sync("globex-prod", "--full")
    good = deployed.export("globex-prod")
    instance = deployed.stack.instances["globex-prod"]
    for row in instance.fetch_rows(CATALOGUES):
        instance.delete_row(CATALOGUES, row["sys_id"])
    held = deployed.sync("globex-prod", accepted=(3,))
    assert (held["state"], held["revision"]) == ("quarantined", before["revision"] + 1)
    assert deployed.export("globex-prod")[1:] == good[1:]
    listed = deployed.call("revision", "list", "globex-prod", "--json").document["revisions"]
    assert [(r["revision"], r["state"]) for r in listed[:2]] == [
        (held["revision"], "quarantined"),
        (before["revision"], "current"),
    ]
    assert CATALOGUES in listed[0]["reason"]
    assert listed[0]["removed"] == held["removed"] > 0
    wrong = deployed.call("revision", "accept", "globex-prod", str(before["revision"]), "--json")
    assert (wrong.exit_code, wrong.document["error"]["code"]) == (2, "not_quarantined")
    assert "does not wait for a decision" in wrong.stderr
    accepted = deployed.call("revision", "accept", "globex-prod", str(held["revision"]), "--json")
    assert accepted.exit_code == 0, accepted
    assert accepted.document["state"] == "current"
    lines = deployed.export("globex-prod")
    assert (lines[0]["revision"], lines[0]["digest"]) == (held["revision"], listed[0]["digest"])
    assert not [line for line in lines if line["type"] == "node" and line["table"] == CATALOGUES]
    nothing = deployed.call("revision", "reject", "globex-prod")
    assert nothing.exit_code == 2
    assert "zaptik revision list" in nothing.stderr
