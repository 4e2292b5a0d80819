"""Whatever is published in whatever order, every revision reads back later exactly as it was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.graph import EdgeLine, NodeLine, digest_lines, encode_line
from jobs.surface import read_surface
from tests.integration.conftest import AddTenant
from tests.integration.postgres_steps import (
    GROUP,
    ITEM,
    claim_fresh_run,
    edge,
    node,
    publish,
    read_lines,
    stage_table,
)
from worker.postgres.connection import Connection, as_tenant
from worker.postgres.reading import read_head

pytestmark = pytest.mark.anyio

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NODES = [(table, number) for table in (GROUP, ITEM) for number in range(4)]
TARGETS = [f"{table}:{number:032x}" for table, number in NODES] + [f"sys_user:{1:032x}"]


@dataclass(frozen=True, slots=True)
class Read:
    """What one run reads: nodes with their names and attributes, edges, and the tables it reads whole."""

    nodes: Mapping[tuple[str, int], tuple[str, dict[str, str]]]
    edges: frozenset[tuple[tuple[str, int], str, str]]
    whole: frozenset[str]


READS = st.builds(
    Read,
    nodes=st.dictionaries(
        st.sampled_from(NODES), st.tuples(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2)), max_size=6
    ),
    edges=st.frozensets(
        st.tuples(st.sampled_from(NODES), st.sampled_from(TARGETS), st.sampled_from(["group", "owner"])),
        max_size=6,
    ),
    whole=st.frozensets(st.sampled_from([GROUP, ITEM])),
)


class Model:
    """The graph as plain dictionaries: what a table read whole no longer holds leaves, nothing else does."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeLine] = {}
        self.edges: dict[tuple[str, ...], EdgeLine] = {}

    def apply(self, read: Read) -> tuple[list[NodeLine], list[EdgeLine]]:
        """Take in what a run reads and give it as lines."""
        nodes = [
            node(*key, name=name, attributes=attributes) for key, (name, attributes) in read.nodes.items()
        ]
        edges = [edge(node(*start), target, field=field) for start, target, field in read.edges]
        self.nodes = {key: line for key, line in self.nodes.items() if table_of(key) not in read.whole}
        self.edges = {key: line for key, line in self.edges.items() if line.source.table not in read.whole}
        self.nodes |= {line.id: line for line in nodes}
        self.edges |= {(e.from_id, e.kind, e.to_id, e.source.sys_id, e.source.field): e for e in edges}
        return nodes, edges

    def lines(self) -> list[bytes]:
        """Give the lines of the export, each edge with the state that follows from its target."""
        nodes = [self.nodes[key] for key in sorted(self.nodes)]
        return [encode_line(line) for line in nodes] + [encode_line(line) for line in self.stated_edges()]

    def digest(self) -> str:
        """Give the digest by the rule for lines."""
        return digest_lines([self.nodes[key] for key in sorted(self.nodes)], self.stated_edges())

    def stated_edges(self) -> list[EdgeLine]:
        """Give the edges in the order of the export."""
        lines = sorted(self.edges.values(), key=lambda e: (e.from_id, e.kind, e.to_id, *source_of(e)))
        return [
            EdgeLine(e.kind, e.from_id, e.to_id, e.source, e.attributes, state=self.state_of(e.to_id))
            for e in lines
        ]

    def state_of(self, target: str) -> Literal["resolved", "unknown", "outside"]:
        """Say how far an edge's target is known."""
        if target in self.nodes:
            return "resolved"
        return "unknown" if table_of(target) in read_surface().bases else "outside"


def table_of(node_id: str) -> str:
    return node_id.partition(":")[0]


def source_of(line: EdgeLine) -> tuple[str, ...]:
    return (f"{line.source.table}:{line.source.sys_id}:{line.source.field}",)


@settings(
    max_examples=25,
    deadline=None,  # a server's time is not ours
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example adds a tenant of its own
)
@given(reads=st.lists(READS, min_size=1, max_size=5))
async def test_every_revision_reads_back_as_it_was_published(
    app: Connection, add_fresh_tenant: AddTenant, reads: list[Read]
) -> None:
    tenant = await add_fresh_tenant(state="active")
    model, published = Model(), list[tuple[list[bytes], str]]()
    for read in reads:
        nodes, edges = model.apply(read)
        run = await claim_fresh_run(app, tenant)
        for table in (GROUP, ITEM):
            await stage_table(
                app, run, table,
                [line for line in nodes if table_of(line.id) == table],
                [line for line in edges if line.source.table == table],
            )  # fmt: skip
        outcome = (await publish(app, run, closing=read.whole)).outcome
        is_new = not published or model.lines() != published[-1][0]
        assert outcome == ("published" if is_new else "unchanged")
        if is_new:
            published.append((model.lines(), model.digest()))
    for revision, (lines, digest) in enumerate(published, 1):
        assert await read_lines(app, tenant, revision) == lines
        async with as_tenant(app, tenant.schema_name):
            head = await read_head(app, tenant, revision)
        assert (head.digest, head.nodes + head.edges) == (digest, len(lines))
