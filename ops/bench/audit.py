"""What the audit trail costs: sealing and checking a million events, bytes an event, and a page with its event.

`python -m ops.bench.audit` prints the figures of `docs/explanation/audit.md`, "What it costs". The million is written
by SQL, as requests look. CPU seconds beside wall: the machine is shared. The server does not wait for its disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from jobs.events import REQUEST_ANSWERED, Event
from jobs.graph import GraphPart, StagedNode
from ops.bench.made_store import Store, as_mega, opened_store
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.report import print_rows, print_title
from worker.postgres import runs
from worker.postgres.audit import seal
from worker.postgres.audit_chain import verify
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import StagedPage, begin_table, record_alone, stage_page
from worker.vault import generate_audit_key

_GROUP, _PAGE_ROWS, _TRANSACTION = "sys_user_group", 250, 20_000
_AT_ONCE = 100  # enough to stand out of the transaction around them
_WRITE = """INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
    SELECT 'request.answered', md5((n % 97)::text)::uuid, md5((n / 50)::text)::uuid,
           jsonb_build_object('rows', n % 1000, 'bytes', n * 17 % 900000, 'table', 'sc_cat_item_' || n % 41,
                              'status', 200, 'seconds', round((n % 9973) / 10000.0, 4), 'endpoint', 'table',
                              'fields_hash', left(md5((n % 41)::text), 16))
    FROM generate_series({begin}, {end}) n"""
_SIZES = """SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
                    WHERE i.inhparent = 'control.audit_events'::regclass)::bigint AS events,
                   (SELECT sum(pg_indexes_size(c.oid)) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
                    WHERE i.inhparent = 'control.audit_events'::regclass)::bigint AS indexes,
                   pg_total_relation_size('control.audit_checkpoint')::bigint AS checkpoints,
                   (SELECT count(*) FROM control.audit_events) AS count"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.audit", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=200, help="pages to stage")
    asked = parser.parse_args()
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
        asyncio.run(_measure(server, events=asked.events, pages=asked.pages))
    return 0


async def _measure(server: EmbeddedPostgres, *, events: int, pages: int) -> None:
    async with opened_store(server) as store:
        page, event = await _stage_pages(store, pages=pages)
        print_title(f"{pages} pages of {_PAGE_ROWS} records, and as many transactions of {_AT_ONCE} events")
        print_rows(
            [
                ["", "server's CPU ms"],
                ["a page", f"{1000 * page:.3f}"],
                ["an event", f"{1000 * event:.3f}"],
                ["event / page", f"{event / page:.1%}"],
            ]
        )
        for begin in range(1, events + 1, _TRANSACTION):
            text = _WRITE.replace("{begin}", str(begin)).replace("{end}", str(begin + _TRANSACTION - 1))
            await store.admin.execute(text.encode())
        await _seal_and_verify(store)


async def _seal_and_verify(store: Store) -> None:
    with tempfile.TemporaryDirectory(prefix="zaptik-bench-") as folder:
        key = generate_audit_key(Path(folder) / "audit.json")
    spent: dict[str, tuple[float, float, float]] = {}
    with _timed(spent, "sealing", store):
        sealing = seal(store.app, key, holder="bench", now=lambda: datetime.now(UTC))
        sealed = sum([made.events async for made in sealing])
    with _timed(spent, "checking", store):
        found = await verify(store.app, key.trusted.check, now=datetime.now(UTC))
    assert found.fault is None
    assert found.sealed == sealed
    print_title(f"{sealed} events in {found.segments} segments")
    rows: list[list[object]] = [["", "wall s", "events/s", "our CPU s", "server's CPU s"]]
    rows += [
        [what, f"{wall:.1f}", round(sealed / wall), f"{cpu:.1f}", f"{served:.1f}"]
        for what, (wall, cpu, served) in spent.items()
    ]
    print_rows(rows)
    sizes = await store.ask(_SIZES)
    count = sizes["count"]
    print_rows(
        [
            ["", "MB", "bytes an event"],
            [
                "rows",
                as_mega(sizes["events"] - sizes["indexes"]),
                (sizes["events"] - sizes["indexes"]) // count,
            ],
            ["indexes", as_mega(sizes["indexes"]), sizes["indexes"] // count],
            ["checkpoints", as_mega(sizes["checkpoints"]), sizes["checkpoints"] // count],
        ]
    )


@contextmanager
def _timed(spent: dict[str, tuple[float, float, float]], what: str, store: Store) -> Iterator[None]:
    wall, cpu, served = time.perf_counter(), time.process_time(), _read_cpu(store)
    yield
    spent[what] = time.perf_counter() - wall, time.process_time() - cpu, _read_cpu(store) - served


def _read_cpu(store: Store) -> float:
    """Give the CPU seconds of the server's process that serves the app: other work of the machine is not in it."""
    fields = Path(f"/proc/{store.app.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _stage_pages(store: Store, *, pages: int) -> tuple[float, float]:
    """Stage pages without events, and write events without pages; gives the server's CPU seconds of one of each."""
    run = await _claim(store)
    await begin_table(store.app, run, table=_GROUP, counted=pages * _PAGE_ROWS, requests=1, events=[])
    answered = Event(
        REQUEST_ANSWERED,
        {"endpoint": "table", "table": _GROUP, "fields_hash": "9b2c1f0a5d7e3c41", "status": 200, "rows": _PAGE_ROWS,
         "bytes": 48_211, "seconds": 0.2134},
    )  # fmt: skip
    made = [_make_page(number) for number in range(1, pages + 1)]
    began = _read_cpu(store)
    for page in made:
        await stage_page(store.app, run, page, events=[])
    staged = _read_cpu(store) - began
    spent = [0.0, 0.0]
    for number in range(2 * pages):
        began = _read_cpu(store)
        await record_alone(store.app, run, requests=0, events=[answered] * (_AT_ONCE if number % 2 else 0))
        spent[number % 2] += _read_cpu(store) - began
    return staged / pages, (spent[1] - spent[0]) / (pages * _AT_ONCE)


async def _claim(store: Store) -> ClaimedRun:
    await runs.request_sync(store.app, store.tenant.name, mode="full")
    planned = await runs.plan_round(store.app, max_attempts=5, again_after_seconds=30)
    run = await runs.claim_run(store.app, planned.asked[0].run_id, worker="bench", lease_seconds=86_400)
    assert run is not None
    return run


def _make_page(number: int) -> StagedPage:
    ids = [f"{number * _PAGE_ROWS + row:032x}" for row in range(_PAGE_ROWS)]
    nodes = [
        StagedNode(f"{_GROUP}:{sys_id}", "assignment_group", _GROUP, f"Group {sys_id[-6:]}",
                   {"active": "true", "description": f"Works on queue {sys_id[-6:]}"}, sys_id * 2)
        for sys_id in ids
    ]  # fmt: skip
    part = GraphPart(msgspec.json.encode(nodes), b"[]")
    return StagedPage(
        table=_GROUP, page=number, depth=0, cursor=ids[-1], rows=_PAGE_ROWS, requests=1, part=part, base=_GROUP,
        keys=b"[]", scanned=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
