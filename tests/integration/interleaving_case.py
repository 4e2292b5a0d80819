"""Interleavings on the real stack: runs in slices, with acts between requests, and what must hold after each run."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from jobs.events import Event
from jobs.graph import EdgeLine, NodeLine, digest_lines, encode_line
from jobs.surface import Surface, read_surface
from tests.integration.interleaving_acts import PAGE_ROWS, SIZES, TABLES, Act, PlannedRun, Stage
from tests.integration.interleaving_checks import Ended, check_ended
from tests.integration.interleaving_truth import Graph, Span, build_graph, see
from tests.integration.slice_case import Case
from worker.postgres import reading, runs
from worker.postgres.connection import as_tenant
from worker.servicenow import REQUEST_KINDS

TRIES = 3
MAX_ATTEMPTS = 3
_WAYS = 4  # of one table in one run: what is newer, keys, what differs, everything
_LOOK_UPS = 2 + 41
_EXPIRE = """UPDATE control.run SET lease_until = now() - interval '1 second' WHERE run_id = (
                 SELECT run_id FROM control.run WHERE run_id = %s AND state = 'running' FOR UPDATE SKIP LOCKED)
             RETURNING run_id"""
_LET_TIME_PASS = "UPDATE control.run SET not_before = now() WHERE run_id = %s AND state = 'requested'"
_RESUME = "UPDATE control.tenant SET state = 'active' WHERE tenant_id = %s"  # a token refused twice pauses it
_EMPTY = Graph({}, {}, ())


def small_surface() -> Surface:
    """Give the real surface's description of the small instance's tables, and of no others."""
    surface = read_surface()
    return Surface(surface.version, {name: surface.tables[name] for name in sorted_by_surface(surface)})


def sorted_by_surface(surface: Surface) -> list[str]:
    """Name the tables in the order in which they are read."""
    return [name for name in surface.tables if name in TABLES]


class Interleaving:
    """One tenant's life: its runs, what each must leave, and every revision's bytes."""

    def __init__(self, case: Case, stage: Stage) -> None:
        settings = case.parts.settings.model_copy(
            update={"page_rows": PAGE_ROWS, "instance_concurrency": 1, "max_attempts": MAX_ATTEMPTS}
        )
        self._stage = stage
        self._surface = small_surface()
        parts = dataclasses.replace(
            case.parts, settings=settings, surface=self._surface, emit=self._emit, worker="interleaved"
        )
        self._case = dataclasses.replace(case, parts=parts)
        self._graph = _EMPTY
        self._silenced: set[str] = set()
        self._dated_back: set[str] = set()
        self._thinned: set[str] = set()
        self._exports: dict[int, bytes] = {}
        self._begin(PlannedRun("delta", ()), None)

    def _begin(self, planned: PlannedRun, run_id: UUID | None) -> None:
        self._acts: list[Act] = sorted(planned.acts, key=lambda act: act.at)
        self._run_id = run_id
        self._requests = self._claims = 0
        self._touched: set[str] = set()
        self._unforeseen: list[object] = []
        self._loop = asyncio.get_running_loop()
        self._stage.begin_run()
        self._most_slices, self._most_requests = self._plan_bounds(planned)
        self._span = Span(see(self._stage, self._surface))

    def _plan_bounds(self, planned: PlannedRun) -> tuple[int, int]:
        """Give how many slices and requests rows, pages, cuts and faults explain."""
        cuts = sum(act.what == "cut" for act in planned.acts)
        steals = sum(act.what == "steal" for act in planned.acts)
        slices = (1 + cuts) * (
            1 + MAX_ATTEMPTS
        ) + 2 * steals  # a cut that came further begins the attempts anew
        rows = sum(SIZES.values()) + sum(map(len, self._stage.store.copy_rows().values())) + len(planned.acts)
        per_read = rows + rows // PAGE_ROWS + 4 * len(TABLES)
        per_slice = len(TABLES) * (2 + 4 * (2 + rows // PAGE_ROWS))
        return slices, TRIES * (_WAYS * per_read + slices * per_slice + _LOOK_UPS * len(TABLES))

    async def live(self, script: list[PlannedRun]) -> None:
        """Do all runs, and check after each, and at the end that no old revision has changed."""
        for planned in script:
            await self._do_run(planned)
        for revision, exported in self._exports.items():
            _, _, again = await self._export(revision)
            assert again == exported, f"revision {revision} is not what it was"

    async def _do_run(self, planned: PlannedRun) -> None:
        self._begin(planned, None)
        await self._case.admin.execute(_RESUME, [self._case.tenant.tenant_id])
        run_id = await self._case.request_run(mode=planned.mode)
        self._run_id = run_id
        self._act()
        while (run := await self._case.read_run(run_id))["state"] in {"requested", "running"}:
            self._case.parts.draining.clear()
            # A silent instance is left in peace for minutes; in between nothing happens.
            await self._case.admin.execute(_LET_TIME_PASS, [run_id])
            await self._case.work_slice(run_id)
            assert self._claims <= self._most_slices, f"{self._claims} slices"
        for act in self._acts:  # the run ended before they came
            self._do_outside(act)
        await self._check(planned, run)

    # Between requests, in the slice's own thread.

    def _emit(self, event: Event) -> None:
        match event.kind.name:
            case "run.claimed":
                self._claims += 1
            case "failure.unforeseen":
                self._unforeseen.append(event.fields)
        if event.kind in REQUEST_KINDS:
            self._requests += 1
            assert self._requests <= self._most_requests, "more requests than there is reason for"
            self._act()

    def _act(self) -> None:
        while self._acts and self._acts[0].at <= self._requests:
            act = self._acts.pop(0)
            if act.what == "cut":
                self._case.parts.draining.set()
            elif act.what == "steal":
                if not self._steal():
                    self._acts.insert(0, dataclasses.replace(act, at=self._requests + 1))
                    return
            else:
                self._do_outside(act)
                self._span.add(see(self._stage, self._surface))

    def _do_outside(self, act: Act) -> None:
        if act.what in {"cut", "steal"}:
            return
        self._stage.do(act)
        touched = set(TABLES) if act.what == "rewind" or act.number % 4 == 3 else {act.table}
        if touched & {"sc_cat_item", "sc_cat_item_producer"}:
            touched |= {"sc_cat_item", "sc_cat_item_producer"}
        if act.is_silent:
            self._touched |= touched
            self._silenced |= touched
        if act.what in {"insert_past", "rewind"}:
            self._dated_back |= touched
        if act.what in {"delete", "move", "rewind"}:
            self._thinned |= touched

    def _steal(self) -> bool:
        """Have another worker take the run; False in the middle of a transaction on it, which none could."""
        if not self._claims:
            return True
        return asyncio.run_coroutine_threadsafe(self._take_and_yield(), self._loop).result(timeout=60)

    async def _take_and_yield(self) -> bool:
        """Take the run as when our worker was paused past its lease, and give it back."""
        run_id, app = self._run_id, self._case.app
        assert run_id is not None
        cursor = await self._case.admin.execute(_EXPIRE, [run_id])
        if await cursor.fetchone() is None:
            return False
        await runs.plan_round(app, max_attempts=100, again_after_seconds=30)
        taken = await runs.claim_run(app, run_id, worker="another", lease_seconds=600)
        if taken is None:  # our worker's transaction came between
            return False
        self._claims += 1
        return await runs.yield_run(app, taken, "handed_over")

    # After a run.

    async def _check(self, planned: PlannedRun, run: Mapping[str, Any]) -> None:
        assert not self._unforeseen, self._unforeseen
        before, self._graph = self._graph, await self._read_graph(run)
        whats = {act.what for act in planned.acts}
        ended = Ended(
            surface=self._surface,
            mode=planned.mode,
            state=run["state"],
            tables={table["table_name"]: table for table in run["tables"]},
            before=before,
            graph=self._graph,
            span=self._span,
            silenced=frozenset(self._silenced),
            swapped=frozenset(self._silenced & self._dated_back & self._thinned),
            is_lied_to="undercounted" in whats,
            is_uncounted="uncounted" in whats,
        )
        check_ended(ended)
        if run["state"] in {"published", "unchanged"}:
            reread = {name for name, table in ended.tables.items() if table["read"] == "whole"}
            whole = {name for name in reread if ended.tables[name]["verdict"] == "complete"}
            self._silenced -= whole - self._touched

    async def _read_graph(self, run: Mapping[str, Any]) -> Graph:
        if run["state"] != "published":
            if not self._exports:
                return _EMPTY
            newest = max(self._exports)
            nodes, edges, exported = await self._export(None)
            assert exported == self._exports[newest], f"a run that ended {run['state']} changed the graph"
            return build_graph(nodes, edges)
        nodes, edges, exported = await self._export(run["revision"])
        self._exports[run["revision"]] = exported
        return build_graph(nodes, edges)

    async def _export(self, revision: int | None) -> tuple[list[NodeLine], list[EdgeLine], bytes]:
        """Read a revision; its lines as the command writes them, which its digest covers."""
        app, tenant = self._case.app, self._case.tenant
        async with as_tenant(app, tenant.schema_name):
            head = await reading.read_head(app, tenant, revision)
            nodes = [node async for node in reading.stream_nodes(app, tenant, head.revision)]
            edges = [edge async for edge in reading.stream_edges(app, tenant, head.revision)]
        assert head.digest == digest_lines(nodes, edges), f"the digest of revision {head.revision}"
        assert (head.nodes, head.edges) == (len(nodes), len(edges))
        return (
            nodes,
            edges,
            b"\n".join([encode_line(line) for line in nodes] + [encode_line(line) for line in edges]),
        )
