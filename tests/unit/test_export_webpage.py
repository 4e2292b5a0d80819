"""The page's data stands whole in its script element, whatever is in it and whichever parts are empty."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.export.changes import Change
from jobs.export.form import Head
from jobs.export.webpage import Webpage
from jobs.graph import EdgeLine, NodeLine, Source
from jobs.routing.moves import MOVES

HEAD = {
    "type": "graph",
    "tenant": "acme",
    "revision": 1,
    "as_of": "now",
    "tables": {},
    "nodes": 0,
    "edges": 0,
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["</script>", "<!--<script>", "]]>", "\u2028", "&lt;", '"']
)


def build_page(nodes: list[str], missing: list[str], edges: list[str], changes: list[str]) -> str:
    form = Webpage()
    source = Source("t", "1", "f")
    pieces = [form.begin(Head(HEAD, compared_with=3))]
    pieces += [form.node(NodeLine("t:1", "k", "t", "1", text, {text: text})) for text in nodes]
    pieces += [form.missing(text, "outside") for text in missing]
    pieces += [form.edge(EdgeLine(text, "t:1", text, source, {}, "resolved")) for text in edges]
    pieces += [form.change(Change("node", "removed", "k", text, {"name": text}, None)) for text in changes]
    return b"".join([*pieces, form.end()]).decode()


def read_data(page: str) -> dict[str, Any]:
    """Read the data as a browser does: up to the first end of a script."""
    text = page.partition('<script type="application/json" id="data">')[2].partition("</script")[0]
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@given(
    nodes=st.lists(TEXTS, max_size=3),
    missing=st.lists(TEXTS, max_size=3),
    edges=st.lists(TEXTS, max_size=3),
    changes=st.lists(TEXTS, max_size=3),
)
def test_the_data_comes_back_whatever_is_in_it(
    nodes: list[str], missing: list[str], edges: list[str], changes: list[str]
) -> None:
    page = build_page(nodes, missing, edges, changes)
    data = read_data(page)
    assert (data["head"]["tenant"], data["head"]["compared_with"]) == ("acme", 3)
    assert len(data["moves"]) == len(MOVES)
    assert [(line["name"], line["attributes"]) for line in data["nodes"]] == [(t, {t: t}) for t in nodes]
    assert data["missing"] == [[text, "outside"] for text in missing]
    assert [line["kind"] for line in data["edges"]] == edges
    assert [change["before"]["name"] for change in data["changes"]] == changes
    assert page.count("<script") == page.count("</script>") == 2


def test_the_policy_allows_the_one_script_and_the_one_style_and_nothing_that_loads() -> None:
    page = build_page([], [], [], [])
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert directives == {
        "default-src": "'none'",
        "script-src": hash_of(script),
        "style-src": hash_of(style),
        "worker-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
