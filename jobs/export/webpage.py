"""One page of HTML that holds a graph, or how two revisions differ, and everything that is needed to look at it.

The page loads nothing: its policy forbids all but the one script and the one style in it, by their hashes, and the
worker that the script starts for the layout. The graph stands in it as JSON, with `<`, `>` and `&` escaped so that
no name can end it; the script puts names on the page as text alone. `ops/web` is where the script is built from.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Literal

import msgspec

from jobs.export.changes import Change
from jobs.export.form import Head
from jobs.graph import EdgeLine, NodeLine, encode_line
from jobs.routing.moves import MOVES

SMOOTH_NODES = 10_000
"""Up to so many nodes the page is pleasant to use; more are shown, slowly."""

_SECTIONS = ("nodes", "missing", "edges", "changes")
_ESCAPES = {
    b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029",
}  # fmt: skip
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><div id="head"></div><p id="status" role="status"></p><button id="pause" type="button">stop the layout</button>
</header>
<aside id="left"><input id="search" type="search" aria-label="Search nodes" placeholder="Search: name, id, kind"
 autocomplete="off" spellcheck="false"><ul id="hits" aria-label="Found"></ul><div id="legend"></div></aside>
<main id="picture" tabindex="0" aria-label="Picture of the graph"></main>
<aside id="right"><div id="node" aria-live="polite"></div></aside>
<noscript>This page needs its own script to show the graph.</noscript>
<script type="application/json" id="data">"""


class Webpage:
    """The page in pieces."""

    is_closed = True

    def __init__(self) -> None:
        self._section: str = ""
        self._is_first = True

    def begin(self, head: Head) -> bytes:
        """Give the page up to the nodes."""
        page = _PAGE.format(
            policy=_build_policy(), title=escape(str(head.line["tenant"])), style=_read_asset("graph.css")
        )
        told = {**head.line, "compared_with": head.compared_with}
        moves = [dataclasses.asdict(move) for move in MOVES]
        return page.encode() + b'{"head":' + _embed(told) + b',"moves":' + _embed(moves)

    def node(self, line: NodeLine) -> bytes:
        """Give a node."""
        return self._turn_to("nodes") + self._separate() + escape_json(encode_line(line))

    def missing(self, node_id: str, state: str) -> bytes:
        """Give an end of edges that is no node."""
        return self._turn_to("missing") + self._separate() + _embed([node_id, state])

    def edge(self, line: EdgeLine) -> bytes:
        """Give an edge."""
        return self._turn_to("edges") + self._separate() + escape_json(encode_line(line))

    def change(self, change: Change) -> bytes:
        """Give a change since the revision that this one is compared with."""
        told = {"what": change.what, "change": change.change, "id": change.id, "before": change.before,
                "after": change.after}  # fmt: skip
        return self._turn_to("changes") + self._separate() + _embed(told)

    def end(self) -> bytes:
        """Close the data, and give the script."""
        script = _read_asset("graph.js")
        return self._turn_to("") + f"}}</script>\n<script>{script}</script>\n</body>\n</html>\n".encode()

    def _turn_to(self, section: Literal["nodes", "missing", "edges", "changes", ""]) -> bytes:
        """Open a section, and before it those that have nothing in them; "" closes the last."""
        if section == self._section and section:
            return b""
        passed = _SECTIONS[_SECTIONS.index(self._section) + 1 if self._section else 0 :]
        closing = b"]" if self._section else b""
        empty = passed[: passed.index(section)] if section else passed
        self._section, self._is_first = section, True
        opening = f',"{section}":[' if section else ""
        return closing + "".join(f',"{name}":[]' for name in empty).encode() + opening.encode()

    def _separate(self) -> bytes:
        is_first, self._is_first = self._is_first, False
        return b"\n" if is_first else b",\n"


def escape_json(text: bytes) -> bytes:
    """Give JSON in UTF-8 as it can stand in a script element: the same values, and nothing that markup is made of."""
    for special, escaped in _ESCAPES.items():
        text = text.replace(special, escaped)
    return text


def _embed(value: Any) -> bytes:
    return escape_json(msgspec.json.encode(value))


def _build_policy() -> str:
    hashes = [_hash(_read_asset(name)) for name in ("graph.js", "graph.css")]
    return (
        f"default-src 'none'; script-src {hashes[0]}; style-src {hashes[1]}; worker-src blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read_asset(name: str) -> str:
    return (files("jobs.export") / "asset" / name).read_text("utf-8")
