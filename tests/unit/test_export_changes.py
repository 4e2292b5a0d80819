"""What differs, as a document that is whole whatever the changes are, and as lines that people read."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.export.changes import Change, ChangeName, ChangesDocument, ChangesText, What

SECTIONS: list[tuple[What, ChangeName]] = [
    (what, change) for what in ("node", "edge") for change in ("added", "changed", "removed")
]
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


def a_line(name: str = "Network", **attributes: str) -> dict[str, Any]:
    return {"id": "t:1", "kind": "group", "table": "t", "sys_id": "1", "name": name, "attributes": attributes}


def an_edge(state: str = "resolved") -> dict[str, Any]:
    source = {"table": "t", "sys_id": "1", "field": "parent"}
    return {
        "kind": "CHILD_OF",
        "from": "t:1",
        "to": "t:2",
        "source": source,
        "attributes": {},
        "state": state,
    }


def a_change(what: What, change: ChangeName) -> Change:
    before, after = (a_line("Old"), a_line("New")) if what == "node" else (an_edge(), an_edge("deleted"))
    return Change(
        what, change, before["kind"], "t:1",
        before=None if change == "added" else before, after=None if change == "removed" else after,
        names=("Network", None),
    )  # fmt: skip


@given(st.lists(st.sampled_from(range(len(SECTIONS)))))
def test_the_document_is_whole_and_has_every_change_in_its_place(sections: list[int]) -> None:
    changes = [a_change(*SECTIONS[section]) for section in sorted(sections)]
    document = ChangesDocument("acme", 3, 1)
    read = json.loads("".join([document.begin(), *map(document.add, changes), document.end()]))
    assert (read["tenant"], read["from"], read["to"]) == ("acme", 3, 1)
    for index, (what, change) in enumerate(SECTIONS):
        found = read[f"{what}s"][change]
        assert len(found) == sections.count(index)
        made = a_change(what, change)
        for entry in found:
            if change == "changed":
                assert entry == {"id": "t:1", "before": made.before, "after": made.after}
            else:
                assert entry == (made.after or made.before)


def tell(*changes: Change) -> list[str]:
    text = ChangesText("acme", 1, 2)
    return "".join([text.begin(), *map(text.add, changes), text.end()]).splitlines()


def test_the_lines_are_grouped_counted_and_named() -> None:
    changed = Change(
        "node", "changed", "group", "t:1",
        before=a_line("Old", active="true", gone="x"), after=a_line("New", active="false"), alike=2,
    )  # fmt: skip
    edge = Change(
        "edge", "changed", "CHILD_OF", "t:1 CHILD_OF t:2 t:1:parent",
        before=an_edge(), after=an_edge("deleted"), names=("New", None),
    )  # fmt: skip
    assert tell(changed, changed, edge) == [
        "acme: from revision 1 to 2",
        "nodes changed: 2 group",
        *[
            '  ~ "New" t:1',
            '      attributes.active: "true" -> "false"',
            '      attributes.gone: "x" -> absent',
            '      name: "Old" -> "New"',
        ]
        * 2,
        "edges changed: 1 CHILD_OF",
        '  ~ "New" t:1 -> t:2 (parent, deleted)',
        '      state: "resolved" -> "deleted"',
        "nodes: 0 added, 2 changed, 0 removed",
        "edges: 0 added, 1 changed, 0 removed",
    ]


def test_two_equal_revisions_are_said_to_be_equal() -> None:
    assert tell() == ["acme: from revision 1 to 2", "nothing differs"]


def test_a_hostile_name_value_or_attribute_acts_on_no_terminal() -> None:
    node = a_line(HOSTILE, **{HOSTILE: HOSTILE})
    edge = Change("edge", "added", HOSTILE, HOSTILE, before=None, after=an_edge(), names=(HOSTILE, HOSTILE))
    lines = tell(Change("node", "changed", HOSTILE, HOSTILE, before=a_line(), after=node), edge)
    assert [line for line in lines if not line.isprintable()] == []
    assert any("\\u001b[31m\\u202e" in line for line in lines)
