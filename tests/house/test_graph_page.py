"""`docs/reference/graph.md` is written by a person: its example, its program and its lists are checked here."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from typing import get_args, get_type_hints

import msgspec
import pytest

from jobs.graph import EdgeLine, NodeLine, digest_lines, encode_line, hash_line
from jobs.surface import read_surface
from jobs.verdict import VerdictName
from tests.house.sources import ROOT

PAGE = (ROOT / "docs" / "reference" / "graph.md").read_text("utf-8")
CALL_SECONDS = 30
HEAD_KEYS = ["type", "tenant", "revision", "as_of", "tables", "nodes", "edges", "digest"]


def read_block(language: str) -> str:
    [block] = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)
    return str(block)


def read_section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def read_first_cells(heading: str) -> set[str]:
    """Give the words in the first column of a section's tables."""
    cells = re.findall(r"(?m)^\| (`[^|]+`) \|", read_section(heading))
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


HEAD, *LINES = read_block("jsonl").encode().splitlines()


def read_lines() -> tuple[list[NodeLine], list[EdgeLine]]:
    lines = [msgspec.json.decode(line, type=NodeLine | EdgeLine) for line in LINES]
    nodes = [line for line in lines if isinstance(line, NodeLine)]
    return nodes, [line for line in lines if isinstance(line, EdgeLine)]


def test_the_examples_lines_are_canonical_and_in_order() -> None:
    nodes, edges = read_lines()
    lines: list[NodeLine | EdgeLine] = [*nodes, *edges]
    assert [encode_line(line) for line in lines] == LINES
    assert [node.id for node in nodes] == sorted(node.id for node in nodes)
    keys = [(edge.from_id, edge.kind, edge.to_id) for edge in edges]
    assert keys == sorted(keys)
    head = json.loads(HEAD)
    assert list(head) == HEAD_KEYS
    assert (head["type"], head["nodes"], head["edges"]) == ("graph", len(nodes), len(edges))


def test_the_examples_hashes_follow_the_rule_as_it_is_written() -> None:
    stateless = [re.sub(rb',"state":"[a-z]+"', b"", line) for line in LINES]
    assert [hashlib.sha256(line).hexdigest() for line in stateless] == read_block("text").split()


def test_the_examples_hashes_and_digest_are_those_of_the_code() -> None:
    nodes, edges = read_lines()
    hashes = [
        *map(hash_line, nodes),
        *(hash_line(msgspec.structs.replace(edge, state="")) for edge in edges),
    ]
    assert hashes == read_block("text").split()
    assert digest_lines(nodes, edges) == json.loads(HEAD)["digest"]


@pytest.mark.parametrize(("altered", "said"), [(b"", "True"), (b"Network", "False"), (b"outside", "False")])
def test_the_program_on_the_page_checks_a_digest(altered: bytes, said: str) -> None:
    export = read_block("jsonl").encode()
    ended = subprocess.run(  # noqa: S603  the page's own program
        [sys.executable, "-I", "-c", read_block("python")],
        input=export.replace(altered, b"unknown") if altered else export,
        capture_output=True,
        timeout=CALL_SECONDS,
        check=True,
    )
    assert ended.stdout.decode().strip() == said


def test_the_page_lists_the_kinds_that_the_surface_gives() -> None:
    surface = read_surface()
    tables = surface.tables.values()
    assert surface.discovery is not None
    nodes = {table.kind for table in tables if table.kind}
    references = {reference.kind for table in tables for reference in table.references.values()}
    links = {table.link.kind for table in tables if table.link}
    assert read_first_cells("Kinds") == nodes | references | links | {surface.discovery.reference}


def test_the_page_lists_every_state_and_every_verdict() -> None:
    states = set(get_args(get_type_hints(EdgeLine)["state"])) - {""}
    assert states
    assert read_first_cells("States of an edge") == states
    assert read_first_cells("Verdicts") == set(get_args(VerdictName))
