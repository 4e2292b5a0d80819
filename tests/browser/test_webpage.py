"""The page in a real browser: it draws, is searched, tells neighbours, routes and changes, and loads nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.export.changes import Change
from jobs.export.form import Head
from jobs.export.webpage import Webpage
from jobs.graph import EdgeLine, NodeLine, Source
from tests.browser.chromium import Page, find_chromium, open_page

BROWSER_VARIABLE = "ZAPTIK_TEST_BROWSER"
HOSTILE = (
    "<img src=http://evil.test/x onerror=document.title='taken'></script><script>document.title='taken'</script>"
    "\x1b[31m\u202egnp.exe\u2028=cmd()"
)
SHOWN = (
    "<img src=http://evil.test/x onerror=document.title='taken'></script><script>document.title='taken'</script>"
    "\\u001b[31m\\u202egnp.exe\\u2028=cmd()"
)


def node(table: str, number: int, kind: str, name: str, **attributes: str) -> NodeLine:
    return NodeLine(f"{table}:{number:032x}", kind, table, f"{number:032x}", name, attributes)


def edge(start: NodeLine, kind: str, end: str, *, state: Any = "resolved", field: str = "field") -> EdgeLine:
    return EdgeLine(kind, start.id, end, Source(start.table, start.sys_id, field), {}, state)


GROUP = node("sys_user_group", 1, "assignment_group", "Network")
HOSTILE_GROUP = node("sys_user_group", 2, "assignment_group", HOSTILE, **{HOSTILE: HOSTILE})
PRODUCER = node("sc_cat_item", 1, "record_producer", "Report a fault")
TABLE = node("sys_db_object", 3, "table", "u_fault")
RULE = node("sysrule_assignment", 1, "assignment_rule", "Faults", opaque="true", order="100")
NODES = [GROUP, HOSTILE_GROUP, PRODUCER, TABLE, RULE]
EDGES = [
    edge(PRODUCER, "CREATES_RECORD_IN", TABLE.id),
    edge(RULE, "APPLIES_TO", TABLE.id),
    edge(RULE, "ROUTES_TO", GROUP.id),
    edge(GROUP, "CHILD_OF", HOSTILE_GROUP.id),
    edge(GROUP, "COSTED_TO", "cmn_cost_center:1", state="outside"),
]
GONE: dict[str, Any] = {"id": "sys_user_group:9", "kind": "assignment_group", "table": "sys_user_group", "sys_id": "9",
        "name": "Old desk", "attributes": {}}  # fmt: skip
BEFORE = {"id": GROUP.id, "kind": GROUP.kind, "table": GROUP.table, "sys_id": GROUP.sys_id, "name": "Net",
          "attributes": {"active": "true"}}  # fmt: skip
CHANGES = [
    Change("node", "added", RULE.kind, RULE.id, None, {"id": RULE.id}),
    Change("node", "changed", GROUP.kind, GROUP.id, BEFORE, {"id": GROUP.id}),
    Change("node", "removed", GONE["kind"], GONE["id"], GONE, None),
]


def write_page(
    file: Path,
    nodes: list[NodeLine] = NODES,
    edges: list[EdgeLine] = EDGES,
    *,
    changes: list[Change] | None = None,
) -> str:
    """Write a page and give its address."""
    form = Webpage()
    known = {line.id for line in nodes}
    missing = sorted({end for line in edges for end in (line.from_id, line.to_id)} - known)
    head = {
        "type": "graph", "tenant": "acme", "revision": 4, "as_of": "2026-11-23T10:00:00Z", "nodes": len(nodes),
        "edges": len(edges), "digest": "d",
        "tables": {"sys_user_group": "complete", "sc_cat_item": "complete", "sysrule_assignment": "hidden"},
    }  # fmt: skip
    pieces = [
        form.begin(Head(head, compared_with=None if changes is None else 3)),
        *map(form.node, nodes),
        *(form.missing(end, "outside") for end in missing),
        *map(form.edge, edges),
        *map(form.change, changes or []),
        form.end(),
    ]
    file.write_bytes(b"".join(pieces))
    return file.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Give a browser's page; skipped where there is no Chromium, but not where everything must be tested."""
    program = find_chromium()
    if program is None:
        assert os.environ.get(BROWSER_VARIABLE) != "required", (
            "there is no Chromium, and here nothing is skipped"
        )
        pytest.skip("no Chromium here: apt-get install chromium")
    with open_page(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


def text_of(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r})?.innerText ?? ''"))


def choose(page: Page, node_id: str) -> None:
    """Search for a node by its id and choose the first that is found, by keys alone."""
    page.press("Escape")
    page.press("/")
    page.call("Input.insertText", text=node_id)
    page.press("Enter")


def test_a_page_draws_and_says_what_it_is_of_and_what_is_lacking(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html"))
    assert browser.evaluate("document.body.dataset.picture") in {"laying out", "settled"}
    assert browser.evaluate("document.querySelectorAll('#picture canvas').length") > 1
    assert text_of(browser, "h1") == "acme, revision 4"
    assert "2026-11-23T10:00:00Z" in text_of(browser, "#facts")
    assert "1 of 3 tables" in text_of(browser, "#warning")
    assert "assignment group 2" in text_of(browser, "#kinds").replace("\n", " ")


def test_a_node_that_is_chosen_tells_its_neighbours_and_who_handles_it(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html"))
    choose(browser, PRODUCER.id)
    assert text_of(browser, "h2") == "Report a fault"
    assert "CREATES_RECORD_IN" in text_of(browser, "#neighbours")
    routes = text_of(browser, "#routes")
    assert "Network" in routes
    assert "assignment rule 'Faults' of table" in routes
    assert "a script decides, which is never read" in routes
    assert "table sysrule_assignment is hidden" in routes
    browser.evaluate("document.querySelector('#neighbours button').click()")
    assert text_of(browser, "h2") == "u_fault"
    choose(browser, GROUP.id)
    assert "outside" in text_of(browser, "#neighbours")


def test_a_row_leads_to_the_group_that_its_lookup_sets_and_not_to_the_one_it_is_matched_by(
    browser: Page, tmp_path: Path
) -> None:
    rows, lookup = (
        node("sys_db_object", 4, "table", "dl_fault"),
        node("dl_definition", 1, "data_lookup", "By owner"),
    )
    row, desk = (
        node("dl_matcher", 1, "lookup_row", "row"),
        node("sys_user_group", 3, "assignment_group", "Desk"),
    )
    sets = node("dl_definition_rel_set", 1, "lookup_set", "set", matcher_table_field="u_sets")
    match = node("dl_definition_rel_match", 1, "lookup_match", "match", matcher_table_field="u_owner")
    edges = [
        edge(PRODUCER, "CREATES_RECORD_IN", TABLE.id), edge(lookup, "APPLIES_TO", TABLE.id),
        edge(lookup, "LOOKS_IN", rows.id), edge(row, "ROW_OF", rows.id), edge(sets, "SETS_FOR", lookup.id),
        edge(match, "MATCHES_FOR", lookup.id), edge(row, "NAMES", desk.id, field="u_sets"),
        edge(row, "NAMES", GROUP.id, field="u_owner"),
    ]  # fmt: skip
    nodes = [PRODUCER, TABLE, rows, lookup, row, desk, GROUP, sets, match]
    browser.open(write_page(tmp_path / "graph.html", nodes, edges))
    for start in (PRODUCER, lookup, row):
        choose(browser, start.id)
        routes = text_of(browser, "#routes")
        assert "group in the row's column u_sets" in routes
        assert "u_owner" not in routes


def test_a_search_finds_by_name_and_kind_and_says_how_many(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html"))
    browser.press("/")
    browser.call("Input.insertText", text="fau rule")
    assert text_of(browser, "#status") == "1 found"
    assert "Faults" in text_of(browser, "#hits")


def test_a_difference_is_shown_by_colour_sign_and_words(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html", changes=CHANGES))
    assert text_of(browser, "h1") == "acme, revision 3 to 4"
    assert text_of(browser, "#changes").split() == [
        "+", "added", "1", "~", "changed", "1", "\u2212", "removed", "1",
    ]  # fmt: skip
    assert (
        len(
            set(
                browser.evaluate(
                    "[...document.querySelectorAll('#changes .dot')].map((d) => d.style.background)"
                )
            )
        )
        == 3
    )
    choose(browser, GROUP.id)
    assert "Net \u2192 Network" in text_of(browser, "#change")
    assert "true \u2192 absent" in text_of(browser, "#change")
    choose(browser, "sys_user_group:9")
    assert text_of(browser, "h2") == "Old desk"
    assert "removed" in text_of(browser, "#node")


def test_a_hostile_name_is_text_and_nothing_is_loaded(browser: Page, tmp_path: Path) -> None:
    browser.requested.clear()
    browser.logged.clear()
    address = write_page(tmp_path / "graph.html")
    browser.open(address)
    choose(browser, HOSTILE_GROUP.id)
    assert text_of(browser, "h2") == SHOWN
    assert SHOWN in text_of(browser, "#attributes")
    assert browser.evaluate("document.title") == "acme, revision 4"
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.scripts.length") == 2
    assert [url for url in browser.requested if url != address and not url.startswith("blob:")] == []
    assert browser.logged == []


def test_what_the_page_is_forbidden_to_load_it_cannot(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html"))
    tried = "fetch('http://127.0.0.1:1/').then(() => 'loaded', (error) => error.constructor.name)"
    assert browser.evaluate(tried) == "TypeError"
    browser.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:1/x.png'}))")
    browser.evaluate("new Promise((done) => setTimeout(done))")
    assert sum("Content Security Policy" in line for line in browser.logged) >= 2


def test_ten_thousand_nodes_are_laid_out_and_searched(browser: Page, tmp_path: Path) -> None:
    groups = [
        node("sys_user_group", number, "assignment_group", f"Group {number}") for number in range(10_000)
    ]
    edges = [edge(groups[number], "CHILD_OF", groups[number // 7].id) for number in range(1, 10_000)]
    browser.open(write_page(tmp_path / "graph.html", groups, edges))
    assert browser.evaluate("document.body.dataset.picture") == "laying out"
    choose(browser, groups[9_999].id)
    assert text_of(browser, "h2") == "Group 9999"
    assert "Group 1428" in text_of(browser, "#neighbours")
    browser.evaluate("document.getElementById('pause').click()")
    assert browser.evaluate("document.body.dataset.picture") == "settled"


def test_the_document_in_the_page_is_the_graph(browser: Page, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "graph.html", changes=CHANGES))
    script = "JSON.parse(document.getElementById('data').textContent)"
    assert browser.evaluate(f"{script}.nodes.length") == len(NODES)
    assert browser.evaluate(f"{script}.nodes[1].name") == HOSTILE
    assert browser.evaluate(f"{script}.edges.length") == len(EDGES)
